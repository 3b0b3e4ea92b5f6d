//! devicestate's own topics, `<prefix>/<id>/heartbeat` and its like, and the topics of the rules for
//! users' own protobuf. See `docs/bridge.md`.

mod pattern;
mod payload;
mod routes;
mod topic;

pub use routes::Routes;
pub use topic::check_prefix;

use super::{Filter, Profile, Refusal};
use crate::mqtt::Message;
use crate::work::Work;
use payload::DeviceCommand;
use routes::{Format, Route};
use topic::TopicError;

pub struct Native {
    routes: Routes,
    /// Bytes. Larger payloads are refused, and so is protobuf that would be larger as JSON.
    max_payload: usize,
}

impl Native {
    pub fn new(routes: Routes, max_payload: usize) -> Native {
        Native {
            routes,
            max_payload,
        }
    }

    fn command(&self, route: Route<'_>, message: &Message) -> Result<DeviceCommand, String> {
        let (size, most) = (message.payload.len(), self.max_payload);
        if size > most {
            return Err(format!(
                "the payload has {size} bytes, more than max_payload ({most})"
            ));
        }
        let Route {
            kind,
            device,
            format,
        } = route;
        let (payload, retained) = (&message.payload, message.retained);
        match format? {
            Format::Json => payload::parse(kind, device, payload, retained),
            Format::Protobuf(schema) => payload::decode(schema, device, payload, retained, most),
        }
    }
}

impl Profile for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn filters(&self) -> Vec<Filter> {
        let filters = self.routes.filters().into_iter();
        filters
            .map(|filter| Filter {
                filter,
                shareable: true,
            })
            .collect()
    }

    fn read(&self, message: &Message) -> Option<Result<Work, Refusal>> {
        let found = self
            .routes
            .find(&message.topic, message.content_type.as_deref());
        let route = match found {
            Ok(route) => route,
            Err(TopicError::OtherPrefix) => return None,
            Err(error) => {
                return Some(Err(Refusal {
                    device: None,
                    reason: error.to_string(),
                }))
            }
        };
        let device = route.device.clone();
        let work = match self.command(route, message) {
            Ok(command) => Ok(command.into()),
            Err(reason) => Err(Refusal {
                device: Some(device),
                reason,
            }),
        };
        Some(work)
    }
}

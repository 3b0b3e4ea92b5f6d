//! devicestate's own topics, `<prefix>/<id>/heartbeat` and its like, and the topics of the rules for
//! users' own protobuf. See `docs/bridge.md`.

mod commands;
mod device_types;
mod pattern;
mod payload;
mod routes;
mod topic;

pub use routes::Routes;
pub use topic::check_prefix;

use super::{Command, Delta, Filter, Profile, Refusal, Sender};
use crate::mqtt::outbox::Publication;
use crate::mqtt::Message;
use crate::work::Work;
use commands::ResultTopic;
use payload::DeviceCommand;
use routes::{Format, Route};
use topic::{Kind, TopicError};

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

    fn route(&self, message: &Message) -> Option<Result<Route<'_>, Refusal>> {
        let content_type = message.content_type.as_deref();
        match self.routes.find(&message.topic, content_type) {
            Ok(route) => Some(Ok(route)),
            Err(TopicError::OtherPrefix) => None,
            Err(error) => Some(Err(no_device(&error))),
        }
    }

    fn check_size(&self, message: &Message) -> Result<(), String> {
        let (size, most) = (message.payload.len(), self.max_payload);
        if size > most {
            return Err(format!(
                "the payload has {size} bytes, more than max_payload ({most})"
            ));
        }
        Ok(())
    }

    fn result(&self, topic: ResultTopic, message: &Message) -> Result<DeviceCommand, String> {
        self.check_size(message)?;
        let ResultTopic { device, command } = topic;
        payload::parse_result(command, device, &message.payload, message.retained)
    }

    fn work(&self, route: Route<'_>, message: &Message) -> Result<Work, String> {
        self.check_size(message)?;
        let most = self.max_payload;
        let Route {
            kind,
            device,
            format,
        } = route;
        let (payload, retained) = (&message.payload, message.retained);
        let command = match format? {
            Format::Json => payload::parse(kind, device, payload, retained),
            Format::Protobuf(schema) => payload::decode(schema, device, payload, retained, most),
            Format::ByDeviceType(types) => return Ok(types.work(device, most)),
        };
        command.map(Work::from)
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
        if let Some(topic) = commands::read_result(self.routes.topics(), &message.topic) {
            return Some(match topic {
                Ok(topic) => {
                    let device = topic.device.clone();
                    finish(device, self.result(topic, message).map(Work::from))
                }
                Err(error) => Err(no_device(&error)),
            });
        }
        let work = self.route(message)?.and_then(|route| {
            let device = route.device.clone();
            finish(device, self.work(route, message))
        });
        Some(work)
    }

    fn sender(&self, message: &Message) -> Option<Result<Sender, Refusal>> {
        // Somebody waits for the end of a command, and the device for what it asks for.
        if commands::read_result(self.routes.topics(), &message.topic).is_some() {
            return None;
        }
        let route = self.route(message)?;
        if matches!(&route, Ok(route) if route.kind == Kind::Get) {
            return None;
        }
        let sender = route.and_then(|Route { device, format, .. }| {
            let session = match (self.check_size(message), format) {
                (Err(reason), _) => return finish(device, Err(reason)),
                (Ok(()), Ok(Format::Json)) => payload::session(&message.payload),
                (Ok(()), _) => None,
            };
            Ok(Sender { device, session })
        });
        Some(sender)
    }

    fn delta(&self, delta: &Delta<'_>) -> Option<Publication> {
        Some(commands::delta(self.routes.topics(), delta))
    }

    fn command(&self, command: &Command<'_>) -> Option<Publication> {
        Some(commands::command(self.routes.topics(), command))
    }
}

fn finish<T>(device: String, found: Result<T, String>) -> Result<T, Refusal> {
    found.map_err(|reason| Refusal {
        device: Some(device),
        reason,
    })
}

fn no_device(error: &TopicError) -> Refusal {
    Refusal {
        device: None,
        reason: error.to_string(),
    }
}

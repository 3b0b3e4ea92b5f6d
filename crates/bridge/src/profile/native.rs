//! devicestate's own topics, `<prefix>/<id>/heartbeat` and its like, and the topics of the rules for
//! users' own protobuf. See `docs/bridge.md`.

mod commands;
mod pattern;
mod payload;
mod routes;
mod topic;

pub use routes::Routes;
pub use topic::check_prefix;

use super::{Command, Delta, Filter, Profile, Refusal};
use crate::mqtt::outbox::Publication;
use crate::mqtt::Message;
use crate::work::Work;
use commands::ResultTopic;
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

    fn work(&self, route: Route<'_>, message: &Message) -> Result<DeviceCommand, String> {
        self.check_size(message)?;
        let most = self.max_payload;
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
        if let Some(topic) = commands::read_result(self.routes.topics(), &message.topic) {
            return Some(match topic {
                Ok(topic) => finish(topic.device.clone(), self.result(topic, message)),
                Err(error) => Err(no_device(&error)),
            });
        }
        let found = self
            .routes
            .find(&message.topic, message.content_type.as_deref());
        match found {
            Ok(route) => Some(finish(route.device.clone(), self.work(route, message))),
            Err(TopicError::OtherPrefix) => None,
            Err(error) => Some(Err(no_device(&error))),
        }
    }

    fn delta(&self, delta: &Delta<'_>) -> Option<Publication> {
        Some(commands::delta(self.routes.topics(), delta))
    }

    fn command(&self, command: &Command<'_>) -> Option<Publication> {
        Some(commands::command(self.routes.topics(), command))
    }
}

fn finish(device: String, command: Result<DeviceCommand, String>) -> Result<Work, Refusal> {
    command.map(Work::from).map_err(|reason| Refusal {
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

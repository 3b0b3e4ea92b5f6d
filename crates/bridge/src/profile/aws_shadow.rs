//! The topics and documents of the AWS IoT Device Shadow service, so that devices which speak with
//! it need no change. A thing is a device. See `docs/aws-shadow.md`.
//!
//! The server knows the rules of shadows; what is done here is what MQTT adds to them: which topic
//! asks for what, and which documents are published as the answer.

mod answer;
mod document;
mod payload;
mod rejection;
mod topic;

use super::{Delta, Filter, Profile, Refusal};
use crate::clock::now_ms;
use crate::config::AwsShadowConfig;
use crate::mqtt::outbox::Publication;
use crate::mqtt::Message;
use crate::work::{Answer, Then, Work};
use answer::Request;
use payload::Glance;
use redis::Cmd;
use rejection::Rejection;
use topic::{Operation, Shadow};

pub struct AwsShadow {
    config: AwsShadowConfig,
    /// Bytes. Larger payloads are rejected.
    max_payload: usize,
}

impl AwsShadow {
    pub fn new(config: AwsShadowConfig, max_payload: usize) -> AwsShadow {
        AwsShadow {
            config,
            max_payload,
        }
    }

    fn work(&self, shadow: Shadow, operation: Operation, payload: &[u8]) -> Work {
        let device = shadow.thing.clone();
        let glance = match self.glance(operation, payload) {
            Ok(glance) => glance,
            Err(rejection) => {
                let request = Request {
                    shadow,
                    operation,
                    client_token: None,
                    before: 0,
                };
                return Work {
                    device,
                    commands: Vec::new(),
                    then: Then::Answer(Answer::new(move |_| {
                        request.rejected(&rejection, now_ms()).into_iter().collect()
                    })),
                };
            }
        };
        let get = || command("DEVICE.SHADOW.GET", &shadow);
        let is_update = operation == Operation::Update;
        let documents = is_update && self.config.documents;
        let mut commands = Vec::with_capacity(4);
        // The device comes online before it is said what it lacks.
        if is_update && glance.reports && self.config.presence {
            let mut heartbeat = redis::cmd("DEVICE.HEARTBEAT");
            heartbeat.arg(&device);
            commands.push(heartbeat);
        }
        if documents {
            commands.push(get());
        }
        let before = commands.len();
        commands.push(match operation {
            Operation::Update => update(&shadow, payload),
            Operation::Get => get(),
            Operation::Delete => command("DEVICE.SHADOW.DEL", &shadow),
        });
        if documents {
            commands.push(get());
        }
        let request = Request {
            shadow,
            operation,
            client_token: glance.client_token,
            before,
        };
        let answer = Answer::new(move |answers| request.answer(answers, now_ms()));
        Work {
            device,
            commands,
            then: Then::Answer(answer),
        }
    }

    fn glance(&self, operation: Operation, payload: &[u8]) -> Result<Glance, Rejection> {
        let (size, most) = (payload.len(), self.max_payload);
        if size > most {
            return Err(Rejection::new(
                413,
                format!(
                    "The payload exceeds the maximum size allowed: \
                     {size} bytes, max_payload is {most}"
                ),
            ));
        }
        let text = std::str::from_utf8(payload).map_err(|_| {
            Rejection::new(
                415,
                "Unsupported documented encoding; supported encoding is UTF-8",
            )
        })?;
        match operation {
            Operation::Update => Ok(payload::glance(text)),
            Operation::Get | Operation::Delete => Ok(Glance {
                client_token: payload::token_only(text)?,
                reports: false,
            }),
        }
    }
}

fn command(name: &str, shadow: &Shadow) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(&shadow.thing);
    with_name(command, shadow)
}

fn update(shadow: &Shadow, document: &[u8]) -> Cmd {
    let mut command = redis::cmd("DEVICE.SHADOW.UPDATE");
    command.arg(&shadow.thing).arg(document);
    with_name(command, shadow)
}

fn with_name(mut command: Cmd, shadow: &Shadow) -> Cmd {
    if let Some(name) = &shadow.name {
        command.arg("NAME").arg(name);
    }
    command
}

impl Profile for AwsShadow {
    fn name(&self) -> &'static str {
        "aws-shadow"
    }

    fn filters(&self) -> Vec<Filter> {
        let filters = topic::filters().into_iter();
        filters
            .map(|filter| Filter {
                filter,
                shareable: false,
            })
            .collect()
    }

    fn read(&self, message: &Message) -> Option<Result<Work, Refusal>> {
        let (shadow, operation) = topic::parse(&message.topic)?;
        // Whoever asked is not there any more, and it would be done again with each new session.
        if message.retained {
            return Some(Err(Refusal {
                device: Some(shadow.thing),
                reason: "a retained message is no request; publish without retain".to_owned(),
            }));
        }
        Some(Ok(self.work(shadow, operation, &message.payload)))
    }

    /// AWS knows of no presence when it publishes.
    fn tells_offline(&self) -> bool {
        true
    }

    fn delta(&self, delta: &Delta<'_>) -> Option<Publication> {
        let shadow = Shadow {
            thing: delta.device.to_owned(),
            name: delta.shadow.map(str::to_owned),
        };
        answer::delta(&shadow, delta.document?)
    }
}

#[cfg(test)]
#[path = "aws_shadow/tests.rs"]
mod tests;

//! Reports whose protobuf message depends on the type under which their device is registered. The
//! server knows it: it is asked before such a report is read.

use super::payload;
use crate::mqtt::Message;
use crate::profile::Refusal;
use crate::protobuf::Schema;
use crate::redis_link::Answers;
use crate::text::one_line;
use crate::work::{Later, Then, Work};
use redis::{from_redis_value, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What devices of each type send.
#[derive(Debug, Clone, Default)]
pub struct DeviceTypes(Arc<BTreeMap<String, Schema>>);

impl DeviceTypes {
    /// False where the type has a message already.
    pub fn add(&mut self, device_type: &str, schema: Schema) -> bool {
        let types = Arc::make_mut(&mut self.0);
        types.insert(device_type.to_owned(), schema).is_none()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.0.values()
    }

    /// Asks for the type, then reads the payload.
    pub fn work(&self, device: String, max_payload: usize) -> Work {
        let mut ask = redis::cmd("DEVICE.GET");
        ask.arg(&device).arg("device_type");
        let (types, id) = (self.clone(), device.clone());
        let read = move |message: &Message, answers: &Answers| {
            let work = types.read(&id, message, answers, max_payload);
            work.map_err(|reason| Refusal {
                device: Some(id.clone()),
                reason,
            })
        };
        Work {
            device,
            commands: vec![ask],
            then: Then::Read(Later::new(read)),
        }
    }

    fn read(
        &self,
        device: &str,
        message: &Message,
        answers: &Answers,
        max_payload: usize,
    ) -> Result<Work, String> {
        let device_type = device_type(answers).ok_or(
            "the payload is protobuf of its device's type, and the device is not registered",
        )?;
        let schema = self.0.get(&device_type).ok_or_else(|| {
            let device_type = one_line(&device_type);
            format!("no rule says which protobuf message devices of the type '{device_type}' send")
        })?;
        let (payload, retained) = (&message.payload, message.retained);
        payload::decode(schema, device.to_owned(), payload, retained, max_payload).map(Work::from)
    }
}

fn device_type(answers: &Answers) -> Option<String> {
    match answers.as_slice() {
        [Ok(Value::Array(fields))] => from_redis_value(fields.first()?.clone()).ok(),
        _ => None,
    }
}

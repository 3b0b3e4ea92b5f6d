//! Users' own protobuf: their `.proto` files are compiled at start, their messages become the JSON of
//! a report here, outside the server.
//!
//! What becomes of each kind of field is in `docs/protobuf.md` and in [`json`]. A payload that is no
//! message of its type is refused like broken JSON.

mod compile;
mod json;
mod presence;
mod settings;

pub use settings::{Implicit, ProtobufConfig, RuleConfig};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// All message types of the configured files.
pub struct Schemas {
    pool: DescriptorPool,
    /// Full names of the types whose fields without presence are always reported.
    written: Arc<HashSet<String>>,
    /// Full names of the types for which the configuration says what is to be done.
    decided: HashSet<String>,
}

/// One message type that reports come in.
#[derive(Debug, Clone)]
pub struct Schema {
    message: MessageDescriptor,
    written: Arc<HashSet<String>>,
}

impl Schemas {
    /// Compiles the configured files. Relative folders are counted from `base`. The error is one
    /// line, with file, line and column where they are known.
    pub fn load(config: &ProtobufConfig, base: &Path) -> Result<Schemas, String> {
        let folders = config.include.iter().map(|folder| base.join(folder));
        let pool = compile::compile(&config.files, folders)
            .map_err(|reason| format!("protobuf.files: {reason}"))?;
        let mut schemas = Schemas {
            pool,
            written: Arc::default(),
            decided: HashSet::new(),
        };
        let mut written = HashSet::new();
        for (name, implicit) in &config.implicit {
            schemas
                .message(name)
                .map_err(|reason| format!("protobuf.implicit: {reason}"))?;
            schemas.decided.insert(name.clone());
            if *implicit == Implicit::Write {
                written.insert(name.clone());
            }
        }
        schemas.written = Arc::new(written);
        Ok(schemas)
    }

    /// The type with this full name, if a report can come in it.
    pub fn get(&self, name: &str) -> Result<Schema, String> {
        let message = self.message(name)?;
        if !json::is_object(&message) {
            return Err(format!(
                "'{name}' is no object in JSON, and a report has to be one"
            ));
        }
        Ok(Schema {
            message,
            written: self.written.clone(),
        })
    }

    /// Lines for the log about fields of these types, or of types within them, whose zero is taken
    /// for silence and of which the configuration does not say that this is meant.
    pub fn warnings<'a>(&self, used: impl Iterator<Item = &'a Schema>) -> Vec<String> {
        presence::without(used.map(|schema| schema.message.clone()))
            .into_iter()
            .filter(|(name, _)| !self.decided.contains(name))
            .map(|(name, fields)| presence::warning(&name, &fields))
            .collect()
    }

    fn message(&self, name: &str) -> Result<MessageDescriptor, String> {
        self.pool
            .get_message_by_name(name)
            .ok_or_else(|| match self.like(name) {
                Some(other) => format!("there is no message '{name}'; did you mean '{other}'?"),
                None => format!("there is no message '{name}' in protobuf.files"),
            })
    }

    /// A type that has the same last name: most often the package was forgotten.
    fn like(&self, name: &str) -> Option<String> {
        let last = name.rsplit('.').next()?;
        self.pool
            .all_messages()
            .find(|message| message.name().eq_ignore_ascii_case(last))
            .map(|message| message.full_name().to_owned())
    }
}

impl Schema {
    /// The full name of the type.
    pub fn name(&self) -> &str {
        self.message.full_name()
    }

    /// The JSON of a payload, of `most` bytes at most. The error is a sentence for a log line.
    pub fn report(&self, payload: &[u8], most: usize) -> Result<String, String> {
        let name = self.name();
        let message = DynamicMessage::decode(self.message.clone(), payload)
            .map_err(|error| format!("the payload is no {name}: {}", compile::reason(&error)))?;
        json::write(&message, &self.written, most)
            .map_err(|reason| format!("the {name} of the payload cannot be reported: {reason}"))
    }
}

#[cfg(test)]
mod tests;

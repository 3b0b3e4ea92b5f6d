//! From a message's topic and content type to whose message it is and how its payload is read.
//!
//! The bridge's own topics ([`super::topic`]) carry JSON; rules add topics, and say which reports are
//! protobuf. A content type that an MQTT 5 message states comes before the rule of its topic.

use super::device_types::DeviceTypes;
use super::pattern::Pattern;
use super::topic::{decode_id, Kind, TopicError, Topics};
use crate::protobuf::{ProtobufConfig, RuleConfig, Schema, Schemas};
use crate::text::one_line;
use std::collections::BTreeMap;
use std::path::Path;

/// Content types that say "protobuf" and not which message: the topic's rule tells that.
const PROTOBUF: [&str; 4] = [
    "application/protobuf",
    "application/x-protobuf",
    "application/vnd.google.protobuf",
    "application/x-google-protobuf",
];

/// Topics of a device that are no [`Kind`]: what the bridge publishes, and the results of commands.
const OTHERS: [&str; 4] = ["delta", "delta/+", "commands/+", "commands/+/result"];

/// Always read as on `<prefix>/<id>/reported`.
const JSON: &str = "application/json";

#[derive(Debug)]
pub struct Routes {
    topics: Topics,
    rules: Vec<(Pattern, Types)>,
    /// By the content type in small letters.
    content_types: BTreeMap<String, Schema>,
    /// For reports that say "protobuf" on a topic that has no rule.
    device_types: DeviceTypes,
}

/// What the messages on a topic are.
#[derive(Debug)]
enum Types {
    One(Schema),
    ByDeviceType(DeviceTypes),
}

/// How a payload is read.
#[derive(Debug, Clone, Copy)]
pub enum Format<'a> {
    Json,
    Protobuf(&'a Schema),
    ByDeviceType(&'a DeviceTypes),
}

/// What a message is about, and how it is read.
#[derive(Debug)]
pub struct Route<'a> {
    pub kind: Kind,
    pub device: String,
    /// Or why it cannot be read.
    pub format: Result<Format<'a>, &'static str>,
}

impl Routes {
    /// Without rules: the topics below a prefix that has been checked.
    pub fn new(prefix: &str) -> Routes {
        Routes {
            topics: Topics::new(prefix),
            rules: Vec::new(),
            content_types: BTreeMap::new(),
            device_types: DeviceTypes::default(),
        }
    }

    /// With the rules of the configuration, whose relative paths are counted from `base`, and the
    /// warnings to log. The error is one line.
    pub fn load(
        prefix: &str,
        config: &ProtobufConfig,
        base: &Path,
    ) -> Result<(Routes, Vec<String>), String> {
        let mut routes = Routes::new(prefix);
        let schemas = Schemas::load(config, base)?;
        for (index, rule) in config.rule.iter().enumerate() {
            routes.add(prefix, rule, &schemas).map_err(|reason| {
                let number = index + 1;
                one_line(&format!("protobuf.rule {number}: {reason}"))
            })?;
        }
        let mut used: Vec<&Schema> = routes.content_types.values().collect();
        used.extend(routes.device_types.schemas());
        for (_, types) in &routes.rules {
            match types {
                Types::One(schema) => used.push(schema),
                Types::ByDeviceType(types) => used.extend(types.schemas()),
            }
        }
        let warnings = schemas.warnings(used.into_iter());
        Ok((routes, warnings))
    }

    fn add(&mut self, prefix: &str, rule: &RuleConfig, schemas: &Schemas) -> Result<(), String> {
        let schema = schemas.get(&rule.message)?;
        match (&rule.topic, &rule.content_type, &rule.device_type) {
            (Some(topic), None, device_type) => {
                let pattern = Pattern::parse(topic)
                    .map_err(|reason| format!("the topic '{topic}' {reason}"))?;
                match device_type {
                    Some(device_type) => self.add_typed(prefix, pattern, device_type, schema),
                    None => {
                        self.check_alone(prefix, &pattern)?;
                        self.rules.push((pattern, Types::One(schema)));
                        Ok(())
                    }
                }
            }
            (None, None, Some(device_type)) => {
                let is_new = self.device_types.add(device_type, schema);
                is_new.then_some(()).ok_or_else(|| twice(device_type))
            }
            (None, Some(content_type), None) => {
                let plain = plain(content_type);
                if plain.is_empty() || media_type(&plain) == JSON {
                    return Err(format!("the content type '{content_type}' is not protobuf"));
                }
                if self.content_types.insert(plain, schema).is_some() {
                    return Err(format!(
                        "ambiguous, an earlier rule has the content type '{content_type}', too"
                    ));
                }
                Ok(())
            }
            _ => Err("needs a topic, a device_type or both, or else a content_type".into()),
        }
    }

    /// A topic may have several rules, if each is for another device type.
    fn add_typed(
        &mut self,
        prefix: &str,
        pattern: Pattern,
        device_type: &str,
        schema: Schema,
    ) -> Result<(), String> {
        for (other, types) in &mut self.rules {
            if let (true, Types::ByDeviceType(types)) = (*other == pattern, types) {
                let is_new = types.add(device_type, schema);
                return is_new.then_some(()).ok_or_else(|| twice(device_type));
            }
        }
        self.check_alone(prefix, &pattern)?;
        let mut types = DeviceTypes::default();
        types.add(device_type, schema);
        self.rules.push((pattern, Types::ByDeviceType(types)));
        Ok(())
    }

    /// No topic may mean two things. A rule may take over `<prefix>/{device}/reported`, exactly.
    fn check_alone(&self, prefix: &str, pattern: &Pattern) -> Result<(), String> {
        if let Some((other, _)) = self.rules.iter().find(|(other, _)| other.overlaps(pattern)) {
            return Err(format!(
                "ambiguous, some topics match both '{pattern}' and '{other}' of an earlier rule"
            ));
        }
        for kind in Kind::ALL {
            let own = Pattern::below(prefix, kind.name());
            let taken_over = kind == Kind::Reported && *pattern == own;
            if pattern.overlaps(&own) && !taken_over {
                return Err(own_topic(pattern, &own));
            }
        }
        for rest in OTHERS {
            let own = Pattern::below(prefix, rest);
            if pattern.overlaps(&own) {
                return Err(own_topic(pattern, &own));
            }
        }
        Ok(())
    }

    /// The filters to subscribe to, each once.
    pub fn filters(&self) -> Vec<String> {
        let mut filters = self.topics.filters();
        for (pattern, _) in &self.rules {
            let filter = pattern.filter();
            if !filters.contains(&filter) {
                filters.push(filter);
            }
        }
        filters
    }

    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn find(&self, topic: &[u8], content_type: Option<&str>) -> Result<Route<'_>, TopicError> {
        let (kind, device, types) = match self.rule(topic) {
            Some((level, types)) => (Kind::Reported, decode_id(level)?, Some(types)),
            None => {
                let (kind, device) = self.topics.parse(topic)?;
                (kind, device, None)
            }
        };
        let format = match kind {
            Kind::Reported => self.format(types, content_type),
            // These have JSON or nothing, whatever is stated.
            Kind::Heartbeat | Kind::Will | Kind::Get => Ok(Format::Json),
        };
        Ok(Route {
            kind,
            device,
            format,
        })
    }

    fn rule<'t>(&self, topic: &'t [u8]) -> Option<(&'t str, &Types)> {
        let topic = std::str::from_utf8(topic).ok()?;
        self.rules
            .iter()
            .find_map(|(pattern, types)| Some((pattern.device(topic)?, types)))
    }

    /// A content type that is not known counts as none: devices have stated all sorts of things
    /// without anybody looking.
    fn format<'a>(
        &'a self,
        rule: Option<&'a Types>,
        content_type: Option<&str>,
    ) -> Result<Format<'a>, &'static str> {
        let of_topic = match rule {
            None => Format::Json,
            Some(Types::One(schema)) => Format::Protobuf(schema),
            Some(Types::ByDeviceType(types)) => Format::ByDeviceType(types),
        };
        let Some(content_type) = content_type.map(plain) else {
            return Ok(of_topic);
        };
        let media_type = media_type(&content_type);
        let known = |name: &str| self.content_types.get(name).map(Format::Protobuf);
        if let Some(format) = known(&content_type).or_else(|| known(media_type)) {
            Ok(format)
        } else if media_type == JSON {
            Ok(Format::Json)
        } else if rule.is_none() && PROTOBUF.contains(&media_type) {
            if !self.device_types.is_empty() {
                return Ok(Format::ByDeviceType(&self.device_types));
            }
            Err("the payload is protobuf, and no rule says which message it is")
        } else {
            Ok(of_topic)
        }
    }
}

fn twice(device_type: &str) -> String {
    format!("ambiguous, an earlier rule has the device type '{device_type}', too")
}

fn own_topic(pattern: &Pattern, own: &Pattern) -> String {
    format!("ambiguous, some topics match both '{pattern}' and the bridge's own '{own}'")
}

/// In small letters and without white space, as content types are compared.
fn plain(content_type: &str) -> String {
    content_type
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Without parameters.
fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;

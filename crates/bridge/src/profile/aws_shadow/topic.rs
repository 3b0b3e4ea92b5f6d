//! The topics of a shadow: `$aws/things/<thing>/shadow/update`, and for a named one
//! `$aws/things/<thing>/shadow/name/<shadow>/update`. Below that are those of the answers.
//!
//! A thing is a device. Its name is the topic level as it is: AWS knows no encoding, and its names
//! need none.

use devicestate_core::escape::Quoted;
use std::fmt;

const THINGS: &str = "$aws/things/";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Update,
    Get,
    Delete,
}

impl Operation {
    const ALL: [Operation; 3] = [Operation::Update, Operation::Get, Operation::Delete];

    fn name(self) -> &'static str {
        match self {
            Operation::Update => "update",
            Operation::Get => "get",
            Operation::Delete => "delete",
        }
    }
}

/// A shadow of a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    pub thing: String,
    /// `None`: the classic one.
    pub name: Option<String>,
}

/// What to subscribe to: requests only, so that the bridge does not hear its own answers.
pub fn filters() -> Vec<String> {
    let below = |shadow: &'static str| {
        Operation::ALL.map(|operation| format!("{THINGS}+/{shadow}/{}", operation.name()))
    };
    [below("shadow"), below("shadow/name/+")].concat()
}

/// Reads the topic of a request; `None` for any other.
pub fn parse(topic: &[u8]) -> Option<(Shadow, Operation)> {
    let topic = std::str::from_utf8(topic).ok()?;
    let levels: Vec<&str> = topic.strip_prefix(THINGS)?.split('/').collect();
    let (thing, name, last) = match levels[..] {
        [thing, "shadow", last] => (thing, None, last),
        [thing, "shadow", "name", name, last] => (thing, Some(name.to_owned()), last),
        _ => return None,
    };
    let operation = Operation::ALL
        .into_iter()
        .find(|operation| operation.name() == last)?;
    let thing = thing.to_owned();
    Some((Shadow { thing, name }, operation))
}

impl Shadow {
    /// The topic `.../<operation>/<last>`. `None` for a device or a shadow whose name cannot be a
    /// topic level.
    pub fn topic(&self, operation: Operation, last: &str) -> Option<String> {
        let is_level = |text: &str| !text.contains(['/', '+', '#', '\0']);
        let (thing, operation) = (&self.thing, operation.name());
        match &self.name {
            _ if !is_level(thing) => None,
            None => Some(format!("{THINGS}{thing}/shadow/{operation}/{last}")),
            Some(name) if is_level(name) => Some(format!(
                "{THINGS}{thing}/shadow/name/{name}/{operation}/{last}"
            )),
            Some(_) => None,
        }
    }
}

/// In quotes, as errors name a shadow: the classic one by its thing.
impl fmt::Display for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().unwrap_or(&self.thing);
        Quoted(name.as_bytes()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shadow(thing: &str, name: Option<&str>) -> Shadow {
        Shadow {
            thing: thing.into(),
            name: name.map(Into::into),
        }
    }

    #[test]
    fn filters_are_those_of_requests() {
        assert_eq!(
            filters(),
            [
                "$aws/things/+/shadow/update",
                "$aws/things/+/shadow/get",
                "$aws/things/+/shadow/delete",
                "$aws/things/+/shadow/name/+/update",
                "$aws/things/+/shadow/name/+/get",
                "$aws/things/+/shadow/name/+/delete",
            ]
        );
    }

    #[test]
    fn requests_for_classic_and_named_shadows() {
        assert_eq!(
            parse(b"$aws/things/lamp-1/shadow/update"),
            Some((shadow("lamp-1", None), Operation::Update))
        );
        assert_eq!(
            parse(b"$aws/things/lamp-1/shadow/name/config/get"),
            Some((shadow("lamp-1", Some("config")), Operation::Get))
        );
        // No encoding: this is the name of the thing, and one that devicestate takes.
        assert_eq!(
            parse(b"$aws/things/a%2Fb/shadow/delete"),
            Some((shadow("a%2Fb", None), Operation::Delete))
        );
        assert_eq!(
            parse(b"$aws/things/name/shadow/name/name/get"),
            Some((shadow("name", Some("name")), Operation::Get))
        );
    }

    #[test]
    fn everything_else_is_none_of_ours() {
        for topic in [
            "",
            "$aws/things/lamp-1",
            "$aws/things/lamp-1/shadow",
            "$aws/things/lamp-1/shadow/update/accepted",
            "$aws/things/lamp-1/shadow/update/delta",
            "$aws/things/lamp-1/shadow/name/update",
            "$aws/things/lamp-1/shadow/name/a/b/update",
            "$aws/things/lamp-1/shadow/Update",
            "$aws/things/lamp-1/jobs/get",
            "$aws/rules/lamp-1/shadow/get",
            "devices/lamp-1/heartbeat",
        ] {
            assert_eq!(parse(topic.as_bytes()), None, "{topic}");
        }
        assert_eq!(parse(b"$aws/things/\xff/shadow/get"), None);
    }

    #[test]
    fn answers_stand_below_the_request() {
        let topic = |shadow: Shadow| shadow.topic(Operation::Update, "accepted");
        assert_eq!(
            topic(shadow("lamp-1", None)).as_deref(),
            Some("$aws/things/lamp-1/shadow/update/accepted")
        );
        assert_eq!(
            topic(shadow("lamp-1", Some("config"))).as_deref(),
            Some("$aws/things/lamp-1/shadow/name/config/update/accepted")
        );
        for (thing, name) in [("plant/7", None), ("a#", None), ("a", Some("b+"))] {
            assert_eq!(topic(shadow(thing, name)), None, "{thing} {name:?}");
        }
    }

    #[test]
    fn errors_name_the_shadow() {
        assert_eq!(shadow("lamp-1", None).to_string(), "'lamp-1'");
        assert_eq!(shadow("lamp-1", Some("config")).to_string(), "'config'");
    }
}

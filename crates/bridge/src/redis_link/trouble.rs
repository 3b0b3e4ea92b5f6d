//! Why nothing is known of what was sent.

use super::topology::Place;
use crate::text::one_line;
use crate::tls;
use redis::{ErrorKind, RedisError};
use std::fmt;
use std::sync::Arc;

/// A connection that cannot be made or is broken, or an answer without which nothing counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which node it was, where there are several.
    node: Option<Arc<str>>,
    reason: String,
}

impl Trouble {
    pub fn of(error: &RedisError) -> Trouble {
        Trouble::new(describe(error))
    }

    pub fn no_answer() -> Trouble {
        Trouble::new("the server gave an answer of another form".to_owned())
    }

    pub fn no_primary() -> Trouble {
        Trouble::new("no node of the cluster has the slot".to_owned())
    }

    fn new(reason: String) -> Trouble {
        Trouble { node: None, reason }
    }

    /// At this node.
    pub fn at(self, place: &Place) -> Trouble {
        Trouble {
            node: Some(place.to_string().into()),
            ..self
        }
    }

    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{node}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// An error on one line: the server's own words where there are any.
pub fn describe(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) if error.kind() == ErrorKind::AuthenticationFailed => {
            "it refused the user name or the password".to_owned()
        }
        (None, _) if error.is_timeout() => "it did not answer in time".to_owned(),
        (None, _) if error.kind() == ErrorKind::MasterNameNotFoundBySentinel => {
            "the Sentinels know no master of this name that works".to_owned()
        }
        (None, _) => tls::explain(error).unwrap_or_else(|| error.to_string()),
    };
    one_line(&text)
}

//! Durations.

use devicestate_core::duration;
use serde::de::{self, Deserializer, Visitor};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// A duration: in the file whole milliseconds, or a text such as `"90s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"90s\", or whole milliseconds")
            }

            fn visit_i64<E: de::Error>(self, milliseconds: i64) -> Result<Span, E> {
                let milliseconds = u64::try_from(milliseconds)
                    .map_err(|_| E::custom("a duration cannot be negative"))?;
                Ok(Span(Duration::from_millis(milliseconds)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                match duration::parse(text.as_bytes()) {
                    Ok(milliseconds) => Ok(Span(Duration::from_millis(milliseconds))),
                    Err(reason) => Err(E::custom(format_args!("the duration {reason}"))),
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

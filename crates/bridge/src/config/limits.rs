//! Checks of settings against their limits. The errors name the setting.

use super::Span;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3600);

pub fn within<T: PartialOrd + Display>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), String> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(format!("{name} is {value}, not within {least} to {most}"))
}

pub fn between(name: &str, value: Span, least: Duration, most: Duration) -> Result<(), String> {
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    let value = value.0;
    Err(format!(
        "{name} is {value:?}, not within {least:?} to {most:?}"
    ))
}

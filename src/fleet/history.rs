//! The history of a device: the stream `device:history:<id>`, capped, with old and new values.

use devicestate_core::shadow::merge::Change;

use super::device::UNKNOWN_TYPE;
use super::presence::expect;
use super::sweeper::Trouble;
use super::{Device, Fleet, Result};
use crate::store::{named, Arg, Ctx, KeyType, StreamEntry};

/// What is recorded.
pub enum Entry<'a> {
    /// A document of a shadow.
    Change {
        /// `desired` or `reported`.
        kind: &'a str,
        name: Option<&'a str>,
        version: u64,
        change: &'a Change,
    },
    Presence {
        old: &'a str,
        new: &'a str,
        reason: &'a str,
        session: Option<u64>,
    },
    /// An alert was told.
    Alert {
        alert: &'a str,
        severity: u32,
        old: &'a str,
        new: &'a str,
        count: u64,
    },
}

/// About how many entries the history of this device keeps; `None`: one that is about to register.
pub fn maxlen(ctx: &Ctx<'_>, fleet: &Fleet, device: Option<&Device>) -> u64 {
    let device_type = device.map_or(UNKNOWN_TYPE, |device| &device.device_type);
    fleet.types.history(ctx, fleet, device_type.as_bytes())
}

/// Appends an entry. It comes last in a step whose writes are done: if it can't be written (the
/// stream's ids are used up), that is logged and the step stands.
pub fn append(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, entry: &Entry<'_>, now: u64) {
    let maxlen = maxlen(ctx, fleet, Some(device));
    if maxlen == 0 {
        return;
    }
    let key = fleet.keys.history(&device.id);
    let mut fields: Vec<Arg<'_>> = Vec::with_capacity(12);
    match entry {
        Entry::Change { kind, .. } => fields.extend(named("type", *kind)),
        Entry::Presence { .. } => fields.extend(named("type", "presence")),
        Entry::Alert { .. } => fields.extend(named("type", "alert")),
    }
    fields.extend(named("timestamp", now));
    match entry {
        Entry::Change {
            name,
            version,
            change,
            ..
        } => {
            fields.extend(named("version", *version));
            if let Some(name) = name {
                fields.extend(named("name", *name));
            }
            fields.extend(named("old", change.old.as_str()));
            fields.extend(named("new", change.new.as_str()));
        }
        Entry::Presence {
            old,
            new,
            reason,
            session,
        } => {
            fields.extend(named("old", *old));
            fields.extend(named("new", *new));
            fields.extend(named("reason", *reason));
            if let Some(session) = session {
                fields.extend(named("session", *session));
            }
        }
        Entry::Alert {
            alert,
            severity,
            old,
            new,
            count,
        } => {
            fields.extend(named("alert", *alert));
            fields.extend(named("severity", u64::from(*severity)));
            fields.extend(named("old", *old));
            fields.extend(named("new", *new));
            fields.extend(named("count", *count));
        }
    }
    if let Err(error) = ctx.xadd(&key, maxlen, now, &fields) {
        let text = format!("an entry of a device's history can't be written: {error}");
        fleet.complain(ctx, Trouble::Stream, &text);
    }
}

/// What is asked for.
pub struct Range {
    /// Milliseconds since the Unix epoch, both inclusive.
    pub from: Option<u64>,
    pub to: Option<u64>,
    pub count: Option<u64>,
    /// Newest first.
    pub reversed: bool,
}

/// The entries in the range.
pub fn read(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, range: &Range) -> Result<Vec<StreamEntry>> {
    Device::registered(ctx, fleet, id)?;
    let key = fleet.keys.history(id);
    expect(ctx, &key, KeyType::Stream)?;
    let (first, last) = ("-".to_owned(), "+".to_owned());
    let from = range.from.map_or(first, |ms| ms.to_string());
    let to = range.to.map_or(last, |ms| ms.to_string());
    let (command, start, end) = match range.reversed {
        false => (c"XRANGE", &from, &to),
        true => (c"XREVRANGE", &to, &from),
    };
    let mut args = vec![Arg::Str(&key), start.as_str().into(), end.as_str().into()];
    if let Some(count) = range.count {
        args.extend(named("COUNT", count));
    }
    Ok(ctx.read(command, &args)?.stream_entries())
}

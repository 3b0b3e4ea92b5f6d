//! Telling the world: the events stream, the channels, keyspace notifications.

use super::sweeper::Trouble;
use super::{settings, Device, Fleet, Result};
use crate::store::{pair, Arg, Ctx};

/// Appends an entry to `devices:events`: `type`, `device_id`, `timestamp`, then `more`.
///
/// It is the first write of every step, because it is the only one that can still fail once the
/// types of the keys are checked (somebody may have used up the stream's ids).
pub fn append(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    kind: &str,
    id: &str,
    now: u64,
    more: &[(&str, Arg<'_>)],
) -> Result<()> {
    let mut args: Vec<Arg<'_>> = Vec::with_capacity(11 + 2 * more.len());
    args.extend([
        Arg::Str(&fleet.keys.events),
        "MAXLEN".into(),
        "~".into(),
        settings::EVENTS_MAXLEN.value().into(),
        "*".into(),
        "type".into(),
        kind.into(),
        "device_id".into(),
        id.into(),
        "timestamp".into(),
        now.into(),
    ]);
    for (name, value) in more {
        args.extend([(*name).into(), *value]);
    }
    ctx.write(c"XADD", &args)?;
    Ok(())
}

/// Appends an applied report to `devices:reports`, for sinks. It comes last in a step whose writes
/// are done: if it can't be written, that is logged and the step stands.
pub fn append_report(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    name: Option<&str>,
    version: u64,
    report: &str,
    now: u64,
) {
    let mut args: Vec<Arg<'_>> = Vec::with_capacity(17);
    args.extend([
        Arg::Str(&fleet.keys.reports),
        "MAXLEN".into(),
        "~".into(),
        settings::REPORTS_MAXLEN.value().into(),
        "*".into(),
        "type".into(),
        "status".into(),
        "device_id".into(),
        id.into(),
        "timestamp".into(),
        now.into(),
    ]);
    if let Some(name) = name {
        args.extend(pair("name", name));
    }
    args.extend(pair("version", version));
    args.extend(pair("reported", report));
    if let Err(error) = ctx.write(c"XADD", &args) {
        let text = format!("a report can't be written to the stream of reports: {error}");
        fleet.complain(ctx, Trouble::Stream, &text);
    }
}

/// A message on a channel: a JSON object that begins with its type and the device's id.
pub struct Message {
    text: String,
}

impl Message {
    pub fn new(kind: &str, id: &str) -> Message {
        let mut message = Message {
            text: String::with_capacity(256),
        };
        message.text.push('{');
        message.text("type", kind);
        message.text("device_id", id);
        message
    }

    pub fn text(&mut self, name: &str, value: &str) {
        // Text always can be written as JSON.
        let value = serde_json::to_string(value).unwrap_or_default();
        self.json(name, &value);
    }

    pub fn number(&mut self, name: &str, value: u64) {
        self.json(name, itoa::Buffer::new().format(value));
    }

    /// `value` is JSON already; `name` is one of ours, which need no escape.
    pub fn json(&mut self, name: &str, value: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        self.text.push_str(value);
    }

    /// By PUBLISH, so that subscribers of replicas hear it too. Nobody can be told if it fails: the
    /// streams are the reliable form.
    pub fn publish(mut self, ctx: &Ctx<'_>, channel: &str) {
        self.text.push('}');
        let _ = ctx.write(c"PUBLISH", &[channel.into(), self.text.as_str().into()]);
    }
}

pub fn publish_presence(ctx: &Ctx<'_>, device: &Device, now: u64, reason: &str) {
    settings::PRESENCE_CHANNEL.with(|channel| {
        if channel.is_empty() {
            return;
        }
        let mut message = Message::new("presence", &device.id);
        message.text("status", device.status());
        message.number("timestamp", now);
        message.text("reason", reason);
        match device.session.session {
            Some(session) => message.number("session", session),
            None => message.json("session", "null"),
        }
        message.publish(ctx, channel);
    });
}

/// Tells WATCH, client-side caches and keyspace listeners that a device changed.
pub fn signal(ctx: &Ctx<'_>, device: &Device, event: &std::ffi::CStr) {
    ctx.touched(&device.id_key);
    ctx.notify(event, &device.key);
}

//! Telling the world: the events stream, the channels, keyspace notifications.

use devicestate_core::shadow::document::write_string;

use super::sweeper::Trouble;
use super::{settings, Device, Fleet, Result};
use crate::store::{named, Arg, Ctx, RString};

/// What is larger than this, in bytes, is left out of stream entries.
pub const LARGEST_IN_STREAM: usize = 1_024;

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
    more: &[(&'static str, Arg<'_>)],
) -> Result<()> {
    let maxlen = fleet.events_maxlen();
    let mut fields = head(kind, id, now);
    for (name, value) in more {
        fields.extend(named(name, *value));
    }
    let indexes = fleet.keys.of(id);
    fleet.event_log.append(ctx, indexes, maxlen, now, &fields)
}

/// The entry of a device that went offline, for whoever appends many: `stamp` is the time as text.
pub fn offline<'a>(device: &'a Device, stamp: &'a RString, reason: &'static str) -> Vec<Arg<'a>> {
    let mut fields = head(Arg::Name("offline"), &device.id_key, stamp);
    let more = of_transition(device, Arg::Name("offline"), Arg::Name(reason));
    fields.extend(
        more.into_iter()
            .flat_map(|(name, value)| named(name, value)),
    );
    fields
}

/// What the entry of a transition says beside its head.
pub fn of_transition<'a>(
    device: &Device,
    status: Arg<'a>,
    reason: Arg<'a>,
) -> Vec<(&'static str, Arg<'a>)> {
    let mut fields = vec![("status", status), ("reason", reason)];
    fields.extend(device.session.session.map(|n| ("session", n.into())));
    fields
}

/// What every entry of the fleet's streams begins with.
fn head<'a>(
    kind: impl Into<Arg<'a>>,
    id: impl Into<Arg<'a>>,
    now: impl Into<Arg<'a>>,
) -> Vec<Arg<'a>> {
    [
        named("type", kind),
        named("device_id", id),
        named("timestamp", now),
    ]
    .concat()
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
    let mut fields = head("status", id, now);
    if let Some(name) = name {
        fields.extend(named("name", name));
    }
    fields.extend(named("version", version));
    fields.extend(named("reported", report));
    let maxlen = settings::REPORTS_MAXLEN.value();
    if let Err(error) = ctx.xadd(&fleet.keys.of(id).reports, maxlen, now, &fields) {
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
        let mut message = Message::empty();
        message.text("type", kind);
        message.text("device_id", id);
        message
    }

    /// An answer about a device, which needs no type.
    pub fn about(id: &str) -> Message {
        let mut message = Message::empty();
        message.text("device_id", id);
        message
    }

    fn empty() -> Message {
        let mut text = String::with_capacity(256);
        text.push('{');
        Message { text }
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(&mut self.text, value);
    }

    pub fn number(&mut self, name: &str, value: u64) {
        self.json(name, itoa::Buffer::new().format(value));
    }

    /// `value` is JSON already; `name` is one of ours, which need no escape.
    pub fn json(&mut self, name: &str, value: &str) {
        self.name(name);
        self.text.push_str(value);
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// The streams are the reliable form: nobody can be told if this fails.
    pub fn publish(self, ctx: &Ctx<'_>, channel: &str) {
        ctx.publish(channel, &self.finish());
    }

    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
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

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
    let mut fields = head(kind, id, now).to_vec();
    for (name, value) in more {
        fields.extend(named(name, *value));
    }
    let indexes = fleet.keys.of(id);
    fleet.event_log.append(ctx, indexes, maxlen, now, &fields)
}

/// Puts together the entry of a device that went offline, for whoever appends many: `stamp` is the time
/// as text.
pub fn fill_offline<'a>(
    fields: &mut Vec<Arg<'a>>,
    device: &'a Device,
    stamp: &'a RString,
    reason: &'static str,
) {
    fields.extend(head(Arg::Name("offline"), &device.id_key, stamp));
    for (name, value) in of_transition(device, Arg::Name("offline"), Arg::Name(reason)) {
        fields.extend(named(name, value));
    }
}

/// What the entry of a transition says beside its head.
pub fn of_transition<'a>(
    device: &Device,
    status: Arg<'a>,
    reason: Arg<'a>,
) -> impl Iterator<Item = (&'static str, Arg<'a>)> {
    let session = device.session.session.map(|n| ("session", n.into()));
    [("status", status), ("reason", reason)]
        .into_iter()
        .chain(session)
}

/// What every entry of the fleet's streams begins with.
fn head<'a>(
    kind: impl Into<Arg<'a>>,
    id: impl Into<Arg<'a>>,
    now: impl Into<Arg<'a>>,
) -> [Arg<'a>; 6] {
    let [kind, id, now] = [kind.into(), id.into(), now.into()];
    let name = Arg::Name;
    [
        name("type"),
        kind,
        name("device_id"),
        id,
        name("timestamp"),
        now,
    ]
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
    let mut fields = head("status", id, now).to_vec();
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

/// Messages that devices went online or offline, at the same moment and for the same reason.
pub struct PresenceMessages {
    /// `None`: nobody wants them.
    channel: Option<RString>,
    text: String,
    /// So long is what stands before the id.
    head: usize,
    /// What stands between the id and the session.
    middle: String,
}

impl PresenceMessages {
    pub fn new(status: &str, now: u64, reason: &str) -> PresenceMessages {
        let mut message = Message::empty();
        message.text("type", "presence");
        message.name("device_id");
        let head = message.text.len();
        message.text("status", status);
        message.number("timestamp", now);
        message.text("reason", reason);
        message.name("session");
        let channel = settings::PRESENCE_CHANNEL
            .with(|channel| (!channel.is_empty()).then(|| RString::new(channel.as_bytes())));
        PresenceMessages {
            channel,
            middle: message.text.split_off(head),
            text: message.text,
            head,
        }
    }

    pub fn publish(&mut self, ctx: &Ctx<'_>, device: &Device) {
        let Some(channel) = &self.channel else {
            return;
        };
        self.text.truncate(self.head);
        write_string(&mut self.text, &device.id);
        self.text.push_str(&self.middle);
        match device.session.session {
            Some(session) => self.text.push_str(itoa::Buffer::new().format(session)),
            None => self.text.push_str("null"),
        }
        self.text.push('}');
        ctx.publish_on(channel, &self.text);
    }
}

/// Tells WATCH, client-side caches and keyspace listeners that a device changed.
pub fn signal(ctx: &Ctx<'_>, device: &Device, event: &std::ffi::CStr) {
    ctx.touched(&device.id_key);
    ctx.notify(event, &device.key);
}

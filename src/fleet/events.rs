//! Telling the world: the events stream, the channels, keyspace notifications.

use serde::Serialize;

use super::{settings, Device, Fleet, Result};
use crate::store::{Arg, Ctx};

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

/// What `devices:presence` carries.
#[derive(Serialize)]
struct PresenceMessage<'a> {
    r#type: &'static str,
    device_id: &'a str,
    status: &'static str,
    timestamp: u64,
    reason: &'a str,
    session: Option<u64>,
}

/// What `devices:status` carries; `reported` is the patch.
#[derive(Serialize)]
struct StatusMessage<'a> {
    r#type: &'static str,
    device_id: &'a str,
    version: u64,
    reported: &'a serde_json::Map<String, serde_json::Value>,
    timestamp: u64,
}

pub fn publish_presence(ctx: &Ctx<'_>, device: &Device, now: u64, reason: &str) {
    settings::PRESENCE_CHANNEL.with(|channel| {
        let message = PresenceMessage {
            r#type: "presence",
            device_id: &device.id,
            status: device.status(),
            timestamp: now,
            reason,
            session: device.session.session,
        };
        publish(ctx, channel, &message);
    });
}

pub fn publish_status(
    ctx: &Ctx<'_>,
    device: &Device,
    reported: &serde_json::Map<String, serde_json::Value>,
    now: u64,
) {
    settings::STATUS_CHANNEL.with(|channel| {
        let message = StatusMessage {
            r#type: "status",
            device_id: &device.id,
            version: device.version,
            reported,
            timestamp: now,
        };
        publish(ctx, channel, &message);
    });
}

/// By PUBLISH, so that subscribers of replicas hear it too. Nobody can be told if it fails: the
/// stream is the reliable form.
fn publish(ctx: &Ctx<'_>, channel: &str, message: &impl Serialize) {
    if channel.is_empty() {
        return;
    }
    if let Ok(text) = serde_json::to_string(message) {
        let _ = ctx.write(c"PUBLISH", &[channel.into(), text.as_str().into()]);
    }
}

/// Tells WATCH, client-side caches and keyspace listeners that a device changed.
pub fn signal(ctx: &Ctx<'_>, device: &Device, event: &std::ffi::CStr) {
    ctx.touched(&device.id_key);
    ctx.notify(event, &device.key);
}

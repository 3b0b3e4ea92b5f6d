//! `DEVICE.WHY id`

use super::{Args, Command};
use crate::fleet::{state, Device, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Why a device shows the status it shows: its last transition and the cause of it, its session,
/// its deadline, what holds it back, and which of its messages were ignored.
pub struct Why;

impl Command for Why {
    const SPEC: Spec = Spec {
        name: "device.why",
        summary: "Explains the status of a device",
        complexity: "O(1)",
        since: "0.1.0",
        arity: 2,
        flags: "readonly fast",
        keys: Keys::First(KeyUse::Read),
        tips: "nondeterministic_output",
        args: &[ArgSpec::new("id", ArgKind::Key)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        args.finish()?;
        let device = Device::registered(ctx, fleet, id)?;

        let answer = explain(ctx, fleet, &device);
        ctx.reply_map(answer.len());
        for (name, value) in answer {
            ctx.reply_bytes(name.as_bytes());
            match value {
                Value::Int(value) => ctx.reply_int(value),
                Value::Text(value) => ctx.reply_bytes(value.as_bytes()),
                Value::Null => ctx.reply_null(),
            }
        }
        Ok(())
    }
}

enum Value {
    Int(u64),
    Text(String),
    Null,
}

impl From<Option<u64>> for Value {
    fn from(value: Option<u64>) -> Value {
        value.map_or(Value::Null, Value::Int)
    }
}

fn explain(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> [(&'static str, Value); 15] {
    let now = ctx.now_ms();
    let f = &fleet.fields;
    let ignored = device.number(ctx, &f.ignored).unwrap_or(0);
    let (timeout, source) = device.effective_timeout(ctx, fleet);
    let deadline = state::deadline(ctx, fleet, device, now);
    let silence_ends = device.last_seen.max(device.since).saturating_add(timeout);
    let held_by = match fleet.hearing().deaf() {
        Some(deaf) => Value::Text(deaf.name().to_owned()),
        None if deadline.is_some_and(|deadline| deadline > silence_ends) => {
            Value::Text("grace".to_owned())
        }
        None => Value::Null,
    };
    [
        ("device_id", Value::Text(device.id.clone())),
        ("status", Value::Text(device.status().to_owned())),
        ("status_since", Value::Int(device.since)),
        ("cause", Value::Text(cause(ctx, fleet, device))),
        ("last_seen", Value::Int(device.last_seen)),
        ("timeout", Value::Int(timeout)),
        ("timeout_from", Value::Text(source.name().to_owned())),
        ("deadline", deadline.into()),
        (
            "time_left",
            deadline.map(|deadline| deadline.saturating_sub(now)).into(),
        ),
        ("held_by", held_by),
        ("session", device.session.session.into()),
        ("seq", device.session.seq.into()),
        ("ignored", Value::Int(ignored)),
        (
            "ignored_reason",
            device
                .text(ctx, &f.ignored_reason)
                .map_or(Value::Null, Value::Text),
        ),
        ("ignored_at", device.number(ctx, &f.ignored_at).into()),
    ]
}

fn cause(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> String {
    let reason = device.text(ctx, &fleet.fields.status_reason);
    let cause = match &reason {
        _ if device.from_recipe => "written by the plain recipe",
        _ if device.online && device.last_seen < device.since => "adopted",
        _ if device.online => "heartbeat",
        Some(reason) => reason,
        None if device.last_seen == 0 => "registered, never seen",
        None => "adopted",
    };
    cause.to_owned()
}

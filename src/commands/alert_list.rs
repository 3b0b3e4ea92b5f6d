//! `ALERT.LIST id`

use devicestate_core::alert::Record;

use super::{Args, Command};
use crate::fleet::{alerts, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The alerts of a device that fire or are held back, by name: an array of maps. Those that are
/// cleared are not shown, though their clock may run.
pub struct AlertList;

impl Command for AlertList {
    const SPEC: Spec = Spec {
        name: "alert.list",
        summary: "Lists the active alerts of a device",
        complexity: "O(N log N) in the alerts of the device",
        since: "0.1.0",
        arity: 2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "",
        args: &[ArgSpec::new("id", ArgKind::Key)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        args.finish()?;

        let active = alerts::list(ctx, fleet, id)?;
        ctx.reply_array(active.len());
        for (alert, record) in &active {
            reply_alert(ctx, alert, record);
        }
        Ok(())
    }
}

fn reply_alert(ctx: &Ctx<'_>, alert: &str, record: &Record) {
    ctx.reply_map(11);
    for (name, text) in [("alert", alert), ("state", record.state.name())] {
        ctx.reply_bytes(name.as_bytes());
        ctx.reply_bytes(text.as_bytes());
    }
    for (name, number) in [
        ("severity", record.severity.into()),
        ("count", record.count),
        ("first", record.first),
        ("last", record.last),
        ("since", record.since),
        ("acked", record.acked.into()),
    ] {
        ctx.reply_bytes(name.as_bytes());
        ctx.reply_int(number);
    }
    ctx.reply_bytes(b"told");
    match record.told {
        Some(told) => ctx.reply_int(told.at),
        None => ctx.reply_null(),
    }
    ctx.reply_bytes(b"users");
    ctx.reply_array(record.users.len());
    for user in &record.users {
        ctx.reply_bytes(user.as_bytes());
    }
    ctx.reply_bytes(b"data");
    match &record.data {
        Some(data) => ctx.reply_bytes(data.get().as_bytes()),
        None => ctx.reply_null(),
    }
}

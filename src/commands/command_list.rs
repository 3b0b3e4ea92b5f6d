//! `DEVICE.COMMAND.LIST id`

use super::{Args, Command};
use crate::fleet::device_commands::outcomes::Finished;
use crate::fleet::device_commands::{self, Unfinished};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The commands of a device: those that are not done, in the order in which they were given, then what
/// became of the last ones. An array of maps.
pub struct CommandList;

impl Command for CommandList {
    const SPEC: Spec = Spec {
        name: "device.command.list",
        summary: "Lists the commands of a device and what became of the last ones",
        complexity: "O(N) in the commands of the device",
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

        let (unfinished, finished) = device_commands::list(ctx, fleet, id, ctx.now_ms())?;
        ctx.reply_array(unfinished.len() + finished.len());
        for command in &unfinished {
            reply_unfinished(ctx, command);
        }
        for command in &finished {
            reply_finished(ctx, command);
        }
        Ok(())
    }
}

fn reply_unfinished(ctx: &Ctx<'_>, command: &Unfinished) {
    ctx.reply_map(6);
    reply_texts(
        ctx,
        &[
            ("command_id", &command.command_id),
            ("state", command.state),
            ("command", &command.command),
        ],
    );
    ctx.reply_bytes(b"deliveries");
    ctx.reply_int(command.deliveries);
    ctx.reply_bytes(b"left_ms");
    match command.left_ms {
        Some(left) => ctx.reply_int(left),
        None => ctx.reply_null(),
    }
    ctx.reply_bytes(b"added");
    ctx.reply_int(command.added);
}

fn reply_finished(ctx: &Ctx<'_>, command: &Finished) {
    ctx.reply_map(6);
    reply_texts(
        ctx,
        &[
            ("command_id", &command.command_id),
            ("state", "done"),
            ("command", &command.command),
            ("outcome", command.outcome.name()),
        ],
    );
    ctx.reply_bytes(b"result");
    match &command.result {
        Some(result) => ctx.reply_bytes(result.as_bytes()),
        None => ctx.reply_null(),
    }
    ctx.reply_bytes(b"finished");
    ctx.reply_int(command.finished);
}

fn reply_texts(ctx: &Ctx<'_>, texts: &[(&str, &str)]) {
    for (name, text) in texts {
        ctx.reply_bytes(name.as_bytes());
        ctx.reply_bytes(text.as_bytes());
    }
}

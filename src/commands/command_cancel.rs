//! `DEVICE.COMMAND.CANCEL id cmd`

use super::{Args, Command};
use crate::fleet::device_commands::{self, outcomes::Outcome};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// A command is not wanted any more: 1, or 0 when there is none of this id (any more). It goes whatever
/// state it is in; a device that has taken it is not told.
pub struct CommandCancel;

impl Command for CommandCancel {
    const SPEC: Spec = Spec {
        name: "device.command.cancel",
        summary: "Takes a command back",
        complexity: "O(1)",
        since: "0.1.0",
        arity: 3,
        flags: "write",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("cmd", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let command = args.next_message_id("command id")?;
        args.finish()?;

        let now = ctx.now_ms();
        let gone = device_commands::finish(ctx, fleet, id, command, Outcome::Cancelled, None, now)?;
        ctx.reply_int(gone.into());
        Ok(())
    }
}

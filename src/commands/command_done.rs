//! `DEVICE.COMMAND.DONE id cmd OK|FAILED|REJECTED [json]`

use devicestate_core::message::Status;

use super::{Args, Command};
use crate::fleet::device_commands::{self, outcomes::Outcome};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// A command is done, one way or the other: 1, or 0 when there is none of this id (any more). The last
/// 16 outcomes stay readable.
pub struct CommandDone;

impl Command for CommandDone {
    const SPEC: Spec = Spec {
        name: "device.command.done",
        summary: "Stores what became of a command, which leaves the queue",
        complexity: "O(1)",
        since: "0.1.0",
        arity: -4,
        flags: "write",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("cmd", ArgKind::Text),
            ArgSpec::new(
                "outcome",
                ArgKind::OneOf(&[
                    ArgSpec::word("OK", "ok"),
                    ArgSpec::word("FAILED", "failed"),
                    ArgSpec::word("REJECTED", "rejected"),
                ]),
            ),
            ArgSpec::new("json", ArgKind::Text).optional(),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let command = args.next_message_id("command id")?;
        let mut seen = Vec::new();
        let status = match args.next_keyword(&["OK", "FAILED", "REJECTED"], &mut seen)? {
            Some("OK") => Status::Ok,
            Some("FAILED") => Status::Failed,
            _ => Status::Rejected,
        };
        let result = match args.left() {
            0 => None,
            _ => Some(args.next_value("json")?),
        };
        args.finish()?;

        let outcome = Outcome::Done(status);
        let result = result.as_deref();
        let done = device_commands::finish(ctx, fleet, id, command, outcome, result, ctx.now_ms())?;
        ctx.reply_int(done.into());
        Ok(())
    }
}

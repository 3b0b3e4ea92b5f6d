//! `DEVICE.COMMAND.TAKE id [COUNT n] [LEASE ms]`

use devicestate_core::queue::message::Message;

use super::{require, Args, Command};
use crate::fleet::device_commands::{self, LEASE_MS};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The most commands that are taken at once.
const MAX_COUNT: u64 = 10_000;

/// Hands out commands that wait, in the order in which they were given: `[[cmd, json, deliveries] ...]`,
/// one unless COUNT says otherwise. What is not done within LEASE (30 s) is handed out again; what was
/// handed out five times in vain is dead. Beside the id, the user needs write permission for
/// `device:commands:<id>`.
pub struct CommandTake;

impl Command for CommandTake {
    const SPEC: Spec = Spec {
        name: "device.command.take",
        summary: "Hands out the commands of a device that wait",
        complexity: "O(N) in the commands handed out",
        since: "0.1.0",
        arity: -2,
        flags: "write",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::option("LEASE", "lease-milliseconds", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let (mut count, mut lease_ms) = (1, LEASE_MS);
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["COUNT", "LEASE"], &mut seen)? {
            match keyword {
                "COUNT" => count = args.next_bounded("COUNT", 1, MAX_COUNT)?,
                _ => lease_ms = args.next_lasting("LEASE", 1)?,
            }
        }
        args.finish()?;
        require(ctx, Access::Write, &fleet.keys.commands(id))?;

        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let taken = device_commands::take(ctx, fleet, id, count, lease_ms, ctx.now_ms())?;
        ctx.reply_array(taken.len());
        for delivery in &taken {
            ctx.reply_array(3);
            ctx.reply_bytes(delivery.entry.id.text().bytes());
            match Message::read(delivery.entry.pairs()).body {
                Some(command) => ctx.reply_bytes(command),
                None => ctx.reply_null(),
            }
            ctx.reply_int(delivery.deliveries);
        }
        Ok(())
    }
}

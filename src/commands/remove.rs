//! `DEVICE.REMOVE id [BLOCK ms]`

use super::{Args, Command};
use crate::fleet::{registry, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Removes a device with every key and index entry it has. If it is online, its offline step comes
/// first, with the reason `removed`. With BLOCK, messages of this id do not register it again for
/// that long. Replies 1, or 0 when it was unknown.
pub struct Remove;

impl Command for Remove {
    const SPEC: Spec = Spec {
        name: "device.remove",
        summary: "Removes a device and everything stored of it",
        complexity: "O(1)",
        since: "0.1.0",
        arity: -2,
        flags: "write fast",
        keys: Keys::First(KeyUse::Delete),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::option("BLOCK", "milliseconds", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let mut block = None;
        let mut seen = Vec::new();
        while args.next_keyword(&["BLOCK"], &mut seen)?.is_some() {
            block = Some(args.next_ms("BLOCK")?);
        }
        args.finish()?;

        let removed = registry::remove(ctx, fleet, id, block, ctx.now_ms())?;
        ctx.reply_int(u64::from(removed));
        Ok(())
    }
}

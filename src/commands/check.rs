//! `DEVICE.CHECK cursor [COUNT n] [REPAIR]`

use super::{require, Args, Command};
use crate::fleet::check::{self, Mode, Position};
use crate::fleet::error::Error;
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// Compares indexes with hashes, both ways, a slice per call: `[next_cursor, map of findings]`.
/// Start with cursor `0` and go on until it is `0` again. With REPAIR it mends what it finds, and
/// adopts hashes that the plain recipe wrote.
pub struct Check;

pub const DEFAULT_COUNT: u64 = 100;
pub const MAX_COUNT: u64 = 10_000;

impl Command for Check {
    const SPEC: Spec = Spec {
        name: "device.check",
        summary: "Compares indexes with devices, and mends them on request",
        complexity: "O(N) in COUNT",
        since: "0.1.0",
        arity: -2,
        flags: "write",
        keys: Keys::None,
        tips: "request_policy:special response_policy:special",
        args: &[
            ArgSpec::new("cursor", ArgKind::Text),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::flag("REPAIR", "repair"),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let position = Position::decode(args.next_bytes("cursor")?)
            .ok_or_else(|| Error::usage("cursor is none that DEVICE.CHECK gave"))?;
        let mut count = DEFAULT_COUNT;
        let mut mode = Mode::Look;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["COUNT", "REPAIR"], &mut seen)? {
            match keyword {
                "COUNT" => count = args.next_bounded("COUNT", 1, MAX_COUNT)?,
                _ => mode = Mode::RepairAndAdopt,
            }
        }
        args.finish()?;
        let access = if mode == Mode::Look {
            Access::Read
        } else {
            Access::Write
        };
        require(ctx, access, &fleet.keys.permission.registered)?;

        let (next, findings) = check::step(ctx, fleet, position, count, mode, ctx.now_ms())?;
        ctx.reply_array(2);
        ctx.reply_bytes(next.encode().as_bytes());
        let fields = findings.fields();
        ctx.reply_map(fields.len());
        for (name, value) in fields {
            ctx.reply_bytes(name.as_bytes());
            ctx.reply_int(value);
        }
        Ok(())
    }
}

//! `DEVICE.HISTORY id [FROM ms] [TO ms] [COUNT n] [REV]`

use super::{Args, Command};
use crate::fleet::history::{self, Range};
use crate::fleet::{settings, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// What changed of a device: an array of `[entry-id, map]`, oldest first, with REV newest first. In
/// a map, `new` is a patch that makes the change and `old` one that takes it back.
pub struct History;

impl Command for History {
    const SPEC: Spec = Spec {
        name: "device.history",
        summary: "Lists the changes of a device's shadows, and of its presence where that is kept",
        complexity: "O(N) in the number of entries",
        since: "0.1.0",
        arity: -2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::option("FROM", "from-unix-time-milliseconds", ArgKind::Integer),
            ArgSpec::option("TO", "to-unix-time-milliseconds", ArgKind::Integer),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::flag("REV", "rev"),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let mut range = Range {
            from: None,
            to: None,
            count: None,
            reversed: false,
        };
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["FROM", "TO", "COUNT", "REV"], &mut seen)? {
            match keyword {
                "FROM" => range.from = Some(args.next_number("FROM")?),
                "TO" => range.to = Some(args.next_number("TO")?),
                "COUNT" => {
                    range.count = Some(args.next_bounded("COUNT", 1, settings::MAX_HISTORY)?)
                }
                _ => range.reversed = true,
            }
        }
        args.finish()?;

        let entries = history::read(ctx, fleet, id, &range)?;
        ctx.reply_array(entries.len());
        for entry in entries {
            ctx.reply_array(2);
            ctx.reply_bytes(&entry.id);
            ctx.reply_map(entry.fields.len());
            for (field, value) in &entry.fields {
                ctx.reply_bytes(field);
                ctx.reply_bytes(value);
            }
        }
        Ok(())
    }
}

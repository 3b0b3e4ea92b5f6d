//! `QUEUE.PENDING key [COUNT n]`

use super::args::MAX_MESSAGES;
use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The messages that are leased, put off, due again or dead, oldest first: an array of maps with `id`,
/// `worker` (null: nobody has it), `deliveries`, `lease_left` (milliseconds until it is delivered
/// again; null for a dead one) and `state`.
pub struct QueuePending;

const COUNT: u64 = 100;

impl Command for QueuePending {
    const SPEC: Spec = Spec {
        name: "queue.pending",
        summary: "Lists messages that are leased, put off, due again or dead",
        complexity: "O(N) in COUNT",
        since: "0.1.0",
        arity: -2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "nondeterministic_output",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let mut count = COUNT;
        let mut seen = Vec::new();
        while args.next_keyword(&["COUNT"], &mut seen)?.is_some() {
            count = args.next_bounded("COUNT", 1, MAX_MESSAGES as u64)?;
        }
        args.finish()?;
        let rows = queue::pending(ctx, key, count, ctx.now_ms())?;
        ctx.reply_array(rows.len());
        for row in rows {
            ctx.reply_map(5);
            ctx.reply_bytes(b"id");
            ctx.reply_bytes(row.id.to_string().as_bytes());
            ctx.reply_bytes(b"worker");
            match row.worker {
                Some(worker) => ctx.reply_bytes(&worker),
                None => ctx.reply_null(),
            }
            ctx.reply_bytes(b"deliveries");
            ctx.reply_int(row.deliveries);
            ctx.reply_bytes(b"lease_left");
            match row.left_ms {
                Some(left) => ctx.reply_int(left),
                None => ctx.reply_null(),
            }
            ctx.reply_bytes(b"state");
            ctx.reply_bytes(row.state.name().as_bytes());
        }
        Ok(())
    }
}

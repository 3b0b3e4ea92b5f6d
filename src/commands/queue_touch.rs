//! `QUEUE.TOUCH key worker ms id [id ...]`

use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// A worker that needs longer renews its leases: they last `ms` from now on, but not beyond the time
/// to live of the message. Replies how many of them it still had.
pub struct QueueTouch;

impl Command for QueueTouch {
    const SPEC: Spec = Spec {
        name: "queue.touch",
        summary: "Renews the leases of messages",
        complexity: "O(N*log(P)) in the number of ids, with P messages pending",
        since: "0.1.0",
        arity: -5,
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new("worker", ArgKind::Text),
            ArgSpec::new("ms", ArgKind::Integer),
            ArgSpec::new("id", ArgKind::Text).multiple(),
        ],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let worker = args.next_worker()?;
        let ms = args.next_lasting("ms", 1)?;
        let ids = args.next_messages(&[])?;
        args.finish()?;
        let held = queue::touch(ctx, key, worker, ms, &ids, ctx.now_ms())?;
        ctx.reply_int(held);
        Ok(())
    }
}

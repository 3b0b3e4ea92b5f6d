//! `QUEUE.STAT key`

use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// How many messages are `ready`, `delayed`, `leased` and `dead`, and `oldest_age`: the milliseconds
/// since the oldest that is not dead was added, null when there is none.
pub struct QueueStat;

impl Command for QueueStat {
    const SPEC: Spec = Spec {
        name: "queue.stat",
        summary: "Counts the messages of a queue by their state",
        complexity: "O(D) in the messages that are due again, and once for each that was put off \
                     before a QUEUE.GET came to it; on a replica O(P) in those pending",
        since: "0.1.0",
        arity: 2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "nondeterministic_output",
        args: &[ArgSpec::new("key", ArgKind::Key)],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        args.finish()?;
        let stat = queue::stat(ctx, key, ctx.now_ms())?;
        ctx.reply_map(5);
        for (name, count) in [
            ("ready", stat.ready),
            ("delayed", stat.delayed),
            ("leased", stat.leased),
            ("dead", stat.dead),
        ] {
            ctx.reply_bytes(name.as_bytes());
            ctx.reply_int(count);
        }
        ctx.reply_bytes(b"oldest_age");
        match stat.oldest_age {
            Some(age) => ctx.reply_int(age),
            None => ctx.reply_null(),
        }
        Ok(())
    }
}

//! `QUEUE.KICK key id [id ...]`

use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Dead messages are delivered again, and their deliveries counted from the start. Replies how many of
/// them were dead; one whose time to live is over can't be revived.
pub struct QueueKick;

impl Command for QueueKick {
    const SPEC: Spec = Spec {
        name: "queue.kick",
        summary: "Revives dead messages",
        complexity: "O(N*log(P)) in the number of ids, with P messages pending",
        since: "0.1.0",
        arity: -3,
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new("id", ArgKind::Text).multiple(),
        ],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let ids = args.next_messages(&[])?;
        args.finish()?;
        ctx.reply_int(queue::kick(ctx, key, &ids, ctx.now_ms())?);
        Ok(())
    }
}

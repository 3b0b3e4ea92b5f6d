//! `QUEUE.ACK key id [id ...]`

use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Messages are done: removes them, whoever has them and whatever state they are in, and replies how
/// many there were. So it also cancels what nobody had yet, and clears away what is dead.
pub struct QueueAck;

impl Command for QueueAck {
    const SPEC: Spec = Spec {
        name: "queue.ack",
        summary: "Removes messages that are done",
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
        ctx.reply_int(queue::ack(ctx, key, &ids)?);
        Ok(())
    }
}

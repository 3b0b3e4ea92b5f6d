//! `QUEUE.NACK key worker id [id ...] [DELAY ms | DEAD]`

use super::{Args, Command};
use crate::fleet::error::Error;
use crate::fleet::{Fleet, Result};
use crate::queue::{self, GiveBack};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// A worker gives back messages that it could not handle: at once, after a DELAY, or as DEAD, which
/// nobody is to try again. Replies how many of them it had; those of others are left alone.
pub struct QueueNack;

const KEYWORDS: [&str; 2] = ["DELAY", "DEAD"];

impl Command for QueueNack {
    const SPEC: Spec = Spec {
        name: "queue.nack",
        summary: "Gives back messages that could not be handled",
        complexity: "O(N*log(P)) in the number of ids, with P messages pending",
        since: "0.1.0",
        arity: -4,
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new("worker", ArgKind::Text),
            ArgSpec::new("id", ArgKind::Text).multiple(),
            ArgSpec::new(
                "how",
                ArgKind::OneOf(&[
                    ArgSpec {
                        name: "delay",
                        kind: ArgKind::Integer,
                        token: Some("DELAY"),
                        optional: false,
                        multiple: false,
                    },
                    ArgSpec {
                        name: "dead",
                        kind: ArgKind::Flag,
                        token: Some("DEAD"),
                        optional: false,
                        multiple: false,
                    },
                ]),
            )
            .optional(),
        ],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let worker = args.next_worker()?;
        let ids = args.next_messages(&KEYWORDS)?;
        let mut how = GiveBack::After(0);
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "DELAY" => how = GiveBack::After(args.next_lasting("DELAY", 0)?),
                _ => how = GiveBack::Dead,
            }
        }
        args.finish()?;
        if seen.len() > 1 {
            return Err(Error::usage("DELAY and DEAD exclude each other"));
        }
        let held = queue::nack(ctx, key, worker, &ids, how, ctx.now_ms())?;
        ctx.reply_int(held);
        Ok(())
    }
}

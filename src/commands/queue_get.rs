//! `QUEUE.GET key worker [COUNT n] [LEASE ms] [MAX n] [INFLIGHT n] [BLOCK ms]`

use devicestate_core::queue::message::Message;
use devicestate_core::queue::times::LEASE_BY_HAND_MS;

use super::args::MAX_MESSAGES;
use super::{Args, Command};
use crate::fleet::{Fleet, Result};
use crate::queue::{self, Ask, Delivery};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Hands out messages and leases them to a worker: nobody else gets them until the lease is over or
/// they are given back. Replies `[[id, body, attributes, deliveries] ...]`.
///
/// What comes for the MAX-th time and is not acknowledged is dead when its lease is over. INFLIGHT n
/// keeps the order: only the n oldest messages that are not done are handed out. BLOCK waits when
/// there is nothing (0: for ever), where a client may wait.
pub struct QueueGet;

const LEASE_MS: u64 = LEASE_BY_HAND_MS;
const MAX_DELIVERIES: u64 = 5;
/// Bounds of MAX and INFLIGHT.
const MANY: u64 = 1_000_000_000;

const KEYWORDS: [&str; 5] = ["COUNT", "LEASE", "MAX", "INFLIGHT", "BLOCK"];

impl Command for QueueGet {
    const SPEC: Spec = Spec {
        name: "queue.get",
        summary: "Hands out messages of a queue and leases them to a worker",
        complexity: "O(N*log(P)) in the messages handed out, dropped or buried, with P pending",
        since: "0.1.0",
        arity: -3,
        flags: "write blocking",
        keys: Keys::First(KeyUse::Update),
        tips: "nondeterministic_output",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new("worker", ArgKind::Text),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::option("LEASE", "lease", ArgKind::Integer),
            ArgSpec::option("MAX", "max", ArgKind::Integer),
            ArgSpec::option("INFLIGHT", "inflight", ArgKind::Integer),
            ArgSpec::option("BLOCK", "block", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, _: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let mut ask = Ask {
            worker: args.next_worker()?.to_vec(),
            count: 1,
            lease_ms: LEASE_MS,
            max: MAX_DELIVERIES,
            in_flight: None,
        };
        let mut block_ms = None;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "COUNT" => ask.count = next_count(&mut args, "COUNT", MAX_MESSAGES as u64)?,
                "LEASE" => ask.lease_ms = args.next_lasting("LEASE", 1)?,
                "MAX" => ask.max = args.next_bounded("MAX", 0, MANY)?,
                "INFLIGHT" => ask.in_flight = Some(next_count(&mut args, "INFLIGHT", MANY)?),
                _ => block_ms = Some(args.next_lasting("BLOCK", 0)?),
            }
        }
        args.finish()?;
        let taken = queue::get(ctx, key, &ask, ctx.now_ms())?;
        match block_ms {
            Some(block_ms) if taken.deliveries.is_empty() && ctx.may_block() => {
                queue::block(ctx, key, ask, block_ms, taken.look_again_at, Reply);
            }
            _ => reply(ctx, &taken.deliveries),
        }
        Ok(())
    }
}

fn next_count(args: &mut Args<'_>, argument: &str, max: u64) -> Result<usize> {
    let count = args.next_bounded(argument, 1, max)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// What a client that waited is told.
struct Reply;

impl queue::Waiting for Reply {
    fn reply(&self, ctx: &Ctx<'_>, result: Result<Vec<Delivery>>) {
        match result {
            Ok(deliveries) => reply(ctx, &deliveries),
            Err(error) => ctx.reply_error(&error.to_string()),
        }
    }
}

fn reply(ctx: &Ctx<'_>, deliveries: &[Delivery]) {
    ctx.reply_array(deliveries.len());
    for delivery in deliveries {
        let message = Message::read(delivery.entry.pairs());
        ctx.reply_array(4);
        ctx.reply_bytes(delivery.entry.id.text().bytes());
        match message.body {
            Some(body) => ctx.reply_bytes(body),
            None => ctx.reply_null(),
        }
        ctx.reply_map(message.attributes.len());
        for (name, value) in message.attributes {
            ctx.reply_bytes(name);
            ctx.reply_bytes(value);
        }
        ctx.reply_int(delivery.deliveries);
    }
}

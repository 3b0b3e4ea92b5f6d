//! `ALERT.BATCH user [COUNT n] [LEASE ms] [NOW]`

use super::{require_user, Args, Command};
use crate::fleet::alerts::users::{self, BatchItem, Fetch};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// The most items of a batch, and how many it has unless COUNT says otherwise.
const MAX_COUNT: u64 = 10_000;
/// After how many milliseconds a batch comes back unless LEASE says otherwise.
const LEASE_MS: u64 = 60_000;

/// Fetches what a user has to be told: `[token, [item map ...]]`, the worst first, then the oldest;
/// null when nothing is pending, when it is not due yet (NOW fetches it all the same), or while a
/// batch is out. A batch that is not done within LEASE (a minute) comes back. With COUNT the rest waits
/// until this batch is done.
pub struct AlertBatch;

impl Command for AlertBatch {
    const SPEC: Spec = Spec {
        name: "alert.batch",
        summary: "Fetches what a user has to be told",
        complexity: "O(N log N) in the items pending for the user, O(log M) in the users",
        since: "0.1.0",
        arity: -2,
        flags: "write",
        keys: Keys::User,
        tips: "request_policy:all_shards response_policy:special",
        args: &[
            ArgSpec::new("user", ArgKind::Key),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::option("LEASE", "lease-milliseconds", ArgKind::Integer),
            ArgSpec::flag("NOW", "now"),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let user = args.next_user()?;
        let (mut count, mut lease_ms, mut now) = (MAX_COUNT, LEASE_MS, false);
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["COUNT", "LEASE", "NOW"], &mut seen)? {
            match keyword {
                "COUNT" => count = args.next_bounded("COUNT", 1, MAX_COUNT)?,
                "LEASE" => lease_ms = args.next_lasting("LEASE", 1)?,
                _ => now = true,
            }
        }
        args.finish()?;
        require_user(ctx, user)?;

        let fetch = Fetch {
            count: usize::try_from(count).unwrap_or(usize::MAX),
            lease_ms,
            now,
        };
        let Some(batch) = users::batch(ctx, fleet, user, &fetch, ctx.now_ms())? else {
            ctx.reply_null();
            return Ok(());
        };
        ctx.reply_array(2);
        ctx.reply_bytes(batch.token.as_bytes());
        ctx.reply_array(batch.items.len());
        for item in &batch.items {
            reply_item(ctx, item);
        }
        Ok(())
    }
}

fn reply_item(ctx: &Ctx<'_>, batch: &BatchItem) {
    let item = &batch.item;
    ctx.reply_map(8);
    ctx.reply_bytes(b"device_id");
    match &batch.device {
        Some(id) => ctx.reply_bytes(id.as_bytes()),
        None => ctx.reply_null(),
    }
    for (name, text) in [
        ("alert", batch.alert.as_str()),
        ("state", item.state.name()),
    ] {
        ctx.reply_bytes(name.as_bytes());
        ctx.reply_bytes(text.as_bytes());
    }
    for (name, number) in [
        ("severity", item.severity.into()),
        ("count", item.count),
        ("first", item.first),
        ("last", item.last),
    ] {
        ctx.reply_bytes(name.as_bytes());
        ctx.reply_int(number);
    }
    ctx.reply_bytes(b"data");
    match &item.data {
        Some(data) => ctx.reply_bytes(data.get().as_bytes()),
        None => ctx.reply_null(),
    }
}

//! `ALERT.DUE [COUNT n]`

use super::{require, Args, Command};
use crate::fleet::alerts::users;
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// How many users are listed unless COUNT says otherwise, and at most.
const COUNT: u64 = 100;
const MAX_COUNT: u64 = 10_000;

/// Users whose batch can be fetched now, those that wait longest first: an array. Nothing is fetched by
/// that; who is quicker with `ALERT.BATCH` gets the batch.
pub struct AlertDue;

impl Command for AlertDue {
    const SPEC: Spec = Spec {
        name: "alert.due",
        summary: "Lists users whose batch is due",
        complexity: "O(log N + M) in the users who have something pending and those listed",
        since: "0.1.0",
        arity: -1,
        flags: "readonly",
        keys: Keys::None,
        tips: "request_policy:all_shards nondeterministic_output",
        args: &[ArgSpec::option("COUNT", "count", ArgKind::Integer)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let mut count = COUNT;
        let mut seen = Vec::new();
        while args.next_keyword(&["COUNT"], &mut seen)?.is_some() {
            count = args.next_bounded("COUNT", 1, MAX_COUNT)?;
        }
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.alerts_due)?;

        let users = users::due_now(ctx, fleet, count, ctx.now_ms())?;
        ctx.reply_array(users.len());
        for user in &users {
            ctx.reply_bytes(user);
        }
        Ok(())
    }
}

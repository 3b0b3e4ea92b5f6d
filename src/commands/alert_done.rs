//! `ALERT.DONE user token`

use super::{require_user, Args, Command};
use crate::fleet::alerts::users;
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// A user has been told what was in a batch: its items are removed. Replies how many; 0 when the token
/// is stale, because the batch came back and went out again, or was done before.
pub struct AlertDone;

impl Command for AlertDone {
    const SPEC: Spec = Spec {
        name: "alert.done",
        summary: "Removes the items of a batch that a user has been told",
        complexity: "O(N) in the items pending for the user, O(log M) in the users",
        since: "0.1.0",
        arity: 3,
        flags: "write",
        keys: Keys::User,
        tips: "request_policy:all_shards response_policy:agg_sum",
        args: &[
            ArgSpec::new("user", ArgKind::Key),
            ArgSpec::new("token", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let user = args.next_user()?;
        let token = args.next_bytes("token")?;
        args.finish()?;
        require_user(ctx, user)?;

        let removed = users::done(ctx, fleet, user, token, ctx.now_ms())?;
        ctx.reply_int(removed);
        Ok(())
    }
}

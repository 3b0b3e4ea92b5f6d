//! The users' half of the check: the hash of a user's pending notifications says when the next batch
//! may be fetched, `alerts:due` must say the same.

use super::Walk;
use crate::fleet::alerts::users;
use crate::fleet::pages::score_of;
use crate::fleet::presence::expect;
use crate::fleet::Result;
use crate::store::{Arg, KeyType};

impl Walk<'_> {
    /// A user's hash: does the sorted set know of it?
    pub(super) fn user(&mut self, user: &[u8]) -> Result<()> {
        let (ctx, fleet) = (self.ctx, self.fleet);
        let Ok(user) = devicestate_core::name::check(user) else {
            self.findings.foreign += 1;
            return Ok(());
        };
        let Ok(due) = users::due_of(ctx, fleet, user) else {
            self.findings.foreign += 1;
            return Ok(());
        };
        let key = Arg::Str(&fleet.keys.alerts_due);
        expect(ctx, &fleet.keys.alerts_due, KeyType::SortedSet)?;
        let reply = ctx.read(c"ZSCORE", &[key, user.into()])?;
        let score = reply.bytes().map(score_of);
        if score == due.map(|due| due as f64) {
            return Ok(());
        }
        self.findings.unindexed += 1;
        if self.repairs() {
            match due {
                Some(due) => ctx.write(c"ZADD", &[key, due.into(), user.into()])?,
                None => ctx.write(c"ZREM", &[key, user.into()])?,
            };
            self.findings.mended += 1;
        }
        Ok(())
    }

    /// A page of the sorted set: users who have nothing pending; the cursor of the next page.
    pub(super) fn users_due(&mut self, cursor: u64) -> Result<u64> {
        let (ctx, fleet) = (self.ctx, self.fleet);
        let key = Arg::Str(&fleet.keys.alerts_due);
        expect(ctx, &fleet.keys.alerts_due, KeyType::SortedSet)?;
        let args = [key, cursor.into(), "COUNT".into(), self.count.into()];
        let Some(page) = ctx.read(c"ZSCAN", &args)?.into_page() else {
            return Ok(0);
        };
        self.seen += page.len() as u64;
        for (user, _) in page.pairs() {
            let name = std::str::from_utf8(user).ok();
            let due = name.map(|user| users::due_of(ctx, fleet, user));
            // What can't be read is found as a key.
            if !matches!(due, None | Some(Ok(None))) {
                continue;
            }
            self.findings.dangling += 1;
            if self.repairs() {
                ctx.write(c"ZREM", &[key, user.into()])?;
                self.findings.mended += 1;
            }
        }
        Ok(page.cursor)
    }
}

//! The users' half of the check: the hash of a user's pending notifications says when the next batch
//! may be fetched, `alerts:due` must say the same.

use super::Walk;
use crate::fleet::alerts::users;
use crate::fleet::pages::score_of;
use crate::fleet::presence::expect;
use crate::fleet::Result;
use crate::store::{Arg, KeyType, RString};

impl Walk<'_> {
    /// A user's hash: does the sorted set know of it?
    pub(super) fn user(&mut self, key: &[u8], user: &[u8]) -> Result<()> {
        let (ctx, indexes) = (self.ctx, self.fleet.keys.beside(key));
        let Ok(user) = devicestate_core::name::check(user) else {
            self.findings.foreign += 1;
            return Ok(());
        };
        let Ok(due) = users::due_of(ctx, indexes, user, self.now) else {
            self.findings.foreign += 1;
            return Ok(());
        };
        let key = Arg::Str(&indexes.alerts_due);
        expect(ctx, &indexes.alerts_due, KeyType::SortedSet)?;
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
    pub(super) fn users_due(&mut self, key: &RString, cursor: u64) -> Result<u64> {
        let (ctx, indexes) = (self.ctx, self.fleet.keys.beside(key.bytes()));
        expect(ctx, key, KeyType::SortedSet)?;
        let key = Arg::Str(key);
        let args = [key, cursor.into(), "COUNT".into(), self.count.into()];
        let Some(page) = ctx.read(c"ZSCAN", &args)?.into_page() else {
            return Ok(0);
        };
        self.seen += page.len() as u64;
        for (user, _) in page.pairs() {
            let name = std::str::from_utf8(user).ok();
            let due = name.map(|user| users::due_of(ctx, indexes, user, self.now));
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

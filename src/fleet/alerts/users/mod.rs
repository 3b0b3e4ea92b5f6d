//! What users have still to be told: the hash `alerts:user:<user>`, and in `alerts:due` when each
//! user's next batch may be fetched.
//!
//! The hash holds an item per alert, `pending:<device> <alert>` (no device: a notification by
//! `ALERT.NOTIFY`), when the earliest of them is `due` and after how long a `wait`, and while a batch is
//! out its `lease` and its items as `leased:<device> <alert>`. A user is in the sorted set exactly while
//! there is a batch to fetch, now or later; its score is the due time, or the end of the lease.

mod batch;
mod places;
mod tell;

use std::collections::HashSet;

use devicestate_core::alert::Item;
use devicestate_core::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::fleet::keys::Indexes;
use crate::fleet::pages::score_of;
use crate::fleet::presence::size_of;
use crate::fleet::{Error, Fleet, Result};
use crate::store::{pair, Arg, Ctx, HashKey, KeyType, RString};

pub use batch::{batch, done, BatchItem, Fetch};
pub use places::Places;
pub use tell::{clear, notify, refresh, tell, About, Notice};

const PENDING: &str = "pending:";
const LEASED: &str = "leased:";
const DUE: &str = "due";
const WAIT: &str = "wait";
const LEASE: &str = "lease";

/// A batch that is out.
#[derive(Debug, Serialize, Deserialize)]
struct Lease {
    token: String,
    /// Until when, and how long that is, in milliseconds.
    until: u64,
    ms: u64,
    items: u64,
}

impl Lease {
    /// Whether the batch has come back. (One that ends later than it could was made before the clock
    /// was set back.)
    fn has_lapsed(&self, now: u64) -> bool {
        now >= self.until || self.until > now.saturating_add(self.ms)
    }
}

/// When what is pending may be fetched.
struct Due {
    at: u64,
    /// How long that was when it was written; `None`: by an earlier version, or other hands.
    wait: Option<u64>,
}

impl Due {
    /// (What is due later than it could be was written before the clock was set back.)
    fn has_come(&self, now: u64) -> bool {
        now >= self.at || self.wait.is_some_and(|ms| self.at > now.saturating_add(ms))
    }

    /// From when on it may be fetched by the clock that shows `now`; 0: since that was set back.
    fn from(&self, now: u64) -> u64 {
        match self.has_come(now) && self.at > now {
            true => 0,
            false => self.at,
        }
    }

    fn fields(at: u64, now: u64) -> [Arg<'static>; 4] {
        let wait = at.saturating_sub(now);
        [DUE.into(), at.into(), WAIT.into(), wait.into()]
    }
}

/// A user's hash, open.
struct User<'u> {
    name: &'u str,
    key: RString,
    due: &'u RString,
    /// `None` on a single server.
    slot: Option<Slot>,
}

/// The field of an alert's item; without a device: of a notification by hand.
fn field(part: &str, id: &str, alert: &str) -> RString {
    RString::new(format!("{part}{id} {alert}").as_bytes())
}

impl<'u> User<'u> {
    /// What this user is to be told of devices that are in these indexes.
    fn of(indexes: &'u Indexes, name: &'u str) -> User<'u> {
        User {
            name,
            key: indexes.user(name),
            due: &indexes.alerts_due,
            slot: indexes.slot(),
        }
    }

    fn open<'c>(&self, ctx: &'c Ctx<'_>) -> Result<Option<HashKey<'c>>> {
        ctx.open_hash(&self.key)
            .map_err(|found| Error::wrong_type(self.key.bytes(), found, KeyType::Hash))
    }

    /// How many items wait, beside those of a batch that is out.
    fn pending(&self, ctx: &Ctx<'_>) -> Result<u64> {
        let fields = ctx.read(c"HLEN", &[Arg::Str(&self.key)])?.int();
        let hash = self.open(ctx)?;
        let lease = hash.as_ref().and_then(lease);
        let leased = lease.map_or(0, |lease| lease.items.saturating_add(1));
        let has = |name| {
            hash.as_ref()
                .is_some_and(|hash| number(hash, name).is_some())
        };
        Ok(fields
            .saturating_sub(leased)
            .saturating_sub(has(DUE).into())
            .saturating_sub(has(WAIT).into()))
    }

    /// Puts an item among the pending ones; the user is due within `wait`.
    fn put(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        field: &RString,
        item: &Item,
        wait: u64,
        now: u64,
    ) -> Result<()> {
        let (before, is_out) = match self.open(ctx)? {
            Some(hash) => (due(&hash), lease(&hash).is_some()),
            None => (None, false),
        };
        let at = now.saturating_add(wait);
        let at = before.as_ref().map_or(at, |due| due.from(now).min(at));
        let text = item.encode();
        let mut fields = pair(field, text.as_str()).to_vec();
        if before.is_none_or(|due| due.at != at) {
            fields.extend(Due::fields(at, now));
        }
        ctx.hset(&self.key, &fields)?;
        if let Some(slot) = self.slot {
            fleet.note_user(self.name, slot);
        }
        if !is_out {
            // Also where it is known: other hands may have taken the user out.
            self.set_due(ctx, at)?;
        }
        ctx.touched(&RString::new(self.name.as_bytes()));
        Ok(())
    }

    fn set_due(&self, ctx: &Ctx<'_>, at: u64) -> Result<()> {
        let due = Arg::Str(self.due);
        ctx.write(c"ZADD", &[due, at.into(), self.name.into()])?;
        Ok(())
    }

    fn drop_due(&self, ctx: &Ctx<'_>) -> Result<()> {
        let due = Arg::Str(self.due);
        ctx.write(c"ZREM", &[due, self.name.into()])?;
        Ok(())
    }

    /// All items, pending and leased, by device and alert.
    fn items(&self, ctx: &Ctx<'_>) -> Result<Items> {
        let mut items = Items::default();
        let reply = ctx.read(c"HGETALL", &[Arg::Str(&self.key)])?;
        for (field, text) in reply.pairs() {
            let Ok(field) = std::str::from_utf8(field) else {
                continue;
            };
            let (list, name) = match (field.strip_prefix(PENDING), field.strip_prefix(LEASED)) {
                (Some(name), _) => (&mut items.pending, name),
                (_, Some(name)) => (&mut items.leased, name),
                _ => continue,
            };
            // What other hands wrote is no item; it stays where it is.
            if let Some(item) = Item::decode(text) {
                list.push((name.to_owned(), item));
            }
        }
        Ok(items)
    }
}

#[derive(Default)]
struct Items {
    pending: Vec<(String, Item)>,
    leased: Vec<(String, Item)>,
}

fn number(hash: &HashKey<'_>, field: &str) -> Option<u64> {
    hash.get(&RString::new(field.as_bytes()))?.to_u64()
}

fn due(hash: &HashKey<'_>) -> Option<Due> {
    Some(Due {
        at: number(hash, DUE)?,
        wait: number(hash, WAIT),
    })
}

fn lease(hash: &HashKey<'_>) -> Option<Lease> {
    serde_json::from_slice(hash.get(&RString::new(LEASE.as_bytes()))?.bytes()).ok()
}

fn item(hash: &HashKey<'_>, field: &RString) -> Option<Item> {
    Item::decode(hash.get(field)?.bytes())
}

/// When a user's next batch may be fetched, as the hash has it (see [`Due::from`]); `None`: nothing is
/// pending.
pub fn due_of(ctx: &Ctx<'_>, indexes: &Indexes, user: &str, now: u64) -> Result<Option<u64>> {
    let Some(hash) = User::of(indexes, user).open(ctx)? else {
        return Ok(None);
    };
    let out = lease(&hash).map(|lease| Due {
        at: lease.until,
        wait: Some(lease.ms),
    });
    let next = out.or_else(|| due(&hash));
    Ok(next.map(|due| due.from(now)))
}

/// Users whose batch can be fetched now, the longest due first.
pub fn due_now(ctx: &Ctx<'_>, fleet: &Fleet, count: u64, now: u64) -> Result<Vec<Vec<u8>>> {
    let mut due: Vec<(f64, Vec<u8>)> = Vec::new();
    for indexes in fleet.indexes(ctx) {
        let key = &indexes.alerts_due;
        if size_of(ctx, key, KeyType::SortedSet)? == 0 {
            continue;
        }
        let reply = ctx.read(
            c"ZRANGEBYSCORE",
            &[
                Arg::Str(key),
                "-inf".into(),
                now.into(),
                "WITHSCORES".into(),
                "LIMIT".into(),
                0.into(),
                count.into(),
            ],
        )?;
        due.extend(
            reply
                .pairs()
                .map(|(user, at)| (score_of(at), user.to_vec())),
        );
    }
    // They come in order from one slot; a user may be due in several.
    due.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut seen = HashSet::new();
    due.retain(|(_, user)| seen.insert(user.clone()));
    due.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    Ok(due.into_iter().map(|(_, user)| user).collect())
}

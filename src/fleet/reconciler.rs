//! The reconciler: keeps the deadline index and the indexes equal to the hashes, whatever happened
//! to the keys behind our back. Restarts, promotions, RESTORE, FLUSHALL, SWAPDB, eviction and hands
//! in the data are all one mechanism: no event has to be caught.
//!
//! It walks `devices:online` over and over (a whole pass a minute, at full speed after a load or
//! promotion) and puts ids that the deadline index lacks into it; the sweeper then reads their
//! hashes. A fast pass goes on over all keys to those of alerts, of devices and of users. After each fast
//! pass, and after the server evicted keys of ours, the whole data set is checked once, slowly.

use devicestate_core::slot::Slot;

use super::check::{self, Findings, Mode, Position};
use super::keys::Role;
use super::sweeper::Trouble;
use super::Fleet;
use crate::store::{monotonic_us, Arg, Ctx, Level, RString};

/// A whole pass takes about this long, in milliseconds.
const PASS_MS: u64 = 60_000;
/// How often a slice of the slow walk is done, in milliseconds.
const SLICE_EVERY_MS: u64 = 50;
/// About how many ids one read of the slow walk takes: between two, clients are answered.
const SLOW_COUNT: u64 = 100;
/// About how many keys one slice of the check looks at.
const CHECK_COUNT: u64 = 50;
/// About how many ids one read of the fast pass takes.
const FAST_COUNT: u64 = 500;
/// About how many keys one step of the walk to alerts passes.
const KEYS_COUNT: u64 = 2_000;

#[derive(Default)]
pub struct Reconciler {
    /// Where the walk stands: in the slot of a cluster, and in its set.
    slot: Option<Slot>,
    cursor: u64,
    /// A fast pass is under way.
    fast: bool,
    /// Where its second half stands, the walk to devices with alerts.
    alerts: Option<u64>,
    /// Where the check after it stands.
    check: Option<Position>,
    found: Findings,
    last_slice_ms: u64,
    /// About how many ids are left of this slice of the slow walk.
    left: u64,
}

impl Fleet {
    /// A fast pass, then a check of everything: after a load, a promotion, a swap of databases.
    pub fn reconcile_all(&self) {
        let mut reconciler = self.reconciler.borrow_mut();
        *reconciler = Reconciler {
            fast: true,
            last_slice_ms: reconciler.last_slice_ms,
            ..Default::default()
        };
    }

    /// Whether devices that are online may still be missing in the deadline index.
    pub(super) fn is_walking_fast(&self) -> bool {
        self.reconciler.borrow().fast
    }

    /// Whether the pass and the check that follow a load, a promotion or an eviction are still under
    /// way.
    pub fn is_checking(&self) -> bool {
        self.is_checking_keys() || self.hearing().deaf().is_some()
    }

    /// The same, whether the server hears its devices or not.
    pub(super) fn is_checking_keys(&self) -> bool {
        let reconciler = self.reconciler.borrow();
        reconciler.fast || reconciler.check.is_some() || self.check_is_wanted.get()
    }

    /// One slice, until `until_us` of the monotonic clock at the latest. Returns whether it wants
    /// to go on at once.
    pub(super) fn reconcile(&self, ctx: &Ctx<'_>, now: u64, until_us: u64) -> bool {
        if self.reconciler.borrow().fast {
            while monotonic_us() < until_us {
                let at_alerts = self.reconciler.borrow().alerts;
                let next = match at_alerts {
                    None => self.walk_online(ctx, FAST_COUNT).then_some(0),
                    Some(cursor) => match self.walk_alerts(ctx, cursor) {
                        0 => {
                            let mut reconciler = self.reconciler.borrow_mut();
                            reconciler.fast = false;
                            reconciler.alerts = None;
                            reconciler.check = Some(Position::Start);
                            return false;
                        }
                        cursor => Some(cursor),
                    },
                };
                self.reconciler.borrow_mut().alerts = next;
            }
            return true;
        }
        let monotonic_ms = monotonic_us() / 1_000;
        let elapsed = monotonic_ms.saturating_sub(self.reconciler.borrow().last_slice_ms);
        if elapsed >= SLICE_EVERY_MS {
            self.reconciler.borrow_mut().last_slice_ms = monotonic_ms;
            let share = self.length_of_walk(ctx).saturating_mul(elapsed.min(1_000)) / PASS_MS;
            self.reconciler.borrow_mut().left = share.clamp(10, 10_000);
            self.check_slice(ctx, now);
        }
        let left = self.reconciler.borrow().left;
        if left > 0 {
            let is_at_end = self.walk_online(ctx, left.min(SLOW_COUNT));
            let left = if is_at_end {
                0
            } else {
                left.saturating_sub(SLOW_COUNT)
            };
            self.reconciler.borrow_mut().left = left;
        }
        self.reconciler.borrow().left > 0
    }

    /// About how many ids a whole pass reads; a slot of a cluster counts as one more.
    fn length_of_walk(&self, ctx: &Ctx<'_>) -> u64 {
        let mut indexes = self.indexes(ctx);
        let sets = indexes.len() as u64;
        let online = match indexes.next() {
            Some(only) if sets == 1 => ctx
                .read(c"SCARD", &[Arg::Str(&only.online)])
                .map_or(0, |reply| reply.int()),
            // To ask thousands of sets would take longer than the walk.
            _ => self.deadline_index_len() as u64,
        };
        online + sets
    }

    /// Reads about `count` ids of devices that are online; true at the end of the last set.
    fn walk_online(&self, ctx: &Ctx<'_>, count: u64) -> bool {
        let (slot, mut cursor) = {
            let reconciler = self.reconciler.borrow();
            (reconciler.slot, reconciler.cursor)
        };
        let mut rest = self.indexes(ctx).from(slot).peekable();
        if rest.peek().is_some_and(|one| one.slot() != slot) {
            // The one where the walk stood has moved away.
            cursor = 0;
        }
        let mut seen = 0;
        while seen < count {
            let Some(one) = rest.peek() else {
                break;
            };
            let (next, found) = self.walk_set(ctx, &one.online, cursor, count);
            cursor = next;
            seen += found + 1;
            if next == 0 {
                rest.next();
            }
        }
        let next = rest.peek();
        let mut reconciler = self.reconciler.borrow_mut();
        reconciler.slot = next.and_then(|one| one.slot());
        reconciler.cursor = next.map_or(0, |_| cursor);
        next.is_none()
    }

    /// A page of a set of devices that are online: the cursor of the next one, and how many there were.
    fn walk_set(&self, ctx: &Ctx<'_>, set: &RString, cursor: u64, count: u64) -> (u64, u64) {
        let args = [Arg::Str(set), cursor.into(), "COUNT".into(), count.into()];
        // A key of another type holds no devices; the transitions complain about it.
        let page = ctx
            .read(c"SSCAN", &args)
            .ok()
            .and_then(|reply| reply.into_page());
        let Some(page) = page else {
            return (0, 0);
        };
        page.iter()
            .filter_map(|id| std::str::from_utf8(id).ok())
            .for_each(|id| self.look_at_if_unknown(id));
        (page.cursor, page.len() as u64)
    }

    /// A device that may be online: if the deadline index lacks it, the sweeper reads its hash.
    pub(super) fn look_at_if_unknown(&self, id: &str) {
        let mut deadlines = self.deadlines.borrow_mut();
        if !deadlines.contains(id) {
            deadlines.schedule(id, Some(0));
        }
    }

    /// Walks over the keys to those of alerts: of devices, which their index must look at, and of users. The
    /// next cursor.
    fn walk_alerts(&self, ctx: &Ctx<'_>, cursor: u64) -> u64 {
        let (prefix, name) = self.keys.alerts_names();
        let pattern = format!("{}*{name}*", escape_glob(prefix));
        let args = [
            cursor.into(),
            "MATCH".into(),
            pattern.as_str().into(),
            "COUNT".into(),
            KEYS_COUNT.into(),
        ];
        let page = ctx.read(c"SCAN", &args).ok();
        let Some(page) = page.and_then(|reply| reply.into_page()) else {
            return 0;
        };
        for key in page.iter() {
            match self.keys.role(key) {
                Some(Role::Alerts(id)) => {
                    if let Ok(id) = std::str::from_utf8(id) {
                        self.look_at_alerts_by(id, 0);
                    }
                }
                Some(Role::User(user)) => {
                    if let Ok(user) = std::str::from_utf8(user) {
                        self.note_user(user, Slot::of(key));
                    }
                }
                _ => {}
            }
        }
        page.cursor
    }

    /// A slice of the check that follows a fast pass, or an eviction. Hashes of the plain recipe are left alone:
    /// their owner decides when they are adopted.
    fn check_slice(&self, ctx: &Ctx<'_>, now: u64) {
        let under_way = self.reconciler.borrow_mut().check.take();
        let Some(position) =
            under_way.or_else(|| self.check_is_wanted.take().then_some(Position::Start))
        else {
            return;
        };
        match check::step(ctx, self, position.clone(), CHECK_COUNT, Mode::Repair, now) {
            Ok((next, found)) => {
                let mut reconciler = self.reconciler.borrow_mut();
                reconciler.found.add(&found);
                if next == Position::End {
                    if reconciler.found.mended > 0 {
                        let text = format!("mended {} index entries", reconciler.found.mended);
                        ctx.log(Level::Notice, &text);
                    }
                    reconciler.found = Findings::default();
                } else {
                    reconciler.check = Some(next);
                }
            }
            Err(error) => {
                // It goes on when the key is mended.
                self.reconciler.borrow_mut().check = Some(position);
                self.complain(
                    ctx,
                    Trouble::Check,
                    &format!("the check after loading waits: {error}"),
                );
            }
        }
    }
}

/// A text as a pattern that matches itself alone.
fn escape_glob(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

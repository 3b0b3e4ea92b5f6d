//! Clients that wait in QUEUE.GET, and the timer that wakes them.
//!
//! The server wakes them when an entry is added, whoever adds it. A lease that lapses or a delay that
//! ends writes nothing, so for each queue that somebody waits for there is an alarm at the next
//! deadline, and one timer for the earliest alarm.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use super::get::{get, Ask, Delivery};
use super::{memory, open};
use crate::fleet::Result;
use crate::store::{Ctx, OnTimer, RString, TimerId, Waiter};

/// While nothing may be written, the timer looks again after this, in milliseconds.
const TRY_AGAIN_MS: u64 = 50;

type Name = (i32, Box<[u8]>);

#[derive(Default)]
struct Wake {
    waited: HashMap<Name, Waited>,
    /// Those of `waited`, earliest first.
    alarms: BTreeSet<(u64, Name)>,
    /// The timer that is armed, and for when.
    timer: Option<(TimerId, u64)>,
}

/// A queue that somebody waits for.
#[derive(Default)]
struct Waited {
    clients: usize,
    alarm: Option<u64>,
}

thread_local!(static WAKE: RefCell<Wake> = RefCell::default());

impl Wake {
    fn set(&mut self, name: &Name, at: Option<u64>) {
        let Some(waited) = self.waited.get_mut(name) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut waited.alarm, at) {
            self.alarms.remove(&(old, name.clone()));
        }
        if let Some(at) = at {
            self.alarms.insert((at, name.clone()));
        }
    }

    /// The same for a queue that was looked at just now. An alarm that is due stays: it has not rung yet,
    /// and what it is for may still be there, whatever comes later.
    fn set_next(&mut self, name: &Name, at: Option<u64>, now: u64) {
        let alarm = self.waited.get(name).and_then(|waited| waited.alarm);
        if alarm.is_none_or(|due| due > now) {
            self.set(name, at);
        }
    }

    /// Takes the alarms that are due.
    fn take_due(&mut self, now: u64) -> Vec<Name> {
        let due = self.alarms.iter().take_while(|(at, _)| *at <= now);
        let names: Vec<Name> = due.map(|(_, name)| name.clone()).collect();
        for name in &names {
            self.set(name, None);
        }
        names
    }

    /// Arms the timer for the earliest alarm, if it is not.
    fn arm(&mut self, ctx: &Ctx<'_>) {
        let Some((earliest, _)) = self.alarms.first() else {
            return;
        };
        if self.timer.is_some_and(|(_, at)| at <= *earliest) {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            ctx.disarm_timer(timer);
        }
        let delay = earliest.saturating_sub(ctx.now_ms());
        self.timer = Some((ctx.arm_timer::<Ring>(delay), *earliest));
    }
}

/// Whether a client waits for this queue.
pub fn is_waited(db: i32, key: &[u8]) -> bool {
    WAKE.with_borrow(|wake| {
        !wake.waited.is_empty() && wake.waited.contains_key(&(db, Box::from(key)))
    })
}

/// Those who wait for this queue look again at this moment, or at once if an alarm is due already;
/// `None`: not by the clock.
pub fn set_alarm(ctx: &Ctx<'_>, db: i32, key: &[u8], at: Option<u64>) {
    WAKE.with_borrow_mut(|wake| {
        wake.set_next(&(db, Box::from(key)), at, ctx.now_ms());
        wake.arm(ctx);
    });
}

/// What was known of a queue is forgotten, its next deadline too.
pub fn look_again(ctx: &Ctx<'_>, db: i32, key: &[u8]) {
    if is_waited(db, key) {
        set_alarm(ctx, db, key, Some(ctx.now_ms()));
    }
}

/// The same of all of them.
pub fn look_at_all_again(ctx: &Ctx<'_>) {
    let now = ctx.now_ms();
    WAKE.with_borrow_mut(|wake| {
        let names: Vec<Name> = wake.waited.keys().cloned().collect();
        for name in names {
            wake.set(&name, Some(now));
        }
        wake.arm(ctx);
    });
}

/// A write in a pause would crash the server; and what would be refused if the client asked for it
/// now (a disk that can't be written, too few replicas) is not given to one that waits.
fn may_write(ctx: &Ctx<'_>, (db, queue): &Name) -> bool {
    ctx.select_db(*db);
    memory::is_master(ctx) && !ctx.is_paused() && ctx.accepts_writes(&RString::new(queue))
}

/// The timer.
struct Ring;

impl OnTimer for Ring {
    fn on_timer(ctx: &Ctx<'_>) {
        let now = ctx.now_ms();
        let names = WAKE.with_borrow_mut(|wake| {
            // The one that fires now.
            wake.timer = None;
            wake.take_due(now)
        });
        // Nothing is borrowed while the server is asked: a key whose time is over goes by that, and its
        // queue is forgotten.
        for name in names {
            // Whoever is woken writes.
            if may_write(ctx, &name) {
                ctx.signal_ready(&RString::new(&name.1));
            } else {
                let at = Some(now.saturating_add(TRY_AGAIN_MS));
                WAKE.with_borrow_mut(|wake| wake.set_next(&name, at, now));
            }
        }
        WAKE.with_borrow_mut(|wake| wake.arm(ctx));
    }
}

/// What becomes of a client that waits.
pub trait Waiting: 'static {
    /// Writes the reply; no deliveries: it waited long enough.
    fn reply(&self, ctx: &Ctx<'_>, result: Result<Vec<Delivery>>);
}

/// Lets the client wait for messages, for at most `timeout_ms` (0: for ever). `look_again_at` is what
/// the look that found nothing said.
pub fn block<W: Waiting>(
    ctx: &Ctx<'_>,
    key: &RString,
    ask: Ask,
    timeout_ms: u64,
    look_again_at: Option<u64>,
    then: W,
) {
    let name: Name = (ctx.selected_db(), Box::from(key.bytes()));
    WAKE.with_borrow_mut(|wake| {
        wake.waited.entry(name.clone()).or_default().clients += 1;
        wake.set_next(&name, look_again_at, ctx.now_ms());
        wake.arm(ctx);
    });
    let waiter = Blocked {
        name,
        key: RString::new(key.bytes()),
        ask,
        then,
    };
    ctx.block_on(key, timeout_ms, waiter);
}

struct Blocked<W> {
    name: Name,
    key: RString,
    ask: Ask,
    then: W,
}

impl<W: Waiting> Waiter for Blocked<W> {
    fn try_serve(&self, ctx: &Ctx<'_>) -> bool {
        let now = ctx.now_ms();
        if !may_write(ctx, &self.name) {
            let at = now.saturating_add(TRY_AGAIN_MS);
            set_alarm(ctx, self.name.0, &self.name.1, Some(at));
            return false;
        }
        // Something else took the place of the queue: its return is waited for, as BLPOP does.
        if open::is_stream(ctx, &self.key).is_err() {
            return false;
        }
        let result = get(ctx, &self.key, &self.ask, now).map(|taken| taken.deliveries);
        if matches!(&result, Ok(deliveries) if deliveries.is_empty()) {
            return false;
        }
        self.then.reply(ctx, result);
        true
    }

    fn time_out(&self, ctx: &Ctx<'_>) {
        self.then.reply(ctx, Ok(Vec::new()));
    }
}

impl<W> Drop for Blocked<W> {
    fn drop(&mut self) {
        WAKE.with_borrow_mut(|wake| {
            let Some(waited) = wake.waited.get_mut(&self.name) else {
                return;
            };
            waited.clients -= 1;
            if waited.clients == 0 {
                wake.set(&self.name, None);
                wake.waited.remove(&self.name);
            }
        });
    }
}

//! Clients that wait for the next event, whatever step of this server appends it.
//!
//! They are looked at by a timer that the event arms, so that all events of one step, and of all
//! commands that were read together, wake them once.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use devicestate_core::event_cursor::Cursor;

use super::super::Fleet;
use super::{read, EventLog, Page};
use crate::store::{monotonic_ms, Ctx, Held, Holder, OnTimer, TimerId};

/// In a cluster, those who wait look no more often than this, in milliseconds: before they are given what
/// is new, the server is asked for its slots, which takes longer than all the rest.
const PAUSE_MS: u64 = 10;

/// Writes the reply for a client that waited.
pub type Reply = fn(&Ctx<'_>, &Page);

#[derive(Default)]
pub struct Waiting {
    clients: HashMap<Held, Client>,
    /// When the time of each is over that does not wait for ever.
    deadlines: BTreeSet<(u64, Held)>,
    /// The timer that is armed, and for when.
    timer: Option<(TimerId, u64)>,
    /// There may be something for them.
    has_news: bool,
    /// The pause between two looks, and when it is over.
    pause_ms: u64,
    rests_until: u64,
}

struct Client {
    cursor: Cursor,
    count: usize,
    deadline: Option<u64>,
    reply: Reply,
}

impl Waiting {
    fn remove(&mut self, held: Held) -> Option<Client> {
        let client = self.clients.remove(&held)?;
        if let Some(deadline) = client.deadline {
            self.deadlines.remove(&(deadline, held));
        }
        Some(client)
    }

    /// Arms the timer for whatever comes first.
    fn arm(&mut self, ctx: &Ctx<'_>) {
        let now = monotonic_ms();
        let next = match self.has_news {
            true => Some(now.max(self.rests_until)),
            false => self.deadlines.first().map(|(deadline, _)| *deadline),
        };
        let Some(next) = next else {
            return;
        };
        if self.timer.is_some_and(|(_, at)| at <= next) {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            ctx.disarm_timer(timer);
        }
        let timer = ctx.arm_timer::<Look>(next.saturating_sub(now));
        self.timer = Some((timer, next));
    }
}

impl EventLog {
    /// Those who wait look again, when this step is done.
    pub fn wake(&self, ctx: &Ctx<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.clients.is_empty() || waiting.has_news {
            return;
        }
        waiting.has_news = true;
        waiting.arm(ctx);
    }

    /// The timer was armed by another clock than the one by which it would fire.
    pub fn clock_jumped(&self, ctx: &Ctx<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some((timer, _)) = waiting.timer.take() {
            ctx.disarm_timer(timer);
        }
        waiting.arm(ctx);
    }
}

/// Lets the client wait for what comes behind its cursor, for at most `timeout_ms` (0: for ever).
pub fn wait(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    cursor: Cursor,
    count: usize,
    timeout_ms: u64,
    reply: Reply,
) {
    let deadline = (timeout_ms > 0).then(|| monotonic_ms().saturating_add(timeout_ms));
    let held = ctx.hold::<Waiters>();
    let client = Client {
        cursor,
        count,
        deadline,
        reply,
    };
    let mut waiting = fleet.event_log.waiting.borrow_mut();
    waiting.pause_ms = if fleet.keys.are_by_slot() {
        PAUSE_MS
    } else {
        0
    };
    waiting.clients.insert(held, client);
    waiting.deadlines.extend(deadline.map(|at| (at, held)));
    waiting.arm(ctx);
}

/// Those who wait look again if this node answers for other slots now: their streams came before they
/// could be read. Called some ten times a second.
pub fn notice_slots(ctx: &Ctx<'_>, fleet: &Fleet) {
    let log = &fleet.event_log;
    if !fleet.keys.are_by_slot() || log.waiting.borrow().clients.is_empty() {
        return;
    }
    let revision = fleet.slots_revision(ctx, false);
    if log.answered_revision.get() != Some(revision) {
        log.wake(ctx);
    }
}

/// The timer.
struct Look;

impl OnTimer for Look {
    fn on_timer(ctx: &Ctx<'_>) {
        ctx.select_db(0);
        super::super::with(|fleet| look(ctx, fleet));
    }
}

fn look(ctx: &Ctx<'_>, fleet: &Fleet) {
    let waiting = &fleet.event_log.waiting;
    // The one that fires now.
    waiting.borrow_mut().timer = None;
    if std::mem::take(&mut waiting.borrow_mut().has_news) {
        let answers = match fleet.keys.are_by_slot() && !ctx.flags().is_master() {
            true => all(fleet).map(|held| (held, None)).collect(),
            false => found(ctx, fleet),
        };
        for (held, page) in answers {
            let client = waiting.borrow_mut().remove(held);
            if let Some(client) = client {
                ctx.let_go::<Waiters>(held, (page, client.reply));
            }
        }
    }
    let now = monotonic_ms();
    {
        let mut waiting = waiting.borrow_mut();
        waiting.rests_until = now.saturating_add(waiting.pause_ms);
    }
    loop {
        let first = waiting.borrow().deadlines.first().copied();
        let Some((_, held)) = first.filter(|(deadline, _)| *deadline <= now) else {
            break;
        };
        let client = waiting.borrow_mut().remove(held);
        if let Some(client) = client {
            let nothing = Some(Rc::new(client.nothing()));
            ctx.let_go::<Waiters>(held, (nothing, client.reply));
        }
    }
    waiting.borrow_mut().arm(ctx);
}

fn all(fleet: &Fleet) -> impl Iterator<Item = Held> {
    let waiting = fleet.event_log.waiting.borrow();
    let all: Vec<Held> = waiting.clients.keys().copied().collect();
    all.into_iter()
}

/// What there is for those who wait. Many wait for the same.
fn found(ctx: &Ctx<'_>, fleet: &Fleet) -> Vec<(Held, Option<Rc<Page>>)> {
    let copy = |(held, client): (&Held, &Client)| (*held, client.cursor.clone(), client.count);
    // Copied, for the server may tell of a key that expired while it is read: that wakes.
    let waiting: Vec<_> = fleet
        .event_log
        .waiting
        .borrow()
        .clients
        .iter()
        .map(copy)
        .collect();
    let mut pages: HashMap<(&Cursor, usize), Option<Rc<Page>>> = HashMap::new();
    let mut found = Vec::new();
    for (held, cursor, count) in &waiting {
        let page = pages.entry((cursor, *count)).or_insert_with(|| {
            // Something else took the place of the stream: its return is waited for.
            let page = read(ctx, fleet, cursor, *count).ok()?;
            (!page.entries.is_empty()).then(|| Rc::new(page))
        });
        found.extend(page.clone().map(|page| (*held, Some(page))));
    }
    found
}

impl Client {
    fn nothing(&self) -> Page {
        Page {
            cursor: self.cursor.clone(),
            entries: Vec::new(),
        }
    }
}

struct Waiters;

impl Holder for Waiters {
    /// Nothing: the node is no primary any more. Some servers tell such clients themselves.
    type Answer = (Option<Rc<Page>>, Reply);

    fn reply(ctx: &Ctx<'_>, (page, reply): &Self::Answer) {
        match page {
            Some(page) => reply(ctx, page),
            None => ctx.reply_error("UNBLOCKED this node became a replica"),
        }
    }

    fn time_out(ctx: &Ctx<'_>, held: Held) {
        let client = forget(held);
        match client {
            Some(client) => (client.reply)(ctx, &client.nothing()),
            None => ctx.reply_null(),
        }
    }

    fn gone(held: Held) -> bool {
        forget(held).is_some()
    }
}

fn forget(held: Held) -> Option<Client> {
    super::super::with(|fleet| fleet.event_log.waiting.borrow_mut().remove(held)).flatten()
}

//! The fleet: what a heartbeat, a report, a transition does to the keys of a device. Each function
//! here is one atomic step; the commands above only parse and answer, the store below only reads
//! and writes.

pub mod alerts;
pub mod check;
pub mod definitions;
mod departures;
pub mod device;
pub mod device_commands;
pub mod error;
pub mod event_log;
pub mod events;
pub mod fields;
pub mod heartbeat;
pub mod history;
pub mod ingest;
pub mod keys;
mod known;
pub mod listing;
mod neighbours;
pub mod pages;
pub mod presence;
pub mod reconciler;
pub mod registry;
pub mod settings;
pub mod shadow;
mod slots;
pub mod state;
pub mod stats;
pub mod sweeper;
pub mod types;
mod unseen;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use devicestate_core::deadlines::Deadlines;
use devicestate_core::name;
use devicestate_core::presence::{Deaf, Hearing, TickClock};
use devicestate_core::slot::Slot;

use crate::store::events::Replaced;
use crate::store::{monotonic_ms, Ctx, RString, TimerId};

use known::Known;

pub use device::Device;
pub use error::{Error, Result};

/// Everything the module remembers beside the keys. All of it can be rebuilt from them.
pub struct Fleet {
    pub keys: keys::Keys,
    pub fields: fields::Fields,
    pub stats: stats::Stats,
    pub types: types::Types,
    pub rules: alerts::rules::Rules,
    pub definitions: definitions::Definitions,
    deadlines: RefCell<Deadlines<Known>>,
    /// Devices with alerts that do something by themselves.
    alert_deadlines: RefCell<Deadlines>,
    /// No device has a shorter timeout than this, in milliseconds: what is younger is on time.
    shortest_timeout: Cell<u64>,
    /// Devices whose hash other hands changed since it was read last.
    suspects: RefCell<HashSet<String>>,
    /// The last [`Fleet::with_stamp`].
    stamp: RefCell<Option<(u64, RString)>>,
    /// What the clock showed last, and by how much it has gone back since everything was looked at, in
    /// milliseconds.
    clock: Cell<u64>,
    clock_steps_back: Cell<u64>,
    hearing: Cell<Hearing>,
    tick_clock: Cell<TickClock>,
    is_ticking: Cell<bool>,
    /// The timer of the next tick; `None` where clients have their turn first.
    tick_timer: Cell<Option<TimerId>>,
    reconciler: RefCell<reconciler::Reconciler>,
    /// The server evicted keys: indexes no longer agree with hashes until everything was checked.
    check_is_wanted: Cell<bool>,
    slots: slots::Slots,
    pub event_log: event_log::EventLog,
    users: alerts::users::Places,
    /// When each kind of trouble was logged last.
    complaints: [Cell<u64>; sweeper::Trouble::KINDS],
    /// Devices whose heartbeat key the server itself expired while they were online: their
    /// `expired` notification has been sent already.
    expired_by_server: RefCell<HashSet<String>>,
}

thread_local! {
    // The server runs commands, timers and events on one thread, and so do we.
    static FLEET: Cell<Option<&'static Fleet>> = const { Cell::new(None) };
}

/// Called once, when the settings are known.
pub fn start(is_cluster: bool) {
    let fleet = Fleet {
        keys: settings::KEY_PREFIX.with(|prefix| keys::Keys::new(prefix, is_cluster)),
        fields: fields::Fields::new(),
        stats: stats::Stats::default(),
        types: types::Types::default(),
        rules: alerts::rules::Rules::default(),
        definitions: definitions::Definitions::default(),
        deadlines: RefCell::new(Deadlines::new()),
        alert_deadlines: RefCell::new(Deadlines::new()),
        shortest_timeout: Cell::new(u64::MAX),
        suspects: RefCell::default(),
        stamp: RefCell::default(),
        clock: Cell::default(),
        clock_steps_back: Cell::default(),
        hearing: Cell::new(Hearing::starting()),
        tick_clock: Cell::new(TickClock::default()),
        is_ticking: Cell::new(false),
        tick_timer: Cell::default(),
        reconciler: RefCell::default(),
        check_is_wanted: Cell::new(false),
        slots: slots::Slots::default(),
        event_log: event_log::EventLog::default(),
        users: alerts::users::Places::default(),
        complaints: Default::default(),
        expired_by_server: RefCell::default(),
    };
    // It lives as long as the server does.
    FLEET.set(Some(Box::leak(Box::new(fleet))));
    look_at_all();
}

/// The module is unloaded.
pub fn end() {
    FLEET.set(None);
}

/// Lends the fleet; `None` before [`start`].
pub fn with<T>(body: impl FnOnce(&Fleet) -> T) -> Option<T> {
    FLEET.get().map(body)
}

/// A timeout or the grace changed: every deadline is computed afresh.
pub fn look_at_all() {
    with(|fleet| {
        fleet.shorten_timeout(settings::HEARTBEAT_TIMEOUT.value());
        fleet.deadlines.borrow_mut().look_at_all();
        fleet.alert_deadlines.borrow_mut().look_at_all();
    });
}

impl Fleet {
    pub fn hearing(&self) -> Hearing {
        self.hearing.get()
    }

    pub fn deadline_index_len(&self) -> usize {
        self.deadlines.borrow().len()
    }

    /// How many devices have alerts that do something by themselves.
    pub fn alert_timers(&self) -> u64 {
        self.alert_deadlines.borrow().len() as u64
    }

    pub fn deadline_index_bytes(&self) -> usize {
        self.deadlines.borrow().memory_usage()
    }

    /// A timeout that some device has, or may have.
    fn shorten_timeout(&self, timeout: u64) {
        if timeout != 0 && timeout < self.shortest_timeout.get() {
            self.shortest_timeout.set(timeout);
        }
    }

    /// Whether what a heartbeat reads first may not be trusted.
    fn is_suspect(&self, id: &str) -> bool {
        let suspects = self.suspects.borrow();
        !suspects.is_empty() && suspects.contains(id)
    }

    /// Whether the server has expired a device's heartbeat key by itself; asked once.
    fn forget_expiry(&self, id: &str) -> bool {
        let mut expired = self.expired_by_server.borrow_mut();
        !expired.is_empty() && expired.remove(id)
    }

    /// Whether the sweeper has seen to every deadline that has passed: then nobody is overdue.
    fn nobody_is_due(&self, now: u64) -> bool {
        let next = self.deadlines.borrow().next_deadline();
        next.is_none_or(|deadline| now < deadline) && !self.is_walking_fast()
    }

    /// The time as text, made once for all heartbeats of a millisecond.
    fn with_stamp(&self, now: u64, body: impl FnOnce(&RString)) {
        let mut stamp = self.stamp.borrow_mut();
        if stamp.as_ref().is_none_or(|(time, _)| *time != now) {
            self.clock_reads(now);
            *stamp = Some((now, RString::from_int(now)));
        }
        if let Some((_, text)) = stamp.as_ref() {
            body(text);
        }
    }

    /// A device seems overdue. Before anybody says so: if the sweeper's tick is late, the server
    /// stood still, and this message waited in its socket meanwhile; and if the clock jumped since that
    /// tick, the next one will say so.
    fn notice_deaf_time(&self, now: u64) {
        let (clock, monotonic) = (self.tick_clock.get(), monotonic_ms());
        let why = match (clock.is_late(monotonic), clock.has_jumped(now, monotonic)) {
            (true, _) => Deaf::Stalled,
            (false, true) => Deaf::ClockJumped,
            (false, false) => return,
        };
        self.update_hearing(|hearing| hearing.was_deaf(why, now));
    }

    fn update_hearing<T>(&self, update: impl FnOnce(&mut Hearing) -> T) -> T {
        let mut hearing = self.hearing.get();
        let result = update(&mut hearing);
        self.hearing.set(hearing);
        result
    }

    /// Other hands changed a key, or the server expired or evicted it. A device whose hash they touched is
    /// looked at afresh, by the sweeper or by its next heartbeat.
    pub fn key_changed(&self, ctx: &Ctx<'_>, event: &str, key: &[u8]) {
        let role = self.keys.role(key);
        match role {
            Some(keys::Role::Types) => {
                self.types.forget();
                look_at_all();
                return;
            }
            Some(keys::Role::Rules(device_type)) => {
                self.rules.forget(device_type);
                return;
            }
            Some(keys::Role::Definitions) => {
                self.definitions.copy_changed(key);
                return;
            }
            _ => {}
        }
        if self.is_filled_by_others(ctx) {
            // Everything is looked at afterwards.
            return;
        }
        if event == "evicted" && role.as_ref().is_some_and(keys::Role::is_checked) {
            self.check_is_wanted.set(true);
        }
        let is_online = role == Some(keys::Role::Index(keys::Index::Online));
        if is_online && !self.keys.are_by_slot() && !matches!(event, "evicted" | "expired" | "del")
        {
            // Another set took its place, and the deadline index may lack some of its members.
            self.reconcile_all();
        }
        let (is_state, id) = match role {
            Some(keys::Role::State(id)) => (true, id),
            Some(keys::Role::Heartbeat(id)) if event == "expired" => (false, id),
            Some(keys::Role::Commands(id)) => {
                if let Ok(id) = std::str::from_utf8(id) {
                    self.command_waits(id);
                }
                return;
            }
            Some(keys::Role::Alerts(id)) => {
                if let Ok(id) = std::str::from_utf8(id) {
                    self.look_at_alerts_by(id, 0);
                }
                return;
            }
            Some(keys::Role::User(user)) => {
                if let Ok(user) = std::str::from_utf8(user) {
                    self.note_user(user, Slot::of(key));
                }
                return;
            }
            _ => return,
        };
        // A hash of another name is no device's, and no heartbeat will ever ask for it.
        let Ok(id) = name::check(id) else {
            return;
        };
        if is_state {
            self.suspects.borrow_mut().insert(id.to_owned());
            let mut deadlines = self.deadlines.borrow_mut();
            deadlines.schedule(id, Some(0));
            deadlines.set_note(id, Known::default());
        } else if self.deadlines.borrow().contains(id) {
            // Of a stranger's key nobody will ask.
            self.expired_by_server.borrow_mut().insert(id.to_owned());
        }
    }

    /// Whether the keys come from a file or a master. The hearing alone does not say: it comes back with
    /// the next tick, and clients may write before.
    fn is_filled_by_others(&self, ctx: &Ctx<'_>) -> bool {
        matches!(self.hearing().deaf(), Some(Deaf::Loading | Deaf::Replica)) && {
            let flags = ctx.flags();
            flags.is_loading() || !flags.is_master()
        }
    }

    /// What is noted of devices is what this server did; another one was the master meanwhile, or
    /// will be. A node may have other slots than the one it followed was known to have.
    pub fn role_changed(&self) {
        self.forget_slots();
        self.definitions.look_again();
        self.deadlines.borrow_mut().forget_notes();
    }

    /// Another data set took the place of the one that was.
    pub fn data_replaced(&self, what: Replaced) {
        self.types.forget();
        self.rules.forget_all();
        self.definitions.forget_all();
        self.deadlines.borrow_mut().forget_notes();
        self.deadlines.borrow_mut().look_at_all();
        self.alert_deadlines.borrow_mut().look_at_all();
        match what {
            Replaced::Flushed => {
                // Hashes that are no devices may be gone: nothing else would bring them up again.
                let mut deadlines = self.deadlines.borrow_mut();
                for id in self.suspects.borrow().iter() {
                    deadlines.schedule(id, Some(0));
                }
            }
            Replaced::Swapped | Replaced::Loaded => {
                self.suspects.borrow_mut().clear();
                self.users.forget_all();
                self.reconcile_all();
            }
            Replaced::LoadingStarted => {
                self.update_hearing(|hearing| hearing.go_deaf(Deaf::Loading))
            }
        }
    }
}

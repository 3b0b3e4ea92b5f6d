//! Devices whose time is up, told offline some at a time: what they share (the indexes, the stream of
//! events) is checked, looked up and replicated once for all of them. Each transition is what
//! [`presence::go_offline`] makes of one, and all writes of one slice of the sweeper are one unit for
//! replicas and in the append-only file.
//!
//! First everything is checked, then everything written, and when that is done, everybody told: a
//! listener that reads a device because of a notification sees its whole transition.

use std::rc::Rc;

use super::device::status_name;
use super::events::{self, PresenceMessages};
use super::keys::Indexes;
use super::presence::{self, expect};
use super::sweeper::Trouble;
use super::{settings, Device, Error, Fleet, Result};
use crate::store::{Appended, Arg, Ctx, Doomed, Fields, KeyType, RString};

/// So many are told at a time. More make the slices coarser, and gain nothing.
const AT_A_TIME: usize = 32;
const REASON: &str = "timeout";

/// Devices that wait to be told offline. Nothing of them is written yet.
#[derive(Default)]
pub(super) struct Departures {
    waiting: Vec<Departure>,
    /// How the ids of those end, which is compared faster than all of them.
    tails: Vec<u64>,
}

struct Departure {
    device: Device,
    deadline: u64,
    heartbeat: RString,
    had_heartbeat: bool,
    online_of_type: Rc<RString>,
}

impl Departures {
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= AT_A_TIME
    }

    /// Whether this device waits alone.
    pub fn are_only(&self, id: &str) -> bool {
        matches!(self.waiting.as_slice(), [only] if only.device.id == id)
    }

    /// What those that wait share: in a cluster they are of one slot.
    fn indexes<'f>(&self, fleet: &'f Fleet) -> &'f Indexes {
        let first = self.waiting.first();
        fleet
            .keys
            .of(first.map_or("", |departure| &departure.device.id))
    }

    /// Adds an online device whose deadline has passed. One whose type has rules on presence is told
    /// at once: what they write depends on what they wrote for the one before.
    pub fn add(
        &mut self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        mut device: Device,
        deadline: u64,
        now: u64,
    ) -> Result<()> {
        if self.has(&device.id) {
            // Its hash was mended, or changed by other hands, so it came up again.
            return Ok(());
        }
        let indexes = fleet.keys.of(&device.id);
        if self.indexes(fleet).slot() != indexes.slot() {
            self.tell(ctx, fleet, now);
        }
        let last = self.waiting.last();
        let online_of_type = match last.filter(|d| d.device.device_type == device.device_type) {
            // Its type has no such rules, or it would not wait.
            Some(last) => last.online_of_type.clone(),
            None => {
                let rules = fleet.rules.of_type(ctx, fleet, &device.device_type);
                if !rules.presence.is_empty() {
                    self.tell(ctx, fleet, now);
                    presence::go_offline(ctx, fleet, &mut device, now, REASON)?;
                    timed_out(fleet, deadline, now);
                    return Ok(());
                }
                Rc::new(indexes.online_of_type(&device.device_type))
            }
        };
        if settings::HISTORY_PRESENCE.is_on() {
            expect(ctx, &fleet.keys.history(&device.id), KeyType::Stream)?;
        }
        self.tails.push(tail_of(&device.id));
        self.waiting.push(Departure {
            online_of_type,
            heartbeat: fleet.keys.heartbeat(&device.id),
            had_heartbeat: false,
            device,
            deadline,
        });
        Ok(())
    }

    fn has(&self, id: &str) -> bool {
        self.tails.contains(&tail_of(id)) && self.waiting.iter().any(|d| d.device.id == id)
    }

    /// Tells all of them offline. Where that can't be written, a device stays as it is and is looked
    /// at again later.
    pub fn tell(&mut self, ctx: &Ctx<'_>, fleet: &Fleet, now: u64) {
        self.tails.clear();
        self.keep_those_with_good_indexes(ctx, fleet, now);
        let mut heartbeats = self.open_heartbeats(ctx, fleet, now);
        let Some(appended) = self.append_events(ctx, fleet, now) else {
            return;
        };
        heartbeats.truncate(appended.count);
        if let Err(error) = self.write(ctx, fleet, heartbeats, now) {
            // The types are checked, and nothing else can be wrong.
            let text = format!("devices went offline, but not in the indexes: {error}");
            fleet.complain(ctx, Trouble::Offline, &text);
        }
        // One after the other, so that what is in no cache is fetched for several at once.
        let mut deadlines = fleet.deadlines.borrow_mut();
        for departure in &self.waiting {
            deadlines.remove(&departure.device.id);
        }
        drop(deadlines);
        let events = &self.indexes(fleet).events;
        let mut messages = PresenceMessages::new(status_name(false), now, REASON);
        ctx.notify_appended(events, &appended, || {
            for departure in &self.waiting {
                departure.tell(ctx, fleet, &mut messages, now);
            }
        });
        self.waiting.clear();
    }

    fn keep_those_with_good_indexes(&mut self, ctx: &Ctx<'_>, fleet: &Fleet, now: u64) {
        let indexes = self.indexes(fleet);
        let shared = || {
            expect(ctx, &indexes.online, KeyType::Set)?;
            expect(ctx, &indexes.offline, KeyType::SortedSet)?;
            expect(ctx, &indexes.events, KeyType::Stream)
        };
        if self.waiting.is_empty() {
            return;
        }
        if let Err(error) = shared() {
            return self.give_up(ctx, fleet, 0, &error, now);
        }
        let mut good: Option<String> = None;
        self.waiting.retain(
            |Departure {
                 device,
                 online_of_type,
                 ..
             }| {
                if good.as_ref() == Some(&device.device_type) {
                    return true;
                }
                match expect(ctx, online_of_type, KeyType::Set) {
                    Ok(()) => good = Some(device.device_type.clone()),
                    Err(error) => {
                        fleet.back_off(ctx, &device.id, &error, now);
                        return false;
                    }
                }
                true
            },
        );
    }

    /// The heartbeat keys of all of them, to be deleted once the first write is done.
    fn open_heartbeats<'c>(
        &mut self,
        ctx: &'c Ctx<'_>,
        fleet: &Fleet,
        now: u64,
    ) -> Vec<Doomed<'c>> {
        let mut open = Vec::with_capacity(self.waiting.len());
        self.waiting.retain(
            |Departure {
                 device, heartbeat, ..
             }| {
                match ctx.open_to_delete(heartbeat, KeyType::String) {
                    Ok(key) => open.push(key),
                    Err(found) => {
                        let error = Error::wrong_type(heartbeat.bytes(), found, KeyType::String);
                        fleet.back_off(ctx, &device.id, &error, now);
                        return false;
                    }
                }
                true
            },
        );
        open
    }

    /// All from this one on stay online for now.
    fn give_up(&mut self, ctx: &Ctx<'_>, fleet: &Fleet, from: usize, why: &Error, now: u64) {
        for departure in self.waiting.drain(from..) {
            fleet.back_off(ctx, &departure.device.id, why, now);
        }
    }

    /// The first write, because it is the only one that can still fail (somebody may have used up the
    /// stream's ids).
    fn append_events(&mut self, ctx: &Ctx<'_>, fleet: &Fleet, now: u64) -> Option<Appended> {
        if self.waiting.is_empty() {
            return None;
        }
        let maxlen = fleet.events_maxlen();
        let indexes = self.indexes(fleet);
        let stamp = RString::from_int(now);
        let waiting = &self.waiting;
        let fill = |place: usize, fields: &mut Vec<_>| {
            events::fill_offline(fields, &waiting[place].device, &stamp, REASON);
        };
        let log = &fleet.event_log;
        let mut appended = log.append_all(ctx, indexes, maxlen, now, waiting.len(), fill);
        if let Some(error) = appended.error.take() {
            self.give_up(ctx, fleet, appended.count, &error.into(), now);
        }
        (appended.count > 0).then_some(appended)
    }

    /// Everything else, so that hashes, indexes and heartbeat keys agree again.
    fn write(
        &mut self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        heartbeats: Vec<Doomed<'_>>,
        now: u64,
    ) -> Result<()> {
        let (indexes, f) = (self.indexes(fleet), &fleet.fields);
        let changed = [
            Arg::Str(&f.status),
            Arg::Name(status_name(false)),
            Arg::Str(&f.status_since),
            now.into(),
            Arg::Str(&f.status_reason),
            Arg::Name(REASON),
        ];
        let fields = Fields::new(&changed);
        for Departure { device, .. } in &mut self.waiting {
            device.online = false;
            device.since = now;
            // Replicas may not know it yet, and the index of offline devices is sorted by it.
            let last_seen = [Arg::Str(&f.last_seen), device.last_seen.into()];
            match device.last_seen_is_stored {
                true => ctx.set_changed_fields(&device.key, &fields, &last_seen)?,
                false => ctx.set_fields(&device.key, &[&changed[..], &last_seen].concat())?,
            }
        }
        for (departure, key) in self.waiting.iter_mut().zip(heartbeats) {
            departure.had_heartbeat = key.delete();
        }
        let deleted = self.waiting.iter().filter(|d| d.had_heartbeat);
        ctx.replicate_deleted(deleted.map(|d| &d.heartbeat));
        ctx.srem_all(
            &indexes.online,
            self.waiting.iter().map(|d| &d.device.id_key),
        )?;
        let mut by_type: Vec<&Departure> = self.waiting.iter().collect();
        by_type.sort_by_key(|d| &d.device.device_type);
        for of_type in by_type.chunk_by(|a, b| a.device.device_type == b.device.device_type) {
            let ids = of_type.iter().map(|d| &d.device.id_key);
            ctx.srem_all(&of_type[0].online_of_type, ids)?;
        }
        let offline: Vec<(u64, &RString)> = self
            .waiting
            .iter()
            .map(|d| (d.device.last_seen, &d.device.id_key))
            .collect();
        ctx.zadd_all(&indexes.offline, &offline)?;
        ctx.notify_zadd(&indexes.offline);
        for Departure { device, .. } in &self.waiting {
            presence::record(ctx, fleet, device, REASON, now);
        }
        Ok(())
    }
}

impl Departure {
    /// Tells the world of one, all of whose writes are done.
    fn tell(&self, ctx: &Ctx<'_>, fleet: &Fleet, messages: &mut PresenceMessages, now: u64) {
        let device = &self.device;
        fleet.stats.went_offline.add(1);
        timed_out(fleet, self.deadline, now);
        ctx.touched(&device.key);
        ctx.notify_hset(&device.key);
        if self.had_heartbeat {
            ctx.touched(&self.heartbeat);
            ctx.notify_del(&self.heartbeat);
        }
        presence::tell_offline(ctx, fleet, device, &self.heartbeat, messages);
    }
}

/// The last eight bytes of an id.
fn tail_of(id: &str) -> u64 {
    let id = id.as_bytes();
    let mut tail = [0; 8];
    let end = &id[id.len().saturating_sub(tail.len())..];
    tail[..end.len()].copy_from_slice(end);
    u64::from_le_bytes(tail)
}

fn timed_out(fleet: &Fleet, deadline: u64, now: u64) {
    fleet.stats.timed_out.add(1);
    fleet.stats.told_after(now - deadline);
}

//! Changes of a device's alerts that are worked out and checked whole before anything is written.
//!
//! The events stream comes first ([`Step::announce`]), because it is the only write that can still
//! fail; where other writes of the same step have been made already, that is logged and the rest
//! stands ([`Step::follow`]).

use devicestate_core::alert::item::Told;
use devicestate_core::alert::record::{Cleared, Outcome};
use devicestate_core::alert::Record;
use devicestate_core::name;
use serde_json::Value;

use super::records::Records;
use super::users::{self, About};
use super::wait_for;
use crate::fleet::events::{self, Message, LARGEST_IN_STREAM};
use crate::fleet::presence::expect;
use crate::fleet::sweeper::Trouble;
use crate::fleet::{history, settings, Device, Fleet, Result};
use crate::store::{pair, Arg, Ctx, KeyType};

/// How many owners of a device are notified.
const MAX_OWNERS: usize = 64;

/// Whom to tell, and how long they may be kept waiting for company (`None`: as the settings say).
#[derive(Clone, Copy)]
pub struct Notify<'a> {
    pub users: &'a [String],
    pub wait: Option<u64>,
}

/// An alert that was raised, or seen again by a rule.
pub struct Raised<'a> {
    pub alert: &'a str,
    pub record: Record,
    pub outcome: Outcome,
    pub notify: Notify<'a>,
}

/// See the module's comment.
pub struct Step {
    records: Records,
    changes: Vec<Change>,
    /// Who owns the device; read when somebody is told for the first time.
    owners: Option<Vec<String>>,
}

/// What becomes of one alert.
struct Change {
    alert: String,
    record: Record,
    /// What everybody is told.
    tells: Option<Told>,
    outcome: Option<Outcome>,
    /// Of an alert that is cleared without a word: who knows all the same that it fired.
    knowing: Vec<String>,
    was: &'static str,
}

impl Step {
    /// The alerts as they are stored.
    pub fn records(&self) -> &Records {
        &self.records
    }

    pub fn new(records: Records) -> Step {
        Step {
            records,
            changes: Vec::new(),
            owners: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes up an alert that was raised: where it is to be told, the owners of the device are too.
    pub fn raised(
        &mut self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: Option<&Device>,
        raised: Raised<'_>,
        now: u64,
    ) {
        let Raised {
            alert,
            mut record,
            outcome,
            notify,
        } = raised;
        let was = match record.told {
            Some(told) if told.firing => "firing",
            _ => "cleared",
        };
        if outcome.is_told() {
            let owners = self
                .owners
                .get_or_insert_with(|| device.map_or_else(Vec::new, |d| owners(ctx, fleet, d)));
            let wait = notify.wait.unwrap_or_else(|| wait_for(record.severity));
            let users = [notify.users, owners].concat();
            record.told_now(&users, wait, now);
        }
        self.changes.push(Change {
            alert: alert.to_owned(),
            record,
            tells: outcome.is_told().then_some(Told::Firing),
            outcome: Some(outcome),
            knowing: Vec::new(),
            was,
        });
    }

    /// An alert that is held or fires does so no more.
    pub fn clear(&mut self, alert: &str, mut record: Record, now: u64) {
        let was = record.state.name();
        let mut knowing = record.users.clone();
        knowing.retain(|user| record.is_known_to_fire_by(user));
        let cleared = record.clear(now);
        self.changes.push(Change {
            alert: alert.to_owned(),
            record,
            tells: (cleared == Cleared::Resolved).then_some(Told::Resolved),
            outcome: None,
            knowing,
            was,
        });
    }

    /// The record as it was; if it is forgotten, its field goes.
    pub fn drop_forgotten(&mut self, alert: &str, record: Record) {
        let was = record.state.name();
        self.changes.push(Change {
            alert: alert.to_owned(),
            record,
            tells: None,
            outcome: None,
            knowing: Vec::new(),
            was,
        });
    }

    /// Refuses keys of another type among those that will be written.
    pub fn check(&self, ctx: &Ctx<'_>, fleet: &Fleet, device: Option<&Device>) -> Result<()> {
        let (keys, indexes) = (&fleet.keys, fleet.keys.of(&self.records.id));
        expect(ctx, &self.records.key, KeyType::Hash)?;
        for change in &self.changes {
            for user in &change.record.users {
                expect(ctx, &indexes.user(user), KeyType::Hash)?;
            }
        }
        if self.changes.iter().any(Change::makes_users_due) {
            expect(ctx, &indexes.alerts_due, KeyType::SortedSet)?;
        }
        if self.changes.iter().all(|change| change.tells.is_none()) {
            return Ok(());
        }
        expect(ctx, &indexes.events, KeyType::Stream)?;
        if history::maxlen(ctx, fleet, device) > 0 {
            expect(ctx, &keys.history(&self.records.id), KeyType::Stream)?;
        }
        Ok(())
    }

    /// Into `devices:events`: the first write, and the only one that may fail.
    pub fn announce(&self, ctx: &Ctx<'_>, fleet: &Fleet, now: u64) -> Result<()> {
        for change in &self.changes {
            let Some(state) = change.tells else { continue };
            let record = &change.record;
            let mut fields: Vec<(&'static str, Arg<'_>)> = vec![
                ("alert", change.alert.as_str().into()),
                ("severity", u64::from(record.severity).into()),
                ("state", state.name().into()),
                ("count", record.count.into()),
            ];
            let data = record.data();
            if data.len() <= LARGEST_IN_STREAM {
                fields.push(("data", data.into()));
            }
            events::append(ctx, fleet, "alert", &self.records.id, now, &fields)?;
        }
        Ok(())
    }

    /// Writes the records and tells everybody else.
    pub fn write(&self, ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, now: u64) -> Result<()> {
        self.store(ctx, fleet, now)?;
        for change in &self.changes {
            change.tell_users(ctx, fleet, &device.id, now)?;
            if let Some(outcome) = change.outcome {
                fleet.stats.alert_raised(outcome);
            }
            let Some(state) = change.tells else { continue };
            if state == Told::Resolved {
                fleet.stats.alerts_resolved.add(1);
            }
            change.record_in_history(ctx, fleet, device, state, now);
            change.publish(ctx, &device.id, state, now);
            ctx.notify(c"device.alert", &device.key);
        }
        ctx.touched(&device.id_key);
        Ok(())
    }

    /// The same behind writes that are made already.
    fn follow(self, ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, now: u64) -> Result<()> {
        if let Err(error) = self.announce(ctx, fleet, now) {
            let text = format!("an alert can't be told: {error}");
            fleet.complain(ctx, Trouble::Stream, &text);
        }
        self.write(ctx, fleet, device, now)
    }

    fn store(&self, ctx: &Ctx<'_>, fleet: &Fleet, now: u64) -> Result<()> {
        let (gone, kept): (Vec<_>, Vec<_>) = self
            .changes
            .iter()
            .partition(|change| change.record.is_forgotten(now));
        let texts: Vec<String> = kept.iter().map(|change| change.record.encode()).collect();
        let mut fields = Vec::with_capacity(2 * kept.len());
        for (change, text) in kept.iter().zip(&texts) {
            fields.extend(pair(change.alert.as_str(), text.as_str()));
            self.records.schedule(fleet, &change.record);
        }
        if !fields.is_empty() {
            ctx.hset(&self.records.key, &fields)?;
        }
        if !gone.is_empty() {
            let mut hdel = vec![Arg::Str(&self.records.key)];
            hdel.extend(gone.iter().map(|change| Arg::from(change.alert.as_str())));
            ctx.write(c"HDEL", &hdel)?;
        }
        Ok(())
    }
}

impl Change {
    fn makes_users_due(&self) -> bool {
        self.tells.is_some() || self.outcome.is_none()
    }

    /// Users hear of what is told; a clear that is not told changes what they have pending, and is
    /// told to those who know that the alert fired.
    fn tell_users(&self, ctx: &Ctx<'_>, fleet: &Fleet, id: &str, now: u64) -> Result<()> {
        let about = About {
            id,
            alert: &self.alert,
            record: &self.record,
        };
        for user in &self.record.users {
            match self.tells {
                Some(state) => users::tell(ctx, fleet, user, &about, state, now)?,
                None if self.outcome.is_none() => {
                    let knows = self.knowing.contains(user);
                    users::clear(ctx, fleet, user, &about, knows, now)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn record_in_history(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: &Device,
        state: Told,
        now: u64,
    ) {
        let entry = history::Entry::Alert {
            alert: &self.alert,
            severity: self.record.severity,
            old: self.was,
            new: state.name(),
            count: self.record.count,
        };
        history::append(ctx, fleet, device, &entry, now);
    }

    fn publish(&self, ctx: &Ctx<'_>, id: &str, state: Told, now: u64) {
        settings::ALERT_CHANNEL.with(|channel| {
            if channel.is_empty() {
                return;
            }
            let mut message = Message::new("alert", id);
            message.text("alert", &self.alert);
            message.number("severity", self.record.severity.into());
            message.text("state", state.name());
            message.number("count", self.record.count);
            message.json("data", self.record.data());
            message.number("timestamp", now);
            message.publish(ctx, channel);
        });
    }
}

/// Writes and tells what follows a step whose own writes are made already.
pub fn follow(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    alerts: Option<Step>,
    now: u64,
) -> Result<()> {
    match alerts {
        Some(step) => step.follow(ctx, fleet, device, now),
        None => Ok(()),
    }
}

/// The users whom the device's metadata names as its owners: `"owners":["u1"]`. What is no good name
/// is passed over.
fn owners(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Vec<String> {
    let metadata = device.text(ctx, &fleet.fields.metadata).unwrap_or_default();
    if !metadata.contains("\"owners\"") {
        return Vec::new();
    }
    let metadata = devicestate_core::json::stored_object(metadata.as_bytes());
    let owners = metadata.and_then(|mut metadata| metadata.remove("owners"));
    let Some(Value::Array(owners)) = owners else {
        return Vec::new();
    };
    let names = owners.into_iter().filter_map(|owner| match owner {
        Value::String(owner) => name::check(owner.as_bytes()).is_ok().then_some(owner),
        _ => None,
    });
    names.take(MAX_OWNERS).collect()
}

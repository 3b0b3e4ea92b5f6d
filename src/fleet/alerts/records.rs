//! The records of a device's alerts, in the hash `device:alerts:<id>`.

use devicestate_core::alert::Record;

use crate::fleet::presence::expect;
use crate::fleet::{settings, Error, Fleet, Result};
use crate::store::{pair, Arg, Ctx, KeyType, RString};

/// Where they are.
pub struct Records {
    pub id: String,
    pub key: RString,
}

/// What stands in a field.
pub enum Stored {
    Nothing,
    Record(Record),
    /// Other hands wrote what is no record.
    Broken,
}

impl Stored {
    /// What this text is, that of a field.
    pub fn read(text: Option<&RString>) -> Stored {
        match text {
            Some(text) => Record::decode(text.bytes()).map_or(Stored::Broken, Stored::Record),
            None => Stored::Nothing,
        }
    }

    /// What a rule makes of it: what can't be read is written anew.
    pub fn record(self) -> Option<Record> {
        match self {
            Stored::Record(record) => Some(record),
            Stored::Nothing | Stored::Broken => None,
        }
    }
}

impl Records {
    pub fn of(fleet: &Fleet, id: &str) -> Records {
        Records {
            id: id.to_owned(),
            key: fleet.keys.alerts(id),
        }
    }

    pub fn get(&self, ctx: &Ctx<'_>, alert: &str) -> Result<Stored> {
        let hash = ctx
            .open_hash(&self.key)
            .map_err(|found| Error::wrong_type(self.key.bytes(), found, KeyType::Hash))?;
        let field = RString::new(alert.as_bytes());
        let text = hash.and_then(|hash| hash.get(&field));
        Ok(Stored::read(text.as_ref()))
    }

    /// All that can be read.
    pub fn all(&self, ctx: &Ctx<'_>) -> Result<Vec<(String, Record)>> {
        expect(ctx, &self.key, KeyType::Hash)?;
        let reply = ctx.read(c"HGETALL", &[Arg::Str(&self.key)])?;
        let records = reply.pairs().filter_map(|(alert, text)| {
            let alert = String::from_utf8(alert.to_vec()).ok()?;
            Some((alert, Record::decode(text)?))
        });
        Ok(records.collect())
    }

    /// Whether there are any: the cheapest question.
    pub fn exist(&self, ctx: &Ctx<'_>) -> bool {
        ctx.key_type(&self.key) != KeyType::Missing
    }

    pub fn len(&self, ctx: &Ctx<'_>) -> Result<u64> {
        Ok(ctx.read(c"HLEN", &[Arg::Str(&self.key)])?.int())
    }

    /// Stores a record and sees to it that it is looked at in time.
    pub fn put(&self, ctx: &Ctx<'_>, fleet: &Fleet, alert: &str, record: &Record) -> Result<()> {
        let text = record.encode();
        ctx.hset(&self.key, &pair(alert, text.as_str()))?;
        self.schedule(fleet, record);
        Ok(())
    }

    /// Sees to it that an alert is looked at when it does something by itself.
    pub fn schedule(&self, fleet: &Fleet, record: &Record) {
        if let Some((at, _)) = record.next(|silence| fleet.not_before(&self.id, silence)) {
            fleet.look_at_alerts_by(&self.id, at);
        }
    }
}

impl Fleet {
    /// When a device's silence of that many milliseconds may count at the earliest: after deaf time everybody
    /// gets a turn to speak up.
    pub(super) fn not_before(&self, id: &str, silence: u64) -> u64 {
        self.hearing_of(id)
            .hold_until(silence, settings::RESTART_GRACE.value())
    }

    /// Looks at the alerts of a device at this time, or before.
    pub(in crate::fleet) fn look_at_alerts_by(&self, id: &str, at: u64) {
        let mut deadlines = self.alert_deadlines.borrow_mut();
        if deadlines.deadline(id).is_none_or(|before| at < before) {
            deadlines.schedule(id, Some(at));
        }
    }
}

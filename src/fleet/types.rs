//! Defaults of device types: the hash `devices:types`, one field per type holding JSON, and a
//! parsed copy of it that is dropped whenever the key changes. In a cluster they are
//! [definitions](super::definitions).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use devicestate_core::definitions::Name;
use serde::{Deserialize, Serialize};

use super::presence::expect;
use super::{settings, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

/// What devices of a type have unless they say otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeDefaults {
    /// Milliseconds; 0: no timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// About how many entries a device's history keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<u64>,
}

impl TypeDefaults {
    /// From the stored JSON; whatever other hands wrote.
    fn parse(json: &[u8]) -> Option<TypeDefaults> {
        let object = devicestate_core::json::stored_object(json)?;
        let mut defaults: TypeDefaults =
            serde_json::from_value(serde_json::Value::Object(object)).ok()?;
        defaults.timeout = defaults.timeout.map(|ms| ms.min(settings::MAX_TIMEOUT_MS));
        Some(defaults)
    }
}

/// The parsed copy. Broken entries (written by hand) are skipped.
#[derive(Default)]
pub struct Types {
    cache: RefCell<HashMap<Vec<u8>, TypeDefaults>>,
    is_fresh: Cell<bool>,
}

impl Types {
    /// The key changed, or the data set did.
    pub fn forget(&self) {
        self.is_fresh.set(false);
    }

    /// Other hands may put another type in the key's place, of which no event tells us; the sweeper
    /// asks now and then.
    pub fn check_key(&self, ctx: &Ctx<'_>, fleet: &Fleet) {
        let is_stale = self.is_fresh.get()
            && !fleet.keys.are_by_slot()
            && !self.cache.borrow().is_empty()
            && ctx.key_type(key(fleet)) != KeyType::Hash;
        if is_stale {
            self.changed();
        }
    }

    /// Parses the key again if it changed.
    pub fn refresh(&self, ctx: &Ctx<'_>, fleet: &Fleet) {
        if self.is_fresh.get() {
            return;
        }
        let mut cache = self.cache.borrow_mut();
        cache.clear();
        for (name, json) in stored(ctx, fleet) {
            if let Some(defaults) = TypeDefaults::parse(&json) {
                cache.insert(name, defaults);
            }
        }
        cache
            .values()
            .filter_map(|defaults| defaults.timeout)
            .for_each(|t| fleet.shorten_timeout(t));
        self.is_fresh.set(true);
    }

    /// The timeout of a type, in milliseconds.
    pub fn timeout(&self, ctx: &Ctx<'_>, fleet: &Fleet, device_type: &[u8]) -> Option<u64> {
        self.refresh(ctx, fleet);
        self.cache.borrow().get(device_type)?.timeout
    }

    /// About how many entries the history of a device of this type keeps.
    pub fn history(&self, ctx: &Ctx<'_>, fleet: &Fleet, device_type: &[u8]) -> u64 {
        self.refresh(ctx, fleet);
        let own = self.cache.borrow().get(device_type).and_then(|t| t.history);
        own.unwrap_or_else(|| settings::HISTORY_MAXLEN.value())
    }

    /// The timeout from the copy as it is; the type is asked for only if any type has defaults.
    pub fn cached_timeout(&self, device_type: impl FnOnce() -> Option<RString>) -> Option<u64> {
        let cache = self.cache.borrow();
        if cache.is_empty() {
            return None;
        }
        cache.get(device_type()?.bytes())?.timeout
    }

    pub fn get(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device_type: &str,
    ) -> Result<Option<TypeDefaults>> {
        expect_hash(ctx, fleet)?;
        self.refresh(ctx, fleet);
        Ok(self.cache.borrow().get(device_type.as_bytes()).copied())
    }

    /// All types with their defaults, by name.
    pub fn list(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> Result<Vec<(Vec<u8>, TypeDefaults)>> {
        expect_hash(ctx, fleet)?;
        self.refresh(ctx, fleet);
        let mut types: Vec<_> = self
            .cache
            .borrow()
            .iter()
            .map(|(name, defaults)| (name.clone(), *defaults))
            .collect();
        types.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(types)
    }

    /// Changes what is given and keeps the rest.
    pub fn set(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device_type: &str,
        change: TypeDefaults,
    ) -> Result<()> {
        let stored = self.get(ctx, fleet, device_type)?;
        let before = stored.unwrap_or_default();
        let after = TypeDefaults {
            timeout: change.timeout.or(before.timeout),
            history: change.history.or(before.history),
        };
        if stored == Some(after) {
            return Ok(());
        }
        let json = serde_json::to_string(&after).unwrap_or_default();
        if fleet.keys.are_by_slot() {
            let name = Name::type_defaults(device_type);
            fleet.definitions.change(ctx, fleet, name, Some(&json))?;
        } else {
            let key = Arg::Str(key(fleet));
            ctx.write(c"HSET", &[key, device_type.into(), json.as_str().into()])?;
        }
        self.changed();
        Ok(())
    }

    pub fn delete(&self, ctx: &Ctx<'_>, fleet: &Fleet, device_type: &str) -> Result<bool> {
        expect_hash(ctx, fleet)?;
        let deleted = if fleet.keys.are_by_slot() {
            let mut all = fleet.definitions.types().into_iter();
            let is_known = all.any(|(name, _)| name == device_type);
            if is_known {
                let name = Name::type_defaults(device_type);
                fleet.definitions.change(ctx, fleet, name, None)?;
            }
            is_known
        } else {
            let hdel = [Arg::Str(key(fleet)), device_type.into()];
            ctx.write(c"HDEL", &hdel)?.int() > 0
        };
        if deleted {
            self.changed();
        }
        Ok(deleted)
    }

    /// Devices of the type may be due earlier or later now.
    pub(super) fn changed(&self) {
        self.forget();
        super::look_at_all();
    }
}

/// Where a single server keeps them.
fn key(fleet: &Fleet) -> &RString {
    &fleet.keys.of("").types
}

fn expect_hash(ctx: &Ctx<'_>, fleet: &Fleet) -> Result<()> {
    match fleet.keys.are_by_slot() {
        true => Ok(()),
        false => expect(ctx, key(fleet), KeyType::Hash),
    }
}

/// Each type and its JSON.
fn stored(ctx: &Ctx<'_>, fleet: &Fleet) -> Vec<(Vec<u8>, Vec<u8>)> {
    if fleet.keys.are_by_slot() {
        let all = fleet.definitions.types().into_iter();
        return all
            .map(|(name, json)| (name.into_bytes(), json.into_bytes()))
            .collect();
    }
    let hash = ctx.read(c"HGETALL", &[Arg::Str(key(fleet))]).ok();
    let pairs = hash.iter().flat_map(|hash| hash.pairs());
    pairs
        .map(|(name, json)| (name.to_vec(), json.to_vec()))
        .collect()
}

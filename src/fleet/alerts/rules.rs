//! Alert rules: the hash `alerts:rules:<type>`, one field per rule holding its JSON, and a parsed
//! copy of each type's that is dropped whenever its key changes. In a cluster they are
//! [definitions](crate::fleet::definitions).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use devicestate_core::alert::rule::{Condition, Rule};
use devicestate_core::definitions::Name;

use crate::fleet::presence::expect;
use crate::fleet::sweeper::Trouble;
use crate::fleet::{Error, Fleet, Result};
use crate::store::{pair, Arg, Ctx, KeyType};

/// How many rules a type may have.
pub const MAX_RULES: u64 = 100;
/// How many types are remembered, most of them without a rule.
const MAX_CACHED: usize = 10_000;

/// The rules of one type by name.
#[derive(Default)]
pub struct OfType {
    pub values: Vec<(String, Rule)>,
    pub presence: Vec<(String, Rule)>,
}

impl OfType {
    pub fn value(&self, name: &str) -> Option<&Rule> {
        find(&self.values, name)
    }

    pub fn presence(&self, name: &str) -> Option<&Rule> {
        find(&self.presence, name)
    }
}

fn find<'r>(rules: &'r [(String, Rule)], name: &str) -> Option<&'r Rule> {
    rules
        .iter()
        .find_map(|(other, rule)| (other == name).then_some(rule))
}

#[derive(Default)]
pub struct Rules {
    cache: RefCell<HashMap<String, Rc<OfType>>>,
}

impl Rules {
    /// The key of a type's rules changed.
    pub fn forget(&self, device_type: &[u8]) {
        match std::str::from_utf8(device_type) {
            Ok(device_type) => drop(self.cache.borrow_mut().remove(device_type)),
            Err(_) => self.forget_all(),
        }
    }

    pub fn forget_all(&self) {
        self.cache.borrow_mut().clear();
    }

    /// The rules of a type; those that other hands broke are left out, and logged.
    pub fn of_type(&self, ctx: &Ctx<'_>, fleet: &Fleet, device_type: &str) -> Rc<OfType> {
        if let Some(rules) = self.cache.borrow().get(device_type) {
            return rules.clone();
        }
        let rules = Rc::new(read(ctx, fleet, device_type));
        let mut cache = self.cache.borrow_mut();
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(device_type.to_owned(), rules.clone());
        rules
    }

    /// Stores a rule; true when it is new.
    pub fn set(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device_type: &str,
        name: &str,
        json: &str,
    ) -> Result<bool> {
        if fleet.keys.are_by_slot() {
            return self.define(ctx, fleet, device_type, name, Some(json));
        }
        let key = fleet.keys.of("").rules(device_type);
        expect(ctx, &key, KeyType::Hash)?;
        let stored = ctx.read(c"HGET", &[Arg::Str(&key), name.into()])?;
        if stored.bytes() == Some(json.as_bytes()) {
            return Ok(false);
        }
        let is_known = stored.bytes().is_some();
        if !is_known && ctx.read(c"HLEN", &[Arg::Str(&key)])?.int() >= MAX_RULES {
            return Err(Error::too_many_rules(device_type, MAX_RULES));
        }
        let mut hset = vec![Arg::Str(&key)];
        hset.extend(pair(name, json));
        ctx.write(c"HSET", &hset)?;
        self.forget(device_type.as_bytes());
        Ok(!is_known)
    }

    pub fn delete(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device_type: &str,
        name: &str,
    ) -> Result<bool> {
        if fleet.keys.are_by_slot() {
            return self.define(ctx, fleet, device_type, name, None);
        }
        let key = fleet.keys.of("").rules(device_type);
        expect(ctx, &key, KeyType::Hash)?;
        let deleted = ctx.write(c"HDEL", &[Arg::Str(&key), name.into()])?.int() > 0;
        self.forget(device_type.as_bytes());
        Ok(deleted)
    }

    /// Sets or deletes a rule on all nodes of a cluster; true when it was new, or was there.
    fn define(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device_type: &str,
        name: &str,
        json: Option<&str>,
    ) -> Result<bool> {
        let rules = fleet.definitions.rules(device_type);
        let stored = rules.iter().find(|(other, _)| other == name);
        if stored.map(|(_, stored)| stored.as_str()) == json {
            return Ok(false);
        }
        let is_new = stored.is_none();
        if is_new && rules.len() as u64 >= MAX_RULES {
            return Err(Error::too_many_rules(device_type, MAX_RULES));
        }
        let definition = Name::rule(device_type, name);
        fleet.definitions.change(ctx, fleet, definition, json)?;
        self.forget(device_type.as_bytes());
        Ok(is_new || json.is_none())
    }
}

/// The rules of a type as they are stored, by name.
pub fn list(ctx: &Ctx<'_>, fleet: &Fleet, device_type: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    if fleet.keys.are_by_slot() {
        let rules = fleet.definitions.rules(device_type).into_iter();
        return Ok(rules
            .map(|(name, json)| (name.into_bytes(), json.into_bytes()))
            .collect());
    }
    let key = fleet.keys.of("").rules(device_type);
    expect(ctx, &key, KeyType::Hash)?;
    let reply = ctx.read(c"HGETALL", &[Arg::Str(&key)])?;
    let rules = reply
        .pairs()
        .map(|(name, json)| (name.to_vec(), json.to_vec()));
    let mut rules: Vec<_> = rules.collect();
    rules.sort();
    Ok(rules)
}

fn read(ctx: &Ctx<'_>, fleet: &Fleet, device_type: &str) -> OfType {
    let mut rules = OfType::default();
    let stored = match list(ctx, fleet, device_type) {
        Ok(stored) => stored,
        Err(error) => {
            let text = format!("the alert rules of type '{device_type}' can't be read: {error}");
            fleet.complain(ctx, Trouble::Rules, &text);
            return rules;
        }
    };
    for (name, json) in stored {
        let name = String::from_utf8_lossy(&name).into_owned();
        match Rule::parse(&json) {
            Ok((rule, _)) => match rule.condition {
                Condition::Value(_) => rules.values.push((name, rule)),
                Condition::Offline { .. } => rules.presence.push((name, rule)),
            },
            Err(error) => {
                let text = format!("alert rule '{name}' of type '{device_type}': {error}");
                fleet.complain(ctx, Trouble::Rules, &text);
            }
        }
    }
    rules
}

//! Which node of a cluster has which slot, as `CLUSTER SLOTS` tells it.

use devicestate_core::slot::{self, Slot};
use redis::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub host: Arc<str>,
    pub port: u16,
}

impl Place {
    pub fn new(host: &str, port: u16) -> Place {
        Place {
            host: host.into(),
            port,
        }
    }

    /// Where a redirection leads (`host:port`), which `asked` has given. Without a host it is the same one.
    pub fn of_redirection(address: &str, asked: &Place) -> Option<Place> {
        let (host, port) = address.rsplit_once(':')?;
        Some(asked.beside(host, port.parse().ok()?))
    }

    /// A node that this one names. One that does not know its own address names none, or `?`: then it can
    /// be reached where this one was.
    fn beside(&self, host: &str, port: u16) -> Place {
        match host {
            "" | "?" => Place {
                host: self.host.clone(),
                port,
            },
            host => Place::new(host, port),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The primaries and their slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    primaries: Vec<Place>,
    replicas: BTreeSet<Place>,
    /// For each slot its primary's place in that list; [`NOBODY`] where there is none.
    owners: Vec<u16>,
}

const NOBODY: u16 = u16::MAX;

impl Topology {
    /// Reads the answer of a node that was asked at `asked`. `None`: it is of another form.
    pub fn parse(answer: &Value, asked: &Place) -> Option<Topology> {
        let mut topology = Topology {
            primaries: Vec::new(),
            replicas: BTreeSet::new(),
            owners: vec![NOBODY; slot::COUNT],
        };
        for range in items(answer)? {
            let [first, last, primary, replicas @ ..] = items(range)? else {
                return None;
            };
            for replica in replicas {
                topology.replicas.insert(place(replica, asked)?);
            }
            let place = place(primary, asked)?;
            let slots =
                usize::try_from(number(first)?).ok()?..=usize::try_from(number(last)?).ok()?;
            let owner = topology.primary(place);
            topology.owners.get_mut(slots)?.fill(owner);
        }
        Some(topology)
    }

    /// Its number; it is added if it is new.
    fn primary(&mut self, place: Place) -> u16 {
        let known = self.primaries.iter().position(|known| *known == place);
        let number = known.unwrap_or(self.primaries.len());
        if known.is_none() {
            self.primaries.push(place);
        }
        u16::try_from(number).unwrap_or(NOBODY)
    }

    /// The primaries that have slots.
    pub fn primaries(&self) -> BTreeSet<Place> {
        self.primaries.iter().cloned().collect()
    }

    pub fn replicas(&self) -> &BTreeSet<Place> {
        &self.replicas
    }

    /// How many slots no primary has.
    pub fn orphans(&self) -> usize {
        let owners = self.owners.iter();
        owners.filter(|owner| **owner == NOBODY).count()
    }

    pub fn owner(&self, slot: Slot) -> Option<&Place> {
        let owner = self.owners.get(usize::from(slot.number()))?;
        self.primaries.get(usize::from(*owner))
    }

    /// What a redirection has told.
    pub fn set_owner(&mut self, slot: Slot, place: Place) {
        let owner = self.primary(place);
        if let Some(known) = self.owners.get_mut(usize::from(slot.number())) {
            *known = owner;
        }
    }
}

/// A node of the answer, which begins with its host and its port.
fn place(node: &Value, asked: &Place) -> Option<Place> {
    let [host, port, ..] = items(node)? else {
        return None;
    };
    let host = match host {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::SimpleString(text) => text,
        Value::Nil => "",
        _ => return None,
    };
    Some(asked.beside(host, u16::try_from(number(port)?).ok()?))
}

fn items(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(items) => Some(items),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let id = Value::BulkString(b"07c37d".to_vec());
        let primary = Value::Array(vec![host, Value::Int(port), id, Value::Array(vec![])]);
        let replica = Value::Array(vec![Value::BulkString(b"r".to_vec()), Value::Int(9)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    fn owner(topology: &Topology, slot: u64) -> Option<String> {
        let slot = Slot::new(slot).unwrap();
        topology.owner(slot).map(Place::to_string)
    }

    #[test]
    fn slots_and_their_primaries() {
        let asked = Place::new("seed", 7000);
        let bulk = |text: &str| Value::BulkString(text.into());
        let answer = Value::Array(vec![
            range(0, 99, bulk("a"), 1),
            range(100, 100, bulk(""), 2),
            range(200, 16_383, Value::Nil, 3),
            range(150, 150, bulk("a"), 1),
        ]);
        let mut topology = Topology::parse(&answer, &asked).unwrap();
        let at = |place: &str| Some(place.to_owned());
        assert_eq!(owner(&topology, 0), at("a:1"));
        assert_eq!(owner(&topology, 100), at("seed:2"));
        assert_eq!(owner(&topology, 101), None);
        assert_eq!(owner(&topology, 150), at("a:1"));
        assert_eq!(owner(&topology, 16_383), at("seed:3"));
        assert_eq!(topology.primaries().len(), 3);
        assert_eq!(topology.replicas().len(), 1);
        assert_eq!(topology.orphans(), 98);
        let moved = Place::of_redirection(":4", &asked).unwrap();
        topology.set_owner(Slot::new(101).unwrap(), moved);
        assert_eq!(owner(&topology, 101), at("seed:4"));
    }

    #[test]
    fn other_answers_are_none() {
        let asked = Place::new("seed", 7000);
        let host = || Value::BulkString(b"a".to_vec());
        for wrong in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(0, 16_384, host(), 1)]),
            Value::Array(vec![range(-1, 1, host(), 1)]),
            Value::Array(vec![range(2, 1, host(), -1)]),
        ] {
            assert_eq!(Topology::parse(&wrong, &asked), None);
        }
        assert_eq!(Place::of_redirection("nowhere", &asked), None);
    }
}

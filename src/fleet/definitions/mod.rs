//! In a cluster, the defaults of types and the alert rules are known on every node.
//!
//! Each node knows all of them ([`devicestate_core::definitions`]), and keeps one copy, a hash in one of
//! its slots (its *home*): so they are there after a restart and on its replicas. Nodes tell each other
//! what was changed, and compare what they know ([`exchange`]). A copy that comes with a slot from another
//! node is merged with what is known, and deleted ([`copies`]).
//!
//! Keys are read and written by the sweeper's tick alone, but for the one that a command changes: within a
//! command that names a key, newer servers look up any key in the slot of that one.

mod copies;
pub mod exchange;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use devicestate_core::definitions::{self, Name};
use devicestate_core::slot::Slot;

use super::presence::expect;
use super::{Error, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType};

/// What is known here, and what has still to be done with it.
#[derive(Default)]
pub struct Definitions {
    known: RefCell<definitions::Definitions>,
    /// The slot in which this node keeps its copy.
    home: Cell<Option<Slot>>,
    /// Slots in which a copy has to be looked for.
    unread: RefCell<BTreeSet<Slot>>,
    /// The slots that were looked at, in their order.
    looked_at: RefCell<Rc<[Slot]>>,
    /// Slots of ours, other than the home, that a copy came with.
    strays: RefCell<BTreeSet<Slot>>,
    /// The copy may lack something.
    is_unsaved: Cell<bool>,
    /// What other nodes said since the last tick.
    heard: RefCell<definitions::Definitions>,
    /// Changed here, and not told yet.
    untold: RefCell<BTreeSet<Name>>,
    /// The copy can't be written now.
    is_stuck: Cell<bool>,
    /// When it is time again, in milliseconds of the monotonic clock: to compare slots, to check the copy,
    /// to tell others what is known, to ask them.
    compare_ms: Cell<u64>,
    check_ms: Cell<u64>,
    tell_ms: Cell<u64>,
    ask_ms: Cell<u64>,
}

impl Definitions {
    /// The JSON of the defaults of each type, by type.
    pub fn types(&self) -> Vec<(String, String)> {
        owned(self.known.borrow().types())
    }

    /// The JSON of each rule of a type, by name.
    pub fn rules(&self, device_type: &str) -> Vec<(String, String)> {
        owned(self.known.borrow().rules(device_type))
    }

    /// Changes a definition, or deletes it: at once here, and soon on all other nodes. Those who remember
    /// something of it are told by the caller.
    pub fn change(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        name: Name,
        json: Option<&str>,
    ) -> Result<()> {
        if ctx.flags().is_in_transaction() {
            // The server would look for the copy in the slot of the other keys.
            return Err(Error::usage(
                "on a cluster, types and rules are not changed within a transaction or a script",
            ));
        }
        let no_home = || Error::try_again("this node has no slot that stays");
        let home = self.home(ctx, fleet).ok_or_else(no_home)?;
        expect(ctx, &home.definitions, KeyType::Hash)?;
        let node = ctx.node_id().map(|node| node.text()).unwrap_or_default();
        let entry = self.known.borrow().change(ctx.now_ms(), &node, json);
        let (field, value) = (name.to_string(), entry.to_string());
        let hset = [
            Arg::Str(&home.definitions),
            field.as_str().into(),
            value.as_str().into(),
        ];
        ctx.write(c"HSET", &hset)?;
        self.known.borrow_mut().merge(name.clone(), entry);
        self.untold.borrow_mut().insert(name);
        Ok(())
    }

    /// Other hands, or the server, changed the copy in this slot.
    pub fn copy_changed(&self, key: &[u8]) {
        self.unread.borrow_mut().insert(Slot::of(key));
        self.is_unsaved.set(true);
    }

    /// This server has another part in the cluster: what its keys say is looked at afresh.
    pub fn look_again(&self) {
        self.looked_at.take();
        self.compare_ms.set(0);
        self.is_unsaved.set(true);
    }

    /// Another data set took the place of the one that was.
    pub fn forget_all(&self) {
        self.known.borrow_mut().clear();
        self.home.set(None);
        self.strays.borrow_mut().clear();
        self.look_again();
    }

    /// Those who remember something of these look again.
    fn tell_readers(&self, fleet: &Fleet, changed: &[Name]) {
        if changed.iter().any(|name| matches!(name, Name::Type(_))) {
            fleet.types.changed();
        }
        for name in changed {
            if let Name::Rule { device_type, .. } = name {
                fleet.rules.forget(device_type.as_bytes());
            }
        }
    }
}

fn owned<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    all.map(|(name, json)| (name.to_owned(), json.to_owned()))
        .collect()
}

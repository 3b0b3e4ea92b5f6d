//! A slot on its way: nothing is written beside keys that go or come, however late the slot was set.

use std::thread;

use redis::Cmd;

use super::users::{line, raise};
use super::{device_within, told, LIMIT};
use crate::alert::calls::batch;
use crate::support::cluster::{id_of, move_keys, waits_for_replicas};
use crate::support::*;

/// A device whose slot is going from one node to another.
struct Move {
    cluster: Cluster,
    id: String,
    slot: String,
}

impl Move {
    fn prepare(replicas_of_each: usize) -> Move {
        let cluster = Cluster::start(2, replicas_of_each, || {
            Server::builder().config("repl-diskless-sync-delay", 0)
        });
        let id = device_within(0, 4_095);
        let mut con = cluster.nodes[0].connection();
        let slot = cmd!(con, "CLUSTER KEYSLOT", &id).int().to_string();
        assert_eq!(cmd!(con, "DEVICE.HEARTBEAT", &id).at(0).int(), 1);
        Move { cluster, id, slot }
    }

    fn from(&self) -> &Server {
        &self.cluster.nodes[0]
    }

    fn to(&self) -> &Server {
        &self.cluster.nodes[1]
    }

    fn import(&self) -> Cmd {
        self.set_slot("IMPORTING", self.from())
    }

    fn migrate(&self) -> Cmd {
        self.set_slot("MIGRATING", self.to())
    }

    fn set_slot(&self, state: &str, node: &Server) -> Cmd {
        let mut set = command("CLUSTER");
        set.arg("SETSLOT").arg(&self.slot);
        set.arg(state).arg(id_of(node));
        set
    }

    /// Has a node ask for its slots, as any command does when what is known may be old.
    fn ask_for_slots(&self, node: &Server) {
        let (first, last) = match node.port() == self.to().port() {
            true => (8_192, 16_383),
            false => (4_096, 8_191),
        };
        let other = device_within(first, last);
        assert!(cmd!(node.connection(), "DEVICE.GET", other).is_nil());
    }

    fn keys(&self) -> Vec<String> {
        let mut con = self.from().connection();
        cmd!(con, "CLUSTER GETKEYSINSLOT", &self.slot, 100).texts()
    }

    #[track_caller]
    fn assert_new_node_waits(&self) {
        let mut con = self.to().connection();
        cmd!(con, "ASKING").text();
        let answer = cmd!(con, "DEVICE.HEARTBEAT", &self.id);
        let refused = answer.expect_err("the slot is not settled");
        assert_eq!(refused.code(), Some("TRYAGAIN"));
    }

    /// The keys that are left follow, and the device goes on where it is now.
    #[track_caller]
    fn assert_arrives(&self) {
        move_keys(self.from(), self.to(), &self.keys());
        for node in [self.to(), self.from()] {
            let mut con = node.connection();
            cmd!(con, "CLUSTER SETSLOT", &self.slot, "NODE", id_of(self.to())).text();
        }
        let mut con = self.to().connection();
        assert_eq!(cmd!(con, "DEVICE.HEARTBEAT", &self.id).at(0).int(), 0);
        let told = &told(&self.cluster)[&self.id];
        assert_eq!(told[..2], ["registered", "online"]);
        assert_eq!(told.iter().filter(|what| *what == "registered").count(), 1);
    }
}

#[test]
fn a_slot_imported_by_a_transaction_takes_nothing_before_its_keys() {
    let slot = Move::prepare(0);
    let mut con = slot.to().connection();
    cmd!(con, "MULTI").text();
    assert_eq!(con.run(&slot.import()).text(), "QUEUED");
    slot.ask_for_slots(slot.to());
    assert_eq!(cmd!(con, "EXEC").texts(), ["OK"]);

    slot.assert_new_node_waits();
    slot.from().connection().run(&slot.migrate()).text();
    slot.assert_arrives();
}

/// Commands of a device are sent on by the server itself; what a node does by itself, or for a user, is not.
#[test]
fn a_slot_migrated_by_a_transaction_is_left_alone_once_keys_have_gone() {
    let slot = Move::prepare(0);
    raise(&mut slot.cluster.client(), &slot.id, "ann");
    slot.to().connection().run(&slot.import()).text();
    let mut con = slot.from().connection();
    cmd!(con, "MULTI").text();
    assert_eq!(con.run(&slot.migrate()).text(), "QUEUED");
    slot.ask_for_slots(slot.from());
    assert_eq!(cmd!(con, "EXEC").texts(), ["OK"]);

    let is_of_ann = |key: &String| key.starts_with("alerts:user:");
    let (stay, go): (Vec<_>, Vec<_>) = slot.keys().into_iter().partition(is_of_ann);
    assert_eq!(stay.len(), 1);
    move_keys(slot.from(), slot.to(), &go);
    assert_eq!(batch(&mut con, "ann NOW"), None);
    slot.assert_new_node_waits();
    slot.assert_arrives();
    let arrived = batch(&mut slot.to().connection(), "ann NOW").expect("what was raised");
    assert_eq!(arrived.lines(), [line(&slot.id)]);
}

/// Valkey from 8 on sets a slot when its replicas have it, long after the command came.
#[test]
fn a_slot_that_replicas_must_have_first_takes_nothing_before_its_keys() {
    if !waits_for_replicas(&Server::start()) {
        return;
    }
    let slot = Move::prepare(1);
    let replica = &slot.cluster.nodes[3];
    let mut import = slot.import();
    import.arg("TIMEOUT").arg(60_000);
    let mut con = slot.to().connection();
    let mut other = slot.to().connection();
    replica.stop();
    thread::scope(|scope| {
        let is_set = scope.spawn(|| con.run(&import).text());
        wait_for("the command waits", LIMIT, || {
            cmd!(other, "INFO", "clients")
                .text()
                .contains("blocked_clients:1\r")
        });
        slot.ask_for_slots(slot.to());
        replica.cont();
        assert_eq!(is_set.join().expect("it is answered"), "OK");
        slot.assert_new_node_waits();
    });
    slot.from().connection().run(&slot.migrate()).text();
    slot.assert_arrives();
}

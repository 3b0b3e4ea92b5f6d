//! A replica that is made the master by hand while the old one still takes writes, under load.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::load::{Talkers, PATIENCE};
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::replication::workloads::assert_sound;
use crate::replication::{assert_same, wait_for_sync};
use crate::support::*;
use crate::survival::size::size;

/// The clients find out at once; half of the time the old master is dead before.
#[test]
fn a_replica_that_is_promoted_under_load_goes_on_where_its_master_was() {
    const LIVE: usize = 100;
    let (mut first, mut second) = (quick(), quick());
    cmd!(second.connection(), "REPLICAOF", "127.0.0.1", first.port()).text();
    let master = Arc::new(AtomicU16::new(first.port()));
    let find = {
        let master = Arc::clone(&master);
        move || Some(master.load(Ordering::SeqCst))
    };
    let often = Duration::from_millis(200);
    let live = Beaters::following(find.clone(), PATIENCE, &ids("live", LIVE), often, 2_000);
    let talkers = Talkers::following(find, 10..12);
    let rounds = size(2, 20);
    for round in 0..rounds {
        wait_for_sync(&first, &second);
        let before = talkers.answered();
        wait_for("much is said", SOON, || talkers.answered() > before + 500);
        let mut con = second.connection();
        if round % 2 == 0 {
            first.kill_hard();
        }
        cmd!(con, "REPLICAOF NO ONE").text();
        master.store(second.port(), Ordering::SeqCst);
        // What the old one still took is on a branch of history that is cut off.
        if round % 2 == 0 {
            first.restart();
        }
        let mut old = first.connection();
        cmd!(old, "REPLICAOF", "127.0.0.1", second.port()).text();
        wait_for_sync(&second, &first);
        let told = events(&mut con).of_type("offline");
        let of_live = told.only(|event| event.device().starts_with("live"));
        let late = live.late_ms();
        assert_eq!(of_live.0, [], "the beaters were up to {late} ms late");
        std::mem::swap(&mut first, &mut second);
    }
    live.wait_for_rounds(2);
    let commands = talkers.stop();
    live.stop();
    assert_sound(&first);
    assert_same(&first, &second);
    assert!(first.is_alive() && second.is_alive());
    println!("{rounds} promotions by hand: {commands} commands answered, none of {LIVE} living devices told offline");
}

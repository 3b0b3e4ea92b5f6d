//! Three servers and three Sentinels. The master dies or freezes again and again, under load.

use std::time::Duration;

use super::load::{connect, Talkers, PATIENCE};
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::replication::workloads::assert_sound;
use crate::replication::{assert_same, wait_for_sync};
use crate::support::*;
use crate::survival::size::size;

/// The grace after a promotion, in milliseconds, and the timeout of those who fall silent.
const GRACE: i64 = 1_000;
/// How late a death may be told on a busy machine, in milliseconds.
const LATE: i64 = 1_500;
/// How long Sentinels may need on a machine so busy that they don't agree at once.
const LIMIT: Duration = Duration::from_secs(60);
/// Of the devices that live on: Sentinels tell of the new master a while after it was promoted.
const TIMEOUT: u64 = 5_000;
const OFTEN: Duration = Duration::from_millis(200);
const SILENT: usize = 50;
const LIVE: usize = 100;

/// A fleet, and what the failovers showed, in milliseconds.
struct Fleet {
    servers: Vec<Server>,
    sentinels: Sentinels,
    /// How often a master was replaced that only the machine kept from answering.
    not_asked_for: usize,
    /// How long no server took writes.
    without_master: Vec<i64>,
    /// How long after the master was struck the silent ones were told.
    told_after: Vec<i64>,
}

impl Fleet {
    #[track_caller]
    fn start() -> Fleet {
        let start = || {
            Server::builder()
                .config("devicestate.restart-grace", GRACE)
                .config("appendonly", "yes")
                .start()
        };
        let servers = vec![start(), start(), start()];
        for replica in &servers[1..] {
            cmd!(
                replica.connection(),
                "REPLICAOF",
                "127.0.0.1",
                servers[0].port()
            )
            .text();
            wait_for_sync(&servers[0], replica);
        }
        servers[0].settle();
        Fleet {
            sentinels: Sentinels::watch(&servers[0], servers.len() - 1),
            servers,
            not_asked_for: 0,
            without_master: Vec::new(),
            told_after: Vec::new(),
        }
    }

    #[track_caller]
    fn at(&self, port: u16) -> usize {
        let at = self.servers.iter().position(|s| s.port() == port);
        at.expect("one of ours")
    }

    /// The master, once all follow it.
    #[track_caller]
    fn settled(&self) -> usize {
        self.at(self.sentinels.wait_until_settled())
    }

    /// A master that takes writes, other than this one.
    #[track_caller]
    fn other_than(&self, gone: usize) -> usize {
        let (find, gone) = (self.sentinels.finder(), self.servers[gone].port());
        let another = || find().filter(|port| *port != gone && takes_writes(*port));
        self.at(wait_for("another master takes writes", LIMIT, another))
    }

    /// Devices that beat wherever the master is.
    #[track_caller]
    fn beaters(&self, name: &str, count: usize, timeout: u64) -> Beaters {
        let find = self.sentinels.finder();
        Beaters::following(find, PATIENCE, &ids(name, count), OFTEN, timeout)
    }

    /// Some devices fall silent, `strike` meets their master, and another one takes over and tells
    /// them. Gives the old master.
    #[track_caller]
    fn fail_over(&mut self, round: usize, strike: impl FnOnce(&mut Server)) -> usize {
        let silent = format!("silent-{round}-");
        let beaters = self.beaters(&silent, SILENT, GRACE.unsigned_abs());
        let old = self.settled();
        for (at, server) in self.servers.iter().enumerate() {
            if at != old {
                wait_for_sync(&self.servers[old], server);
            }
        }
        beaters.stop();
        let struck = now_ms();
        strike(&mut self.servers[old]);

        let mut master = self.other_than(old);
        let mut promoted = now_ms();
        self.without_master.push(promoted - struck);
        let find = self.sentinels.finder();
        let told = wait_for("the silent ones are told", SOON, || {
            let known = self.servers[master].port();
            if let Some(port) = find().filter(|port| *port != known && takes_writes(*port)) {
                // The machine is so busy that a master did not answer in time: one more turn.
                (master, promoted) = (self.at(port), now_ms());
                self.not_asked_for += 1;
            }
            let told = events(&mut self.servers[master].connection()).of_type("offline");
            let told = told.only(|event| event.device().starts_with(&silent));
            (told.len() >= SILENT).then_some(told)
        });
        assert_eq!(told.len(), SILENT);
        for event in told.iter() {
            let (at, due) = (event.int("timestamp"), promoted + GRACE);
            assert!(at >= struck + GRACE, "told before its grace: {event:?}");
            assert!(at <= due + LATE, "{} ms late: {event:?}", at - due);
            self.told_after.push(at - struck);
        }
        old
    }

    /// Asserts that nobody who lives was told offline.
    #[track_caller]
    fn assert_alive(&self, live: &Beaters) {
        let mut con = self.servers[self.settled()].connection();
        let told = events(&mut con).of_type("offline");
        let of_live = told.only(|event| event.device().starts_with("live"));
        let late = live.late_ms();
        assert_eq!(of_live.0, [], "the beaters were up to {late} ms late");
    }

    /// When all is quiet, every server holds the same, and it tells each transition once. Nobody
    /// replaces the master any more.
    #[track_caller]
    fn end(self) {
        let master = self.settled();
        drop(self.sentinels);
        assert_sound(&self.servers[master]);
        for (at, server) in self.servers.iter().enumerate() {
            if at != master {
                assert_same(&self.servers[master], server);
            }
        }
        for mut server in self.servers {
            assert!(server.is_alive());
            assert!(!server.log().contains("panicked"), "{}", server.log());
        }
    }

    fn summary(&mut self, what: &str, commands: usize) -> String {
        let without = spread(&mut self.without_master);
        let told_after = spread(&mut self.told_after);
        format!(
            "Sentinel failovers with {what}: {}; {commands} commands answered; nobody took writes \
             for {without}; {} devices that fell silent with it were told {told_after} later (grace \
             {GRACE} ms), none of {LIVE} that went on; {} more failovers as the machine was busy",
            self.without_master.len(),
            self.told_after.len(),
            self.not_asked_for,
        )
    }
}

fn takes_writes(port: u16) -> bool {
    connect(port).is_ok_and(|mut con| cmd!(con, "SET probe x").is_ok())
}

/// From the least to the most.
fn spread(ms: &mut [i64]) -> String {
    ms.sort_unstable();
    let [least, median, most] = [0, ms.len() / 2, ms.len() - 1].map(|at| ms[at]);
    format!("{least} to {most} ms (median {median})")
}

#[test]
fn masters_that_are_killed() {
    let mut fleet = Fleet::start();
    let live = fleet.beaters("live", LIVE, TIMEOUT);
    let talkers = Talkers::following(fleet.sentinels.finder(), 1..3);
    for round in 0..size(1, 10) {
        let old = fleet.fail_over(round, Server::kill_hard);
        // It comes back as what it was: a master, with what it had written.
        fleet.servers[old].restart();
        fleet.assert_alive(&live);
    }
    let commands = talkers.stop();
    live.stop();
    println!("{}", fleet.summary("a killed master", commands));
    fleet.end();
}

/// For its clients a frozen master is a dead one. When it goes on, it is a master for a while that
/// nobody speaks to, and must not tell anything of devices that are elsewhere by now.
#[test]
fn masters_that_freeze_and_come_back() {
    let mut fleet = Fleet::start();
    let live = fleet.beaters("live", LIVE, TIMEOUT);
    let talkers = Talkers::following(fleet.sentinels.finder(), 3..5);
    for round in 0..size(1, 10) {
        let heard = Subscriber::channels(&fleet.servers[fleet.settled()], &["devices:presence"]);
        let old = fleet.fail_over(round, |server| server.stop());
        fleet.servers[old].cont();
        fleet.assert_alive(&live);
        for message in heard.messages() {
            let message = message.json();
            let (device, status) = (message["device_id"].to_string(), &message["status"]);
            assert!(!device.contains("live") || status == "online", "{message}");
        }
    }
    let commands = talkers.stop();
    live.stop();
    println!("{}", fleet.summary("a frozen master", commands));
    fleet.end();
}

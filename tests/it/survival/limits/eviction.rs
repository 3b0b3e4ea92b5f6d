//! A server that evicts keys. Under `volatile-*` only what has a TTL goes, of devices their heartbeat
//! keys, and they come back. Under `allkeys-*` anything goes: the module warns, and promises no more
//! than that nothing crashes and that indexes are right after a pass.

use std::time::Duration;

use redis::Connection;

use super::wait_for_silence;
use crate::check::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::support::*;
use crate::survival::size::size;
use crate::workload::{shown, Workload};

/// What others keep on the same server, and more of it all the time.
struct Pressure {
    options: &'static str,
    written: usize,
}

impl Pressure {
    /// From here on there is room for one more megabyte. What is written has these options of SET.
    #[track_caller]
    fn begin(con: &mut Connection, policy: &str, options: &'static str) -> Pressure {
        let used = server_info(con, "memory", "used_memory");
        cmd!(con, "CONFIG SET maxmemory-policy", policy).text();
        cmd!(con, "CONFIG SET maxmemory", used + (1 << 20)).text();
        Pressure {
            options,
            written: 0,
        }
    }

    #[track_caller]
    fn write(&mut self, con: &mut Connection) {
        let mut pipe = redis::pipe();
        for _ in 0..20 {
            self.written += 1;
            let set = pipe.cmd("SET").arg(format!("other:{}", self.written));
            set.arg(vec![b'x'; 8_000]);
            for word in self.options.split_whitespace() {
                set.arg(word);
            }
            set.ignore();
        }
        pipe.exec(con).expect("there is always something to evict");
    }

    #[track_caller]
    fn end(self, con: &mut Connection) {
        cmd!(con, "CONFIG SET maxmemory 0").text();
    }
}

#[track_caller]
fn heartbeat_keys(con: &mut Connection) -> usize {
    cmd!(con, "KEYS device:heartbeat:*").items().len()
}

/// Heartbeat keys live for a day longer than the timeout, what others write longer still.
#[track_caller]
fn heartbeat_keys_come_back_under(policy: &str) {
    let mut server = quick();
    let con = &mut server.connection();
    let expired = Subscriber::channels(&server, &["__keyevent@0__:expired"]);
    let names = ids("live", 300);
    let beaters = Beaters::start(&server, &names, Duration::from_millis(250), 3_000);
    assert_eq!(heartbeat_keys(con), names.len());

    let mut pressure = Pressure::begin(con, policy, "EX 2592000");
    let evictions = size(500, 5_000);
    let (mut fewest, mut again) = (names.len(), false);
    wait_for(
        "heartbeat keys go and come back",
        size(10, 30) * SOON,
        || {
            pressure.write(con);
            let there = heartbeat_keys(con);
            again |= there > fewest;
            fewest = fewest.min(there);
            again && server_info(con, "stats", "evicted_keys") >= evictions
        },
    );
    assert!(fewest < names.len());
    pressure.end(con);
    wait_for("all are there again", SOON, || {
        heartbeat_keys(con) == names.len()
    });
    beaters.wait_for_rounds(2);
    let (told, late) = (events(con).of_type("offline"), beaters.late_ms());
    assert_eq!(told.0, [], "the beaters were up to {late} ms late");
    assert_eq!(expired.count(), 0, "said to expire while all are alive");
    assert_consistent(con);

    beaters.stop();
    wait_for_silence(con);
    expired.wait_for_count(names.len(), SOON);
    assert_eq!(events(con).of_type("offline").len(), names.len());
    assert_consistent(con);
    assert_told_once(con);
    clean(&check(con, "COUNT 1000").0);
    assert!(server.is_alive());
    let log = server.log();
    assert!(!log.contains("maxmemory-policy"), "{log}");
}

#[test]
fn heartbeat_keys_come_back_under_volatile_lru() {
    heartbeat_keys_come_back_under("volatile-lru");
}

#[test]
fn heartbeat_keys_come_back_under_volatile_ttl() {
    heartbeat_keys_come_back_under("volatile-ttl");
}

#[test]
fn heartbeat_keys_come_back_under_volatile_random() {
    heartbeat_keys_come_back_under("volatile-random");
}

/// A device that nobody looks at for long gets its key back all the same.
#[test]
fn heartbeat_keys_come_back_although_timeouts_are_long() {
    let server = quick();
    let con = &mut server.connection();
    for id in ids("slow", 100) {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", "30d").items();
    }
    let mut pressure = Pressure::begin(con, "volatile-ttl", "EX 31536000");
    wait_for("heartbeat keys go", SOON, || {
        pressure.write(con);
        heartbeat_keys(con) < 100
    });
    pressure.end(con);
    wait_for("they are there again", SOON, || heartbeat_keys(con) == 100);
    assert_consistent(con);
}

/// `devicestate` under load on a server that evicts anything all the time.
#[track_caller]
fn under_pressure(policy: &str) -> Server {
    let mut server = quick();
    let con = &mut server.connection();
    let mut workload = Workload::new(policy.len() as u64);
    workload.run(con, 2_000);
    let every = Duration::from_millis(100);
    let beaters = Beaters::start(&server, &ids("live", 200), every, 2_000);
    let mut pressure = Pressure::begin(con, policy, "");
    let evictions = size(2_000, 20_000);
    wait_for("much is evicted", size(10, 30) * SOON, || {
        pressure.write(con);
        for _ in 0..50 {
            let (command, reply) = workload.say(con);
            if let Err(error) = reply {
                assert!(error.code().is_some(), "{}: {error}", shown(&command));
            }
        }
        server_info(con, "stats", "evicted_keys") >= evictions
    });
    beaters.stop();
    pressure.end(con);
    assert!(server.is_alive());
    let log = server.log();
    let warned = "maxmemory-policy evicts any key, devices too; use noeviction";
    assert_eq!(log.matches(warned).count(), 1);
    assert!(!log.contains("internal error"), "{log}");
    server
}

/// It goes on as if nothing had been.
#[track_caller]
fn goes_on(server: &Server) {
    let con = &mut server.connection();
    cmd!(con, "DEVICE.HEARTBEAT after TIMEOUT 200").items();
    wait_until_offline(con, "after");
    Workload::new(1).run(con, 500);
    wait_for_silence(con);
    assert_consistent(con);
}

#[track_caller]
fn nothing_dangles_after_a_check_under(policy: &str) {
    let server = under_pressure(policy);
    let con = &mut server.connection();
    check(con, "COUNT 1000 REPAIR");
    assert!(
        info_number(con, "mended") > 0,
        "nothing of ours was evicted"
    );
    assert_consistent(con);
    clean(&check(con, "COUNT 1000").0);
    goes_on(&server);
}

#[test]
fn nothing_dangles_after_a_check_under_allkeys_lru() {
    nothing_dangles_after_a_check_under("allkeys-lru");
}

#[test]
fn nothing_dangles_after_a_check_under_allkeys_random() {
    nothing_dangles_after_a_check_under("allkeys-random");
}

/// Nobody has to ask for it: an eviction is followed by a check in the background.
#[test]
fn nothing_dangles_after_a_while() {
    let server = under_pressure("allkeys-random");
    let con = &mut server.connection();
    wait_for("everything was checked", 3 * SOON, || {
        info(con)["checking"] == "no"
    });
    assert_consistent(con);
    goes_on(&server);
}

/// Not only when it is set at run time.
#[test]
fn a_load_under_a_policy_that_evicts_anything_warns() {
    let warning = |policy: &str| {
        let server = Server::builder().config("maxmemory-policy", policy).start();
        server.log().contains("maxmemory-policy evicts any key")
    };
    assert!(warning("allkeys-lru") && warning("allkeys-random"));
    assert!(!warning("volatile-lru") && !warning("noeviction"));
}

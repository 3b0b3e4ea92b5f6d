//! A server that was away: it buries nobody who had no chance to speak up, and afterwards exactly
//! those who stay silent, each once.

mod plain_server;

use std::time::Duration;

use redis::Connection;

use crate::consistency::*;
use crate::deaf_time::beaters::{ids, Beaters};
use crate::devices::*;
use crate::support::module::module;
use crate::support::server::Builder;
use crate::support::*;

/// `restart-grace` in these tests, in milliseconds.
const GRACE: i64 = 3_000;
/// How long the server is away, in milliseconds: several timeouts.
const AWAY: i64 = 2_500;
const TIMEOUT: u64 = 500;
/// How late a death may be told on a busy machine, in milliseconds.
const LATE: i64 = 1_000;

const LIVE: usize = 200;
const SILENT: usize = 100;

fn builder() -> Builder {
    Server::builder().config("devicestate.restart-grace", GRACE)
}

/// A fleet in which every kind of device is: some that beat all the time, some that fall silent
/// while the server is away.
struct Fleet {
    live: Beaters,
    silent: Option<Beaters>,
}

impl Fleet {
    #[track_caller]
    fn start(server: &Server) -> Fleet {
        let mut con = server.connection();
        for line in [
            "DEVICE.HEARTBEAT slow TIMEOUT 60s",
            "DEVICE.HEARTBEAT wired TIMEOUT 0",
            "DEVICE.HEARTBEAT gone TIMEOUT 1h SESSION 4",
            "DEVICE.OFFLINE gone REASON will SESSION 4",
            "DEVICE.REGISTER never sensor",
        ] {
            assert!(cmd!(con, line).is_ok(), "{line}");
        }
        let often = Duration::from_millis(100);
        Fleet {
            live: Beaters::start(server, &ids("live", LIVE), often, TIMEOUT),
            silent: Some(Beaters::start(
                server,
                &ids("silent", SILENT),
                often,
                TIMEOUT,
            )),
        }
    }

    /// The server is gone: those that fall silent do so now, and the time away passes.
    fn while_away(&mut self) {
        self.silent.take();
        let gone = now_ms();
        wait_for("the time away passes", SOON, || now_ms() > gone + AWAY);
    }

    /// The server that began to start at `began` has the data now.
    #[track_caller]
    fn after(self, con: &mut Connection, began: i64) {
        wait_for("the server hears its devices", SOON, || {
            info(con)["hearing"] == "yes"
        });
        let ready = now_ms();
        let why = cmd!(con, "DEVICE.WHY slow").fields();
        assert!(why["deadline"].int() >= began + 60_000, "{why:?}");
        assert_eq!(why["status"].text(), "online");
        assert!(cmd!(con, "DEVICE.WHY wired").fields()["deadline"].is_nil());
        let mut told = events(con);
        wait_for("the silent ones are told offline", SOON, || {
            told = events(con);
            timeouts(&told).len() >= SILENT
        });
        // The bounded look at what must not happen: the others go on beyond their timeout.
        self.live.wait_for_rounds(6);
        told = events(con);
        let late = self.live.late_ms();
        drop(self.live);

        let mut names: Vec<&str> = timeouts(&told).iter().map(|event| event.device()).collect();
        names.sort_unstable();
        let mut wanted = ids("silent", SILENT);
        wanted.sort_unstable();
        assert_eq!(names, wanted, "the beaters were up to {late} ms late");
        for event in timeouts(&told) {
            let at = event.int("timestamp");
            let bounds = began + GRACE..=ready + GRACE + LATE;
            assert!(bounds.contains(&at), "{bounds:?}: {event:?}");
        }
        for (id, status) in [("slow", "online"), ("wired", "online"), ("gone", "offline")] {
            assert_eq!(
                cmd!(con, "DEVICE.GET", id, "status").texts(),
                [status],
                "{id}"
            );
        }
        assert_eq!(number(con, "gone", "session"), 4);
        wait_for("the others are silent too", SOON, || {
            cmd!(con, "DEVICE.COUNT ONLINE").int() == 2
        });
        assert_sound(con);
        // Nothing was left half done, so there was nothing to mend.
        assert_eq!(info_number(con, "mended"), 0);
    }
}

/// Those that were told offline by their timeout.
fn timeouts(told: &Events) -> Vec<&Event> {
    let is_one = |event: &&Event| event.kind() == "offline" && event.get("reason") == "timeout";
    told.iter().filter(is_one).collect()
}

/// A crash in the middle of traffic.
#[track_caller]
fn killed(mut server: Server) {
    let mut fleet = Fleet::start(&server);
    server.kill_hard();
    fleet.while_away();
    let began = now_ms();
    server.restart();
    fleet.after(&mut server.connection(), began);
}

#[test]
fn killed_with_an_append_only_file_that_is_synced_every_second() {
    let builder = builder().config("appendonly", "yes");
    killed(builder.config("appendfsync", "everysec").start());
}

#[test]
fn killed_with_an_append_only_file_that_is_always_synced() {
    let builder = builder().config("appendonly", "yes");
    killed(builder.config("appendfsync", "always").start());
}

#[test]
fn shut_down_with_a_snapshot() {
    let mut server = builder().config("save", "360000 1000000").start();
    let mut fleet = Fleet::start(&server);
    // Saves, as save points are configured.
    server.terminate();
    fleet.while_away();
    let began = now_ms();
    server.restart();
    fleet.after(&mut server.connection(), began);
}

/// What the module wrote is on a server that goes on without it; then the module comes.
#[test]
fn loaded_at_run_time_into_a_live_data_set() {
    let mut first = builder().config("save", "360000 1000000").start();
    let mut fleet = Fleet::start(&first);
    first.terminate();
    let plain = Server::builder()
        .without_module()
        .config("dir", first.dir().display())
        .start();
    fleet.while_away();
    // The devices find their server at its new address.
    fleet.live = Beaters::start(
        &plain,
        &ids("live", LIVE),
        Duration::from_millis(100),
        TIMEOUT,
    );
    let mut con = plain.connection();
    let began = now_ms();
    let path = module().display().to_string();
    cmd!(con, "MODULE LOAD", path, "restart-grace", GRACE).text();
    fleet.after(&mut con, began);
}

/// The file holds nothing but commands of the server's own.
#[test]
fn the_append_only_file_loads_without_the_module() {
    let builder = Server::builder().config("devicestate.restart-grace", 0);
    let mut server = builder
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start();
    let mut con = server.connection();
    let beaters = Beaters::start(&server, &ids("d", 50), Duration::from_millis(50), 150);
    for line in [
        "DEVICE.TYPE.SET sensor TIMEOUT 1h HISTORY 3",
        "DEVICE.REGISTER s sensor META {\"a\":1}",
        "DEVICE.HEARTBEAT s REPORTED {\"t\":[1,2]} SESSION 3 SEQ 1",
        "DEVICE.HEARTBEAT s REPORTED {\"t\":null} SESSION 3 SEQ 1",
        "DEVICE.OFFLINE s REASON will",
        "DEVICE.HEARTBEAT r",
        "DEVICE.REMOVE r BLOCK 1h",
        "DEVICE.HEARTBEAT w TIMEOUT 0",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    beaters.stop();
    wait_for("the beaters are told offline", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 1
    });
    let before = snapshot_with_expiry(&mut con);
    let digest = cmd!(con, "DEBUG DIGEST").text();
    server.kill_hard();

    let plain = Server::builder()
        .without_module()
        .config("appendonly", "yes")
        .config("dir", server.dir().display())
        .start();
    let mut con = plain.connection();
    assert_eq!(
        difference(&before, &snapshot_with_expiry(&mut con)),
        Vec::<String>::new()
    );
    assert_eq!(cmd!(con, "DEBUG DIGEST").text(), digest);
}

/// Crash upon crash within the grace: the grace begins again, and nothing is told twice.
#[test]
fn killed_again_within_the_grace() {
    let builder = builder().config("appendonly", "yes");
    let mut server = builder.config("appendfsync", "always").start();
    let mut fleet = Fleet::start(&server);
    server.kill_hard();
    fleet.silent.take();
    for _ in 0..2 {
        server.restart();
        let mut con = server.connection();
        let up = now_ms();
        wait_for("a part of the grace passes", SOON, || {
            now_ms() > up + GRACE / 3
        });
        assert_eq!(timeouts(&events(&mut con)).len(), 0);
        server.kill_hard();
    }
    let began = now_ms();
    server.restart();
    fleet.after(&mut server.connection(), began);
}

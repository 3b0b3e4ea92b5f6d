//! `maxmemory` with `noeviction`: what grows is refused, everything else goes on.

use std::collections::BTreeSet;

use redis::Connection;

use super::{wait_for_silence, with_flag};
use crate::check::{check, clean};
use crate::consistency::*;
use crate::deaf_time::beaters::{all, ids};
use crate::devices::*;
use crate::support::*;
use crate::survival::size::size;
use crate::workload::{names, shown, Workload};

/// Not flagged, as most of what they do needs no memory: a heartbeat is refused if it brings a report
/// or a device that is new.
const GROW_AT_TIMES: [&str; 2] = ["device.heartbeat", "device.ingest"];

#[test]
fn what_grows_is_refused_and_the_rest_goes_on() {
    let mut server = quick();
    let con = &mut server.connection();
    let mut workload = Workload::new(1);
    workload.run(con, 1_000);
    let deny_oom = with_flag(con, "denyoom");
    cmd!(con, "CONFIG SET maxmemory 1").text();
    let (mut refused, mut accepted) = (BTreeSet::new(), BTreeSet::new());
    for i in 0..size(3_000, 30_000) {
        let (command, reply) = workload.say(con);
        let name = String::from_utf8_lossy(&command[0]).to_lowercase();
        match &reply {
            Ok(_) => _ = accepted.insert(name),
            Err(error) if error.code() == Some("OOM") => _ = refused.insert(name),
            Err(error) => assert!(error.code().is_some(), "{}: {error}", shown(&command)),
        }
        if i % 200 == 0 {
            assert_consistent(con);
        }
    }
    let at_times = GROW_AT_TIMES.map(str::to_owned).into();
    assert_eq!(refused, &deny_oom | &at_times);
    // Nothing is left to take by its token or id at the end, so those are not among them.
    let needs_news = ["device.command.done", "device.command.cancel", "alert.done"];
    let needs_news = needs_news.map(str::to_owned).into();
    let others = &(&names() - &deny_oom) - &needs_news;
    assert_eq!(&others - &accepted, BTreeSet::new());

    cmd!(con, "CONFIG SET maxmemory 0").text();
    workload.run(con, 500);
    wait_for_silence(con);
    assert_consistent(con);
    assert_told_once(con);
    clean(&check(con, "COUNT 1000").0);
    assert!(server.is_alive());
}

/// The limit is lowered between two slices of a sweep: it stops where it is. When there is memory
/// again it goes on, and each is told once.
#[track_caller]
fn in_the_middle_of(
    server: &mut Server,
    what: &str,
    many: usize,
    storm: impl FnOnce(&mut Connection),
    told: impl Fn(&mut Connection) -> usize,
) {
    let con = &mut server.connection();
    storm(con);
    wait_for(&format!("{what} has begun"), SOON, || told(con) > 0);
    cmd!(con, "CONFIG SET maxmemory 1").text();
    wait_for("the module notices", SOON, || {
        info(con)["hearing"] == "no (writes refused)"
    });
    let before = snapshot(con);
    let at = told(con);
    assert!(at < many, "{what} was over before");
    assert_consistent(con);
    let start = now_ms();
    wait_for("time passes", SOON, || {
        cmd!(con, "DEVICE.COUNT").int();
        now_ms() > start + 300
    });
    assert_eq!(
        difference(&before, &snapshot(con)),
        Vec::<String>::new(),
        "written while memory is short"
    );
    cmd!(con, "CONFIG SET maxmemory 0").text();
    wait_for(&format!("{what} is over"), SOON, || told(con) >= many);
    assert_eq!(told(con), many);
    wait_for_silence(con);
    assert_consistent(con);
    assert_told_once(con);
    clean(&check(con, "COUNT 1000").0);
    assert!(server.is_alive());
}

fn slow_sweeper() -> Server {
    let server = Server::builder()
        .config("devicestate.restart-grace", 0)
        .config("devicestate.sweep-budget-us", 100)
        .start();
    server.settle();
    server
}

#[test]
fn the_limit_comes_in_the_middle_of_a_sweep() {
    let mut server = slow_sweeper();
    let many = size(1_500, 5_000);
    in_the_middle_of(
        &mut server,
        "the storm of deaths",
        many,
        |con| {
            let beats = ids("d", many)
                .into_iter()
                .map(|id| format!("DEVICE.HEARTBEAT {id}"));
            all(con, beats);
            cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 100").text();
        },
        |con| info_number(con, "timed_out") as usize,
    );
    let con = &mut server.connection();
    assert_eq!(events(con).of_type("offline").len(), many);
}

#[test]
fn the_limit_comes_in_the_middle_of_a_sweep_over_alerts() {
    let mut server = slow_sweeper();
    let many = size(1_000, 3_000);
    let raised = ids("d", many);
    in_the_middle_of(
        &mut server,
        "the storm of alerts that are over",
        many,
        |con| {
            cmd!(con, "DEVICE.HEARTBEAT other TIMEOUT 0").items();
            all(
                con,
                raised.iter().map(|id| format!("DEVICE.REGISTER {id} t")),
            );
            // They end when about the last one is raised.
            let keep = 1_000 + many;
            let raise = |id| format!("ALERT.RAISE {id} a WAIT 0 NOTIFY 1 ops KEEP {keep}");
            all(con, raised.iter().map(raise));
        },
        |con| info_number(con, "alerts_resolved") as usize,
    );
    let con = &mut server.connection();
    let told = events(con).of_type("alert");
    let resolved = told.only(|event| event.get("state") == "resolved");
    let devices: BTreeSet<&str> = resolved.field("device_id").into_iter().collect();
    assert_eq!((resolved.len(), devices.len()), (many, many));
}

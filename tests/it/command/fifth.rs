//! The fifth element of a heartbeat's reply: how many commands the device could take now. A steady
//! heartbeat remembers that there are none, so whatever may bring some must be noticed.

use super::*;
use crate::support::random::Random;

/// Beats until it is remembered that nothing waits.
#[track_caller]
fn none_waits(con: &mut Connection) {
    for _ in 0..3 {
        assert_eq!(waiting(con, "d"), 0);
    }
}

#[test]
fn steady_beats_and_reports_tell_how_many_wait() {
    let (_server, mut con) = with_device();
    none_waits(&mut con);
    for n in 1..=3 {
        give(&mut con, "d {}");
        assert_eq!(waiting(&mut con, "d"), n);
        for more in [
            "REPORTED {\"a\":1}",
            "TIMEOUT 1h",
            "SESSION 5",
            "SESSION 5 SEQ 1 REPORTED {}",
        ] {
            let reply = cmd!(con, &format!("DEVICE.HEARTBEAT d {more}"));
            assert_eq!(reply.at(4).int(), n, "{more}");
        }
    }
    let delta = cmd!(con, "DEVICE.SHADOW.SET d {\"b\":1}").at(1).text();
    let reply = cmd!(con, "DEVICE.HEARTBEAT d");
    assert_eq!((reply.at(3).text(), reply.at(4).int()), (delta, 3));
}

#[test]
fn ignored_beats_tell_it_too() {
    let (_server, mut con) = with_device();
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 5 SEQ 5 REPORTED {}").items();
    give(&mut con, "d {}");
    for stale in [
        "SESSION 4",
        "SESSION 4 REPORTED {\"a\":1}",
        "SESSION 5 SEQ 5 REPORTED {\"a\":1}",
    ] {
        let reply = cmd!(con, &format!("DEVICE.HEARTBEAT d {stale}"));
        assert_eq!((reply.at(1).int(), reply.at(4).int()), (0, 1), "{stale}");
    }
}

#[test]
fn what_is_taken_settled_or_put_off_does_not_wait() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 4);
    give(&mut con, "d {} DELAY 1h");
    assert_eq!(waiting(&mut con, "d"), 4);
    take(&mut con, "d COUNT 2 LEASE 1h");
    assert_eq!(waiting(&mut con, "d"), 2);
    done(&mut con, &format!("d {} OK", ids[0]));
    assert_eq!(waiting(&mut con, "d"), 2);
    cancel(&mut con, "d", &ids[2]);
    assert_eq!(waiting(&mut con, "d"), 1);
    take(&mut con, "d COUNT 9 LEASE 1h");
    none_waits(&mut con);
}

#[test]
fn a_lease_that_ends_makes_a_command_wait_again() {
    let (_server, mut con) = with_device();
    give(&mut con, "d {}");
    take(&mut con, "d LEASE 200");
    wait_for("the lease ends", SOON, || waiting(&mut con, "d") == 1);
    // Nobody changed anything in between.
    assert_eq!(take(&mut con, "d")[0].2, 2);
    none_waits(&mut con);
}

#[test]
fn a_command_that_expired_stops_to_wait_with_the_next_take() {
    let (_server, mut con) = with_device();
    give(&mut con, "d {} TTL 1");
    let given = now_ms();
    wait_for("it is over", SOON, || now_ms() > given + 1);
    assert_eq!(take(&mut con, "d"), []);
    none_waits(&mut con);
}

#[test]
fn a_key_that_other_hands_delete_holds_no_commands() {
    let (_server, mut con) = with_device();
    for (at, line) in [
        "DEL device:commands:d",
        "UNLINK device:commands:d",
        "RENAME device:commands:d elsewhere",
        "MOVE device:commands:d 1",
        "PEXPIRE device:commands:d 1",
        "XTRIM device:commands:d MAXLEN 0",
    ]
    .into_iter()
    .enumerate()
    {
        give(&mut con, "d {}");
        give(&mut con, "d {}");
        take(&mut con, "d LEASE 1h");
        assert_eq!(waiting(&mut con, "d"), 1, "{at}");
        assert!(cmd!(con, line).is_ok(), "{line}");
        wait_for("nothing waits", SOON, || waiting(&mut con, "d") == 0);
        assert_eq!(take(&mut con, "d"), [], "{line}");
        none_waits(&mut con);
    }
}

#[test]
fn a_key_that_other_hands_bring_is_noticed() {
    let (server, mut con) = with_device();
    beat(&mut con, "e");
    give(&mut con, "e {\"a\":1}");
    let dump = cmd!(con, "DUMP device:commands:e").bytes();
    none_waits(&mut con);
    for way in ["RESTORE", "COPY", "RENAME", "MOVE", "SCRIPT"] {
        match way {
            "RESTORE" => cmd!(con, "RESTORE", "device:commands:d", 0, &dump).is_ok(),
            "COPY" => cmd!(con, "COPY device:commands:e device:commands:d").is_ok(),
            "RENAME" => {
                cmd!(con, "RESTORE", "elsewhere", 0, &dump).text();
                cmd!(con, "RENAME elsewhere device:commands:d").is_ok()
            }
            "MOVE" => {
                let mut other = server.connection_to_db(1);
                cmd!(other, "RESTORE", "device:commands:d", 0, &dump).text();
                cmd!(other, "MOVE device:commands:d 0").is_ok()
            }
            _ => {
                let script = "return redis.call('COPY', KEYS[1], KEYS[2])";
                cmd!(
                    con,
                    "EVAL",
                    script,
                    2,
                    "device:commands:e",
                    "device:commands:d"
                )
                .is_ok()
            }
        };
        assert_eq!(waiting(&mut con, "d"), 1, "{way}");
        assert_eq!(take(&mut con, "d")[0].1, "{\"a\":1}", "{way}");
        cmd!(con, "DEL device:commands:d").int();
        none_waits(&mut con);
    }
}

/// The queue is one as any other: whoever may use its key may add to it, by QUEUE.ADD or XADD.
#[test]
fn a_command_that_others_put_into_the_queue_is_noticed() {
    let (_server, mut con) = with_device();
    for line in [
        "QUEUE.ADD device:commands:d {\"a\":1}",
        "XADD device:commands:d * b {\"a\":1}",
    ] {
        none_waits(&mut con);
        let id = cmd!(con, line).text();
        assert_eq!(waiting(&mut con, "d"), 1, "{line}");
        assert_eq!(
            take(&mut con, "d"),
            [(id.clone(), "{\"a\":1}".to_owned(), 1)]
        );
        assert_eq!(done(&mut con, &format!("d {id} OK")), 1);
    }
}

#[test]
fn flushed_and_swapped_databases_are_noticed() {
    let (server, mut con) = with_device();
    none_waits(&mut con);
    let mut other = server.connection_to_db(1);
    // A device with a command in the other database, made by a dump of each key.
    give(&mut con, "d {}");
    for key in ["device:state:d", "device:commands:d"] {
        let dump = cmd!(con, "DUMP", key).bytes();
        cmd!(other, "RESTORE", key, 0, dump).text();
    }
    cmd!(con, "DEL device:commands:d").int();
    none_waits(&mut con);
    cmd!(con, "SWAPDB 0 1").text();
    assert_eq!(waiting(&mut con, "d"), 1);
    cmd!(con, "FLUSHALL").text();
    assert_eq!(waiting(&mut con, "d"), 0);
    give(&mut con, "d {}");
    assert_eq!(waiting(&mut con, "d"), 1);
}

#[test]
fn a_device_that_was_removed_and_is_back_has_none() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 3);
    take(&mut con, "d LEASE 1h");
    done(&mut con, &format!("d {} OK", ids[0]));
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
    for key in ["device:commands:d", "device:outcomes:d"] {
        assert_eq!(cmd!(con, "EXISTS", key).int(), 0, "{key}");
    }
    assert_eq!(waiting(&mut con, "d"), 0);
    assert_eq!(list(&mut con, "d").len(), 0);
    assert_eq!(take(&mut con, "d COUNT 9"), []);
    give(&mut con, "d {}");
    assert_eq!(waiting(&mut con, "d"), 1);
}

/// Any mix of commands, checked against LIST: what waits is what is shown as waiting.
#[test]
fn the_number_agrees_with_the_list_whatever_happens() {
    let (_server, mut con) = with_device();
    let mut random = Random::new(11);
    for step in 0..600 {
        let rows = list(&mut con, "d");
        let open: Vec<String> = rows
            .iter()
            .filter(|row| row["state"].text() != "done")
            .map(|row| row["command_id"].text())
            .collect();
        let some = |n: usize| {
            open.get(n % open.len().max(1))
                .cloned()
                .unwrap_or("1-1".into())
        };
        let line = match random.below(9) {
            0 | 1 => "DEVICE.COMMAND d {}".to_owned(),
            2 => "DEVICE.COMMAND d {} DELAY 1h".to_owned(),
            3 => "DEVICE.COMMAND.TAKE d COUNT 2 LEASE 1h".to_owned(),
            4 => "DEVICE.COMMAND.TAKE d LEASE 1".to_owned(),
            5 => "DEVICE.HEARTBEAT d REPORTED {}".to_owned(),
            6 if random.one_in(20) => "DEL device:commands:d".to_owned(),
            7 => format!("DEVICE.COMMAND.CANCEL d {}", some(random.below(9))),
            _ => format!("DEVICE.COMMAND.DONE d {} OK", some(random.below(9))),
        };
        assert!(cmd!(con, &line).is_ok(), "{line}");
        wait_for_the_clock();
        wait_for_the_clock();
        let shown = states(&mut con);
        let wait = shown.iter().filter(|state| *state == "waiting").count();
        assert_eq!(waiting(&mut con, "d"), wait as i64, "step {step}: {line}");
    }
}

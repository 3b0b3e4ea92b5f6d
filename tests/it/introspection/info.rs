//! `INFO devicestate`.

use crate::devices::*;
use crate::support::*;

#[test]
fn counters_move_as_they_should() {
    let server = quick();
    let mut con = server.connection();
    // Each line, and the fields it moves by one, unless another number is told.
    let steps: &[(&str, &[(&str, i64)])] = &[
        (
            "DEVICE.REGISTER a sensor",
            &[("devices", 1), ("offline", 1), ("registered", 1)],
        ),
        ("DEVICE.REGISTER a sensor", &[]),
        (
            "DEVICE.HEARTBEAT a SESSION 2",
            &[
                ("online", 1),
                ("offline", -1),
                ("heartbeats", 1),
                ("came_online", 1),
                ("deadline_index_devices", 1),
            ],
        ),
        ("DEVICE.HEARTBEAT a", &[("heartbeats", 1)]),
        (
            "DEVICE.HEARTBEAT a REPORTED {}",
            &[("heartbeats", 1), ("reports", 1)],
        ),
        (
            "DEVICE.HEARTBEAT a SESSION 1",
            &[("heartbeats", 1), ("ignored", 1)],
        ),
        ("DEVICE.OFFLINE a SESSION 1", &[("ignored", 1)]),
        ("DEVICE.GET a", &[]),
        (
            "DEVICE.OFFLINE a",
            &[
                ("online", -1),
                ("offline", 1),
                ("went_offline", 1),
                ("deadline_index_devices", -1),
            ],
        ),
        ("DEVICE.OFFLINE a", &[]),
        (
            "DEVICE.REMOVE a",
            &[("devices", -1), ("offline", -1), ("removed", 1)],
        ),
        ("DEVICE.REMOVE a", &[]),
        (
            "DEVICE.HEARTBEAT b TIMEOUT 0",
            &[
                ("devices", 1),
                ("online", 1),
                ("registered", 1),
                ("heartbeats", 1),
                ("came_online", 1),
            ],
        ),
        (
            "DEVICE.REMOVE b",
            &[
                ("devices", -1),
                ("online", -1),
                ("went_offline", 1),
                ("removed", 1),
            ],
        ),
        (
            "DEVICE.REGISTER c sensor",
            &[("devices", 1), ("offline", 1), ("registered", 1)],
        ),
        (
            "DEVICE.COMMAND c {}",
            &[("commands", 1), ("queue_added", 1)],
        ),
        ("DEVICE.COMMAND.TAKE c", &[("queue_delivered", 1)]),
        ("DEVICE.COMMAND.CANCEL c 1-1", &[]),
        ("THROTTLE.HIT k 1 1h", &[("throttle_hits", 1)]),
        (
            "THROTTLE.HIT k 1 1h",
            &[("throttle_hits", 1), ("throttle_limited", 1)],
        ),
        // An hour's clock runs behind it, unless it is over at once.
        ("DEVICE.REGISTER a sensor", &[("devices", 1), ("offline", 1), ("registered", 1)]),
        ("ALERT.RAISE a x SEVERITY 1", &[("alerts_new", 1)]),
        ("ALERT.RAISE a x", &[("alerts_suppressed", 1)]),
        ("ALERT.RAISE a x SEVERITY 2", &[("alerts_escalated", 1)]),
        ("ALERT.RAISE a x EVERY 0", &[("alerts_repeated", 1)]),
        ("ALERT.RAISE a y FOR 1h", &[("alerts_held", 1)]),
        ("ALERT.ACK a x", &[("alerts_acked", 1)]),
        ("ALERT.ACK a x", &[]),
        ("ALERT.CLEAR a y", &[]),
        ("ALERT.CLEAR a x", &[("alerts_resolved", 1)]),
        ("ALERT.CLEAR a x", &[]),
        ("ALERT.RAISE a z KEEP 1h", &[("alerts_new", 1), ("alert_timers", 1)]),
        ("ALERT.NOTIFY u n {} WAIT 0", &[("alert_notifications", 1)]),
        ("ALERT.BATCH u", &[("alert_batches", 1)]),
        ("ALERT.BATCH u", &[]),
        ("ALERT.DONE u nope", &[]),
        ("EVAL return(redis.call('ALERT.DONE','u',cjson.decode(redis.call('HGET','alerts:user:u','lease')).token)) 0", &[("alert_batches_done", 1)]),
        (
            "ALERT.RULE.SET sensor r {\"path\":\"v\",\"bands\":[{\"severity\":1,\"high\":5}]}",
            &[],
        ),
        (
            "DEVICE.SHADOW.REPORT a {\"v\":\"x\"}",
            &[("reports", 1), ("alert_values_unusable", 1)],
        ),
        ("DEVICE.SHADOW.REPORT a {\"v\":6}", &[("reports", 1), ("alerts_new", 1)]),
        ("DEVICE.SHADOW.REPORT a {\"v\":7}", &[("reports", 1), ("alerts_suppressed", 1)]),
        (
            "DEVICE.REMOVE a",
            &[("devices", -1), ("offline", -1), ("removed", 1), ("alert_timers", -1)],
        ),
        ("QUEUE.ADD q body", &[("queue_added", 1)]),
        ("QUEUE.GET q w", &[("queue_delivered", 1)]),
        ("QUEUE.GET q w", &[]),
    ];
    let counters = [
        "devices",
        "online",
        "offline",
        "heartbeats",
        "reports",
        "ignored",
        "came_online",
        "went_offline",
        "timed_out",
        "registered",
        "removed",
        "adopted",
        "deadline_index_devices",
        "back_offs",
        "throttle_hits",
        "throttle_limited",
        "alerts_new",
        "alerts_suppressed",
        "alerts_repeated",
        "alerts_escalated",
        "alerts_held",
        "alerts_resolved",
        "alerts_acked",
        "alert_values_unusable",
        "alert_notifications",
        "alert_batches",
        "alert_batches_done",
        "alert_timers",
        "commands",
        "commands_finished",
        "queue_added",
        "queue_delivered",
        "queue_acked",
        "queue_refused",
    ];
    for (line, moves) in steps {
        let before = counters.map(|name| info_number(&mut con, name));
        assert!(cmd!(con, line).is_ok(), "{line}");
        for (name, before) in counters.iter().zip(before) {
            // A device without a timeout may or may not stand in the index.
            if line.contains(" b") && *name == "deadline_index_devices" {
                continue;
            }
            let by = moves.iter().find(|(moved, _)| moved == name);
            let by = by.map_or(0, |(_, by)| *by);
            assert_eq!(info_number(&mut con, name) - before, by, "{line}: {name}");
        }
    }
}

#[test]
fn a_timeout_is_counted_with_its_lag() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    wait_until_offline(&mut con, "d");
    assert_eq!(info_number(&mut con, "timed_out"), 1);
    assert_eq!(info_number(&mut con, "went_offline"), 1);
    let last = info_number(&mut con, "detection_lag_last_ms");
    let max = info_number(&mut con, "detection_lag_max_ms");
    assert!((0..=max).contains(&last) && max < 20_000, "{last} {max}");
    assert!(info_number(&mut con, "looks") >= 1);
}

#[test]
fn ticks_and_rates_move_by_themselves() {
    let server = Server::start();
    let mut con = server.connection();
    let ticks = info_number(&mut con, "ticks");
    wait_for("the clock ticks", SOON, || {
        info_number(&mut con, "ticks") > ticks
    });
    wait_for("heartbeats have a rate", SOON, || {
        beat(&mut con, "d");
        info_number(&mut con, "heartbeats_per_second") > 0
    });
}

#[test]
fn it_tells_whether_notifications_are_on() {
    let server = Server::start();
    let mut con = server.connection();
    for (classes, module, expired) in [
        ("Exd", "yes", "yes"),
        ("", "no", "no"),
        ("Ed", "yes", "no"),
        ("Kx", "no", "yes"),
    ] {
        cmd!(con, "CONFIG SET", "notify-keyspace-events", classes).text();
        let info = info(&mut con);
        assert_eq!(info["notifications_module"], module, "{classes}");
        assert_eq!(info["notifications_expired"], expired, "{classes}");
    }
}

#[test]
fn it_tells_the_version_and_whether_the_server_hears() {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(info(&mut con)["version"], env!("CARGO_PKG_VERSION"));
    wait_for("the server hears", SOON, || {
        info(&mut con)["hearing"] == "yes"
    });
}

#[test]
fn counts_are_those_of_database_0_from_everywhere() {
    let server = Server::start();
    beat(&mut server.connection(), "d");
    let mut elsewhere = server.connection_to_db(3);
    assert_eq!(info_number(&mut elsewhere, "online"), 1);
}

//! The clocks of replicas run, but what falls due is their master's business: of devices, of alerts
//! and batches, of queues and commands.

use super::*;

/// All of it does something by itself within [`DUE`] milliseconds on a master.
const GIVEN: &[&str] = &[
    r#"ALERT.RULE.SET t gone {"on":"offline","for":300,"wait":0,"notify":["u"]}"#,
    r#"ALERT.RULE.SET t hot {"path":"v","bands":[{"severity":2,"high":5}],"for":1000,"notify":["u"]}"#,
    "DEVICE.REGISTER d t",
    "DEVICE.REGISTER held t",
    "DEVICE.HEARTBEAT d TIMEOUT 1000",
    r#"DEVICE.HEARTBEAT held TIMEOUT 0 REPORTED {"v":9}"#,
    "ALERT.RAISE held kept KEEP 1000 WAIT 0 NOTIFY 1 u",
    "ALERT.RAISE held again EVERY 1000 NOTIFY 1 u",
    "ALERT.RAISE held again EVERY 1000 NOTIFY 1 u",
    "ALERT.RAISE held over EVERY 1000",
    "ALERT.CLEAR held over",
    "ALERT.NOTIFY late n {} WAIT 1000",
    "ALERT.NOTIFY out n {} WAIT 0",
    "ALERT.BATCH out LEASE 1000",
    "QUEUE.ADD q leased",
    "QUEUE.GET q w LEASE 1000",
    "QUEUE.ADD q delayed DELAY 1000",
    "QUEUE.ADD q over TTL 1000",
    "DEVICE.COMMAND held {} TTL 1m",
    "DEVICE.COMMAND.TAKE held LEASE 1000",
    "DEVICE.COMMAND held {} TTL 1000",
];
const DUE: i64 = 1_500;

/// A client may write to a replica that is not read-only; the module still decides nothing there.
#[test]
fn what_falls_due_on_a_replica_stays_as_it_is() {
    let master = quick();
    let replica = replica_of(&master);
    let writable = replica_of(&master);
    let mut con = master.connection();
    cmd!(writable.connection(), "CONFIG SET replica-read-only no").text();
    for line in GIVEN {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    let waiting = |server: &Server| {
        let mut raw = Raw::connect(server);
        raw.send_args(&["QUEUE.GET", "q2", "w", "BLOCK", "0"]);
        raw
    };
    // Somebody waits there for a message of a queue that has none yet.
    let _waiting = waiting(&writable);
    for copy in [&replica, &writable] {
        assert_same(&master, copy);
    }
    // A frozen master tells nobody; all that happens now would be the replicas' doing.
    master.stop();
    let copies = [&replica, &writable].map(|copy| {
        let mut con = copy.connection();
        let before = snapshot_with_expiry(&mut con);
        (con, before)
    });
    let start = now_ms();
    wait_for("all would be due", SOON, || now_ms() > start + DUE);
    for (mut con, before) in copies {
        let after = snapshot_with_expiry(&mut con);
        assert_eq!(difference(&before, &after), Vec::<String>::new());
        for count in ["timed_out", "deadline_index_devices", "alert_timers"] {
            assert_eq!(info_number(&mut con, count), 0, "{count}");
        }
    }
    master.cont();

    wait_until_offline(&mut con, "d");
    wait_for("the alerts have gone on", SOON, || {
        let told = events(&mut con).of_type("alert");
        let of = |alert: &str, state: &str| {
            let found = told.only(|e| e.get("alert") == alert && e.get("state") == state);
            !found.is_empty()
        };
        of("gone", "firing") && of("hot", "firing") && of("kept", "resolved")
    });
    for copy in [&replica, &writable] {
        assert_same(&master, copy);
        let mut con = copy.connection();
        for count in ["timed_out", "went_offline", "alerts_new", "alerts_resolved"] {
            assert_eq!(info_number(&mut con, count), 0, "{count}");
        }
    }
}

//! Rules on presence: raised by the offline step, cleared by the online one.

use redis::Connection;

use super::calls::*;
use crate::consistency::*;
use crate::devices::*;
use crate::support::*;

#[track_caller]
fn server_with(rule: &str) -> (Server, Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    set_rule(&mut con, "t", "gone", rule);
    (server, con)
}

/// What happened to the device, in order: the kind, and the state of an alert.
#[track_caller]
fn kinds(con: &mut Connection, id: &str) -> Vec<String> {
    let all = events_of(con, id);
    let line = |event: &Event| format!("{} {}", event.kind(), event.get("state"));
    all.iter()
        .map(|event| line(event).trim().to_owned())
        .collect()
}

#[test]
fn a_timeout_raises_and_a_heartbeat_clears() {
    let rule = r#"{"on":"offline","severity":2,"wait":0,"notify":["ops"]}"#;
    let (_server, mut con) = server_with(rule);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").items();
    wait_until_offline(&mut con, "d");
    assert_eq!(state(&mut con, "d", "gone"), "firing 2 1");
    let alert = &list(&mut con, "d")["gone"];
    assert_eq!(alert["data"].text(), r#"{"reason":"timeout"}"#);
    assert_eq!(told(&mut con, "ops"), ["d gone firing 2 1"]);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    assert_eq!(state(&mut con, "d", "gone"), "none");
    assert_eq!(told(&mut con, "ops"), ["d gone resolved 2 0"]);
    assert_eq!(
        kinds(&mut con, "d"),
        [
            "registered",
            "online",
            "offline",
            "alert firing",
            "online",
            "alert resolved"
        ]
    );
    assert_consistent(&mut con);
}

#[test]
fn a_goodbye_raises_with_its_reason() {
    let (_server, mut con) = server_with(r#"{"on":"offline"}"#);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    cmd!(con, "DEVICE.OFFLINE", "d", "REASON", "he said \"bye\"").int();
    let alert = &list(&mut con, "d")["gone"];
    assert_eq!(alert["data"].text(), r#"{"reason":"he said \"bye\""}"#);
    assert_eq!(alert["severity"].int(), 1);
    // Off already: nothing more.
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 0);
    assert_eq!(state(&mut con, "d", "gone"), "firing 1 1");
    // A stale goodbye is none.
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 5").items();
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d SESSION 4").int(), 0);
    assert_eq!(state(&mut con, "d", "gone"), "none");
}

#[test]
fn removal_raises_nothing() {
    let (_server, mut con) = server_with(r#"{"on":"offline","notify":["ops"]}"#);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    assert_eq!(cmd!(con, "DEVICE.REMOVE d").int(), 1);
    assert_eq!(
        kinds(&mut con, "d"),
        ["registered", "online", "offline", "removed"]
    );
    assert_eq!(cmd!(con, "EXISTS device:alerts:d alerts:user:ops").int(), 0);
}

/// A heartbeat that comes after its deadline, but before the sweeper, is both steps.
#[test]
fn a_late_heartbeat_raises_and_clears_in_one_step() {
    for (rule, expected) in [
        (
            r#"{"on":"offline","wait":0,"notify":["ops"]}"#,
            &["alert firing", "online", "alert resolved"][..],
        ),
        (
            r#"{"on":"offline","for":"5m","wait":0,"notify":["ops"]}"#,
            &["online"],
        ),
    ] {
        let (_server, mut con) = server_with(rule);
        // While a transaction runs, time passes and no timer runs.
        cmd!(con, "MULTI").text();
        cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 100").text();
        cmd!(con, "DEBUG SLEEP", 0.12).text();
        cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").text();
        let late = cmd!(con, "EXEC").at(2);
        assert_eq!(late.at(0).int(), 1);
        assert_eq!(kinds(&mut con, "d")[2..3], ["offline"]);
        assert_eq!(kinds(&mut con, "d")[3..], *expected, "{rule}");
        assert_eq!(state(&mut con, "d", "gone"), "none");
        let items = batch(&mut con, "ops").map(|batch| batch.lines());
        let one = vec!["d gone resolved 1 1".to_owned()];
        assert_eq!(items, (expected.len() > 1).then_some(one), "{rule}");
    }
}

#[test]
fn an_outage_is_told_when_it_has_lasted() {
    let (_server, mut con) =
        server_with(r#"{"on":"offline","for":"300ms","severity":3,"notify":["ops"]}"#);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(state(&mut con, "d", "gone"), "held 3 1");
    assert_eq!(batch(&mut con, "ops"), None);
    wait_for("it is told", SOON, || !announced(&mut con, "d").is_empty());
    let all = events_of(&mut con, "d");
    let at = |kind: &str| all.of_type(kind)[0].int("timestamp");
    assert!(at("alert") >= at("offline") + 300);
    // Urgent: at once.
    assert_eq!(told(&mut con, "ops"), ["d gone firing 3 1"]);
    beat(&mut con, "d");
    assert_eq!(told(&mut con, "ops"), ["d gone resolved 3 0"]);
}

#[test]
fn an_outage_that_did_not_last_is_not_told() {
    let (_server, mut con) = server_with(r#"{"on":"offline","for":"1h","notify":["ops"]}"#);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    for _ in 0..5 {
        cmd!(con, "DEVICE.OFFLINE d").int();
        assert_eq!(state(&mut con, "d", "gone"), "held 1 1");
        beat(&mut con, "d");
        assert_eq!(cmd!(con, "EXISTS device:alerts:d").int(), 0);
    }
    assert_eq!(announced(&mut con, "d"), Vec::<String>::new());
    assert_eq!(cmd!(con, "EXISTS alerts:user:ops alerts:due").int(), 0);
    assert_eq!(info_number(&mut con, "alerts_held"), 5);
}

/// A device that flaps for an hour is told twice: when it began, and when the clock has run while it is
/// off.
#[test]
fn a_device_that_flaps_is_told_once_in_its_time() {
    let (_server, mut con) =
        server_with(r#"{"on":"offline","every":"1h","wait":0,"notify":["ops"]}"#);
    cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
    for _ in 0..10 {
        cmd!(con, "DEVICE.OFFLINE d").int();
        beat(&mut con, "d");
    }
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(
        announced(&mut con, "d"),
        ["gone firing 1 1", "gone resolved 1 1"]
    );
    let_pass(&mut con, 3_600_000);
    wait_for("it is told again", SOON, || {
        announced(&mut con, "d").len() == 3
    });
    assert_eq!(announced(&mut con, "d")[2..], ["gone firing 1 11"]);
    // All along it was one item.
    assert_eq!(told(&mut con, "ops"), ["d gone firing 1 11"]);
}

#[test]
fn coming_online_clears_also_what_no_rule_would_raise_any_more() {
    let (_server, mut con) = server_with(r#"{"on":"offline"}"#);
    let value = r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#;
    set_rule(&mut con, "t", "high", value);
    cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", r#"{"v":6}"#).items();
    raise(&mut con, "d by-hand");
    cmd!(con, "DEVICE.OFFLINE d").int();
    cmd!(con, "ALERT.RULE.DEL t gone").int();
    beat(&mut con, "d");
    // And nothing else.
    let active: Vec<String> = list(&mut con, "d").keys().cloned().collect();
    assert_eq!(active, ["by-hand", "high"]);
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(state(&mut con, "d", "gone"), "none");
}

#[test]
fn many_that_die_at_once_are_all_told() {
    const MANY: i64 = 2_000;
    let (_server, mut con) =
        server_with(r#"{"on":"offline","wait":0,"notify":["ops"],"severity":2}"#);
    cmd!(con, "CONFIG SET devicestate.sweep-budget-us 500").text();
    let script = "for i = 1, ARGV[1] do
            redis.call('DEVICE.REGISTER', 'd-' .. i, 't')
            redis.call('DEVICE.HEARTBEAT', 'd-' .. i, 'TIMEOUT', '200')
        end";
    cmd!(con, "EVAL", script, 0, MANY).is_nil();
    wait_for("all are told", SOON, || {
        info_number(&mut con, "alerts_new") == MANY
    });
    let batch = batch(&mut con, "ops").expect("a batch");
    assert_eq!(batch.items.len() as i64, MANY);
    assert!(batch.items.is_sorted_by_key(|item| item.first));
    assert_eq!(events(&mut con).of_type("alert").len() as i64, MANY);
    assert_eq!(done(&mut con, "ops", &batch.token), MANY);
}

/// A hash of the plain recipe is adopted by its first report, and has the rules of its type from then on.
#[test]
fn a_device_of_the_plain_recipe_has_the_rules_of_its_type() {
    let server = quick();
    let mut con = server.connection();
    set_rule(&mut con, "t", "gone", r#"{"on":"offline"}"#);
    above_70(&mut con, "hot", "v", "");
    let fields = [
        "device_id",
        "d",
        "device_type",
        "t",
        "status",
        "online",
        "last_seen",
        "1700000000.5",
    ];
    cmd!(con, "HSET", "device:state:d", &fields[..]).int();
    report(&mut con, "d", r#"{"v":71}"#);
    assert_eq!(announced(&mut con, "d"), ["hot firing 1 1"]);
    cmd!(con, "DEVICE.OFFLINE d").int();
    assert_eq!(state(&mut con, "d", "gone"), "firing 1 1");
    assert_consistent(&mut con);
}

/// The rule on presence that raised it is a rule on a value by the time the device is back: what it
/// reports is judged after the online transition, and nothing is told twice.
#[test]
fn an_alert_whose_rule_became_one_on_a_value_is_resolved_once() {
    for (value, then) in [(20, "none"), (80, "firing 1 2")] {
        let (_server, mut con) = server_with(r#"{"on":"offline"}"#);
        cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
        cmd!(con, "DEVICE.OFFLINE d").int();
        above_70(&mut con, "gone", "temp", "");
        let report = format!(r#"{{"temp":{value}}}"#);
        cmd!(con, "DEVICE.HEARTBEAT", "d", "REPORTED", report).items();
        // Too soon to be told again.
        assert_eq!(
            announced(&mut con, "d"),
            ["gone firing 1 1", "gone resolved 1 1"]
        );
        assert_eq!(state(&mut con, "d", "gone"), then);
        assert_consistent(&mut con);
    }
}

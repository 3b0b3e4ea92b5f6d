//! A server that was away knows what it knew, and tells nobody anything before everybody had a chance to
//! speak up.

use redis::Connection;

use super::*;
use crate::support::server::Builder;

#[track_caller]
fn with_aof() -> Builder {
    Server::builder()
        .config("appendonly", "yes")
        .config("appendfsync", "always")
}

fn with_rdb() -> Builder {
    Server::builder().config("save", "360000 1000000")
}

/// What is in the middle of things when the server goes: held, pending, leased, acknowledged, cleared
/// with its clock running.
struct Before {
    token: String,
    clock: Clock,
}

impl Before {
    #[track_caller]
    fn new(con: &mut Connection) -> Before {
        cmd!(con, "DEVICE.REGISTER d t").int();
        let mut clock = Clock::start();
        raise(con, "d held FOR 300s WAIT 0 NOTIFY 1 h");
        raise(
            con,
            "d pending SEVERITY 2 WAIT 600s DATA {\"x\":1.5} NOTIFY 1 p",
        );
        raise(con, "d leased WAIT 0 NOTIFY 1 l");
        raise(con, "d acked WAIT 0 NOTIFY 1 a");
        raise(con, "d cleared WAIT 0 NOTIFY 1 c");
        assert_eq!(told(con, "a"), ["d acked firing 1 1"]);
        assert_eq!(told(con, "c"), ["d cleared firing 1 1"]);
        clock.set(con, 100);
        cmd!(con, "ALERT.ACK d acked").int();
        clear(con, "d", "cleared");
        raise(con, "d held FOR 300s WAIT 0 NOTIFY 1 h");
        raise(con, "d pending");
        let token = batch(con, "l LEASE 600s").expect("a batch").token;
        raise(con, "d leased");
        set_rule(
            con,
            "t",
            "hot",
            r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#,
        );
        Before { token, clock }
    }

    /// The later replies, as a server gives them that was never away.
    #[track_caller]
    fn after(mut self, con: &mut Connection) {
        for (name, expected) in [
            ("held", "held 1 2"),
            ("pending", "firing 2 2"),
            ("leased", "firing 1 2"),
            ("acked", "firing 1 1"),
            ("cleared", "none"),
        ] {
            assert_eq!(state(con, "d", name), expected);
        }
        self.clock.set(con, 200);
        assert_eq!(batch(con, "l"), None);
        assert_eq!(batch(con, "p"), None);
        assert_eq!(due(con), ["c"]);
        assert_eq!(raise(con, "d cleared"), "suppressed 2");
        self.clock.set(con, 301);
        assert_eq!(raise(con, "d held FOR 300s WAIT 0 NOTIFY 1 h"), "new 3");
        assert_eq!(told(con, "h"), ["d held firing 1 3"]);
        assert_eq!(told(con, "c"), ["d cleared firing 1 1"]);
        assert_eq!(done(con, "l", &self.token), 1);
        assert_eq!(clear(con, "d", "leased"), 1);
        assert_eq!(told(con, "l"), ["d leased resolved 1 1"]);
        self.clock.set(con, 601);
        assert_eq!(due(con), ["p"]);
        let batch = batch(con, "p").expect("a batch");
        assert_eq!(batch.lines(), ["d pending firing 2 2"]);
        assert_eq!(batch.items[0].data, "{\"x\":1.5}");
        self.clock.set(con, 3_700);
        assert_eq!(raise(con, "d acked"), "suppressed 2");
        assert_eq!(raise(con, "d acked SEVERITY 2"), "escalated 3");
        report(con, "d", r#"{"v":6}"#);
        assert_eq!(state(con, "d", "hot"), "firing 1 1");
    }
}

/// A16, and what it is compared with.
#[test]
fn a16_the_later_replies_are_those_of_a_server_that_was_never_away() {
    let server = quick();
    let mut con = server.connection();
    Before::new(&mut con).after(&mut con);

    let mut server = with_rdb().config("devicestate.restart-grace", 0).start();
    let before = Before::new(&mut server.connection());
    server.restart();
    server.settle();
    before.after(&mut server.connection());

    let mut server = with_aof().config("devicestate.restart-grace", 0).start();
    let before = Before::new(&mut server.connection());
    server.kill_hard();
    server.restart();
    server.settle();
    before.after(&mut server.connection());

    let server = quick();
    let mut con = server.connection();
    let before = Before::new(&mut con);
    cmd!(con, "DEBUG RELOAD").text();
    server.settle();
    before.after(&mut con);
}

/// Who raises and who reports could not, while the server was away: their silence says nothing.
#[test]
fn nobody_is_cleared_or_told_before_the_grace_is_over() {
    const GRACE: i64 = 2_000;
    let mut server = with_aof()
        .config("devicestate.restart-grace", GRACE)
        .start();
    server.settle();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    cmd!(con, "DEVICE.REGISTER e t").int();
    for (name, rule) in [
        ("gone", r#"{"on":"offline","for":"600ms"}"#),
        (
            "high",
            r#"{"path":"v","bands":[{"severity":1,"high":5}],"for":"600ms"}"#,
        ),
    ] {
        set_rule(&mut con, "t", name, rule);
    }
    raise(&mut con, "d kept KEEP 600ms");
    raise(&mut con, "d spoken KEEP 600ms");
    cmd!(
        con,
        "DEVICE.HEARTBEAT",
        "d",
        "TIMEOUT",
        0,
        "REPORTED",
        r#"{"v":6}"#
    )
    .items();
    cmd!(
        con,
        "DEVICE.HEARTBEAT",
        "e",
        "TIMEOUT",
        0,
        "REPORTED",
        r#"{"v":6}"#
    )
    .items();
    cmd!(con, "DEVICE.OFFLINE e").int();
    server.kill_hard();
    let gone = now_ms();
    wait_for("all of them would be over", SOON, || now_ms() > gone + 700);
    let began = now_ms();
    server.restart();
    server.settle();
    let mut con = server.connection();
    // One who speaks up in time is heard.
    assert_eq!(raise(&mut con, "d spoken KEEP 1h"), "suppressed 2");
    report(&mut con, "e", r#"{"v":1}"#);
    wait_for("the others are cleared and told", SOON, || {
        let told = events(&mut con).of_type("alert");
        told.only(|event| event.int("timestamp") >= began).len() >= 2
    });
    let told = events(&mut con).of_type("alert");
    let after = told.only(|event| event.int("timestamp") >= began);
    let mut lines: Vec<String> = after
        .iter()
        .map(|e| format!("{} {} {}", e.device(), e.get("alert"), e.get("state")))
        .collect();
    lines.sort();
    assert_eq!(lines, ["d high firing", "d kept resolved"]);
    for event in after.iter() {
        let at = event.int("timestamp");
        assert!(at >= began + GRACE, "{event:?} began {began}");
    }
    // Online again, and inside again: held no more.
    assert_eq!(state(&mut con, "e", "gone"), "none");
    assert_eq!(state(&mut con, "e", "high"), "none");
    assert_eq!(state(&mut con, "d", "spoken"), "firing 1 2");
}

#[test]
fn an_outage_that_began_before_the_restart_is_told_after_it() {
    for mut server in [
        with_rdb().config("devicestate.restart-grace", 0).start(),
        with_aof().config("devicestate.restart-grace", 0).start(),
    ] {
        server.settle();
        let mut con = server.connection();
        cmd!(con, "DEVICE.REGISTER d t").int();
        let rule = r#"{"on":"offline","for":"1h","wait":0,"notify":["ops"]}"#;
        set_rule(&mut con, "t", "gone", rule);
        cmd!(con, "DEVICE.HEARTBEAT d TIMEOUT 0").items();
        cmd!(con, "DEVICE.OFFLINE d").int();
        server.restart();
        server.settle();
        let mut con = server.connection();
        assert_eq!(state(&mut con, "d", "gone"), "held 1 1");
        assert_eq!(info_number(&mut con, "alert_timers"), 1);
        let_pass(&mut con, 3_600_000);
        wait_for("it is told", SOON, || {
            announced(&mut con, "d") == ["gone firing 1 1"]
        });
        assert_eq!(told(&mut con, "ops"), ["d gone firing 1 1"]);
    }
}

/// The alerts of many devices are all found again.
#[test]
fn every_alert_with_a_time_is_found_again_after_a_load() {
    const MANY: i64 = 5_000;
    let mut server = with_rdb().config("devicestate.restart-grace", 0).start();
    server.settle();
    let mut con = server.connection();
    let script = "for i = 1, ARGV[1] do
            redis.call('DEVICE.REGISTER', 'd-' .. i, 't')
            redis.call('ALERT.RAISE', 'd-' .. i, 'a', 'KEEP', '1')
            redis.call('ALERT.RAISE', 'd-' .. i, 'b')
        end";
    cmd!(con, "EVAL", script, 0, MANY).is_nil();
    wait_for("all are over", SOON, || {
        info_number(&mut con, "alerts_resolved") == MANY
    });
    assert_eq!(info_number(&mut con, "alert_timers"), MANY);
    server.restart();
    let mut con = server.connection();
    wait_for("all are found", SOON, || {
        info_number(&mut con, "alert_timers") == MANY
    });
    let_pass(&mut con, 3_600_000);
    wait_for("all are forgotten", SOON, || {
        info_number(&mut con, "alert_timers") == 0
    });
    // What fires without an end is nobody's timer, and still there.
    assert_eq!(state(&mut con, "d-7", "b"), "firing 1 1");
    assert_eq!(cmd!(con, "HLEN device:alerts:d-7").int(), 1);
}

/// The walk over the keys takes the prefix by its letters.
#[test]
fn alerts_are_found_again_below_any_prefix() {
    for prefix in ["a*[b]?:", "\\^x", "📟"] {
        let mut server = with_rdb()
            .config("devicestate.restart-grace", 0)
            .module_arg("key-prefix", prefix)
            .start();
        let mut con = server.connection();
        cmd!(con, "DEVICE.REGISTER d t").int();
        raise(&mut con, "d a KEEP 500");
        server.restart();
        let mut con = server.connection();
        wait_for("it clears", SOON, || state(&mut con, "d", "a") == "none");
    }
}

#[test]
fn alerts_survive_what_replaces_the_data_set() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    raise(&mut con, "d a KEEP 500");
    // Elsewhere they have no timers; back again they have.
    cmd!(con, "SWAPDB 0 1").text();
    wait_for("none is left", SOON, || {
        info_number(&mut con, "alert_timers") == 0
    });
    cmd!(con, "SWAPDB 0 1").text();
    wait_for("it clears", SOON, || state(&mut con, "d", "a") == "none");
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1", "a resolved 1 1"]);
    // A hash that comes from somewhere else is looked at as well.
    raise(&mut con, "d b KEEP 700");
    let dump = cmd!(con, "DUMP device:alerts:d").bytes();
    cmd!(con, "DEL device:alerts:d").int();
    wait_for("none is left", SOON, || {
        info_number(&mut con, "alert_timers") == 0
    });
    cmd!(con, "RESTORE", "device:alerts:d", 0, dump).text();
    wait_for("it clears", SOON, || state(&mut con, "d", "b") == "none");
    cmd!(con, "FLUSHALL").text();
    wait_for("none is left", SOON, || {
        info_number(&mut con, "alert_timers") == 0
    });
}

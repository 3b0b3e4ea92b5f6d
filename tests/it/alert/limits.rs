//! How many alerts a device may have, and rules a type.

use super::*;

#[test]
fn a_device_has_at_most_a_thousand_alerts() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    cmd!(con, "DEVICE.REGISTER e t").int();
    let script = "for i = 1, 1000 do redis.call('ALERT.RAISE', 'd', 'a' .. i, 'EVERY', '0') end";
    cmd!(con, "EVAL", script, 0).is_nil();
    for words in ["d more", "d more FOR 1h"] {
        let line = format!("ALERT.RAISE {words}");
        let line: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &line, "LIMIT", "device 'd' has 1000 alerts");
    }
    // Those it has go on, and so do other devices.
    assert_eq!(raise(&mut con, "d a7 EVERY 0"), "repeat 2");
    assert_eq!(raise(&mut con, "d a7"), "suppressed 3");
    assert_eq!(raise(&mut con, "e more"), "new 1");
    assert_eq!(cmd!(con, "ALERT.LIST d").items().len(), 1_000);
    // One that is forgotten makes room.
    assert_eq!(raise(&mut con, "d a8 EVERY 0"), "repeat 2");
    assert_eq!(clear(&mut con, "d", "a8"), 1);
    assert_eq!(raise(&mut con, "d more"), "new 1");
}

#[test]
fn a_type_has_at_most_a_hundred_rules() {
    let server = Server::start();
    let mut con = server.connection();
    let rule = r#"{"path":"v","bands":[{"severity":1,"high":5}]}"#;
    for n in 0..100 {
        assert_eq!(set_rule(&mut con, "t", &format!("r{n}"), rule), 1);
    }
    let words = ["ALERT.RULE.SET", "t", "more", rule];
    expect_refusal(&mut con, &words, "LIMIT", "type 't' has 100 alert rules");
    assert_eq!(set_rule(&mut con, "t", "r7", rule), 0);
    assert_eq!(set_rule(&mut con, "other", "more", rule), 1);
    cmd!(con, "DEVICE.REGISTER d t").int();
    report(&mut con, "d", r#"{"v":6}"#);
    assert_eq!(list(&mut con, "d").len(), 100);
    assert_eq!(cmd!(con, "ALERT.RULE.DEL t r8").int(), 1);
    assert_eq!(set_rule(&mut con, "t", "more", rule), 1);
}

#[test]
fn memory_that_is_short_refuses_raises_and_lets_the_rest_go_on() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    above_70(&mut con, "hot", "v", r#","wait":0,"notify":["u"]"#);
    set_rule(
        &mut con,
        "t",
        "gone",
        r#"{"on":"offline","wait":0,"notify":["u"]}"#,
    );
    raise(&mut con, "d a WAIT 0 NOTIFY 1 u");
    report(&mut con, "d", r#"{"v":71}"#);
    cmd!(con, "CONFIG SET maxmemory 1").text();
    for line in [
        "ALERT.RAISE d b",
        "ALERT.RAISE d a",
        "ALERT.NOTIFY u n {}",
        "ALERT.RULE.SET t r {\"on\":\"offline\"}",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut con, &words, "OOM", "");
    }
    assert_eq!(told(&mut con, "u"), ["d a firing 1 1", "d hot firing 1 1"]);
    assert_eq!(cmd!(con, "DEVICE.OFFLINE d").int(), 1);
    assert_eq!(told(&mut con, "u"), ["d gone firing 1 1"]);
    assert_eq!(beat(&mut con, "d")[0], 1);
    assert_eq!(told(&mut con, "u"), ["d gone resolved 1 0"]);
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(cmd!(con, "ALERT.ACK d hot").int(), 1);
    assert_eq!(cmd!(con, "ALERT.RULE.DEL t hot").int(), 1);
}

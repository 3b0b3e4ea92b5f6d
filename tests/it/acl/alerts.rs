//! Permissions on alerts: their devices, the users who are told, the rules of a type.

use super::*;

/// A user is a key, whether he stands first or in a list.
#[test]
fn users_of_alerts_are_keys() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    for line in [
        "ALERT.NOTIFY acme-user a {} WAIT 0",
        "ALERT.BATCH acme-user",
        "ALERT.DONE acme-user token",
        "ALERT.RAISE acme-1 a NOTIFY 2 acme-user acme-other",
        "ALERT.RAISE acme-1 b NOTIFY 0",
    ] {
        assert!(cmd!(con, line).is_ok(), "{line}");
    }
    for line in [
        "ALERT.NOTIFY other-user a {}",
        "ALERT.BATCH other-user",
        "ALERT.DONE other-user token",
        "ALERT.RAISE acme-1 c NOTIFY 1 other-user",
        "ALERT.RAISE acme-1 a NOTIFY 2 acme-user other-user",
    ] {
        forbidden(&mut admin, &mut con, line);
    }
    // Whoever is notified is written and read: half of the permission is none.
    for half in ["%R~other-user", "%W~other-user"] {
        grant(&mut admin, &format!("resetkeys ~acme-* {half}"));
        for line in [
            "ALERT.RAISE acme-1 c NOTIFY 1 other-user",
            "ALERT.NOTIFY other-user a {}",
            "ALERT.BATCH other-user",
        ] {
            forbidden(&mut admin, &mut con, line);
        }
    }
    grant(&mut admin, "resetkeys ~acme-* ~other-user");
    assert!(cmd!(con, "ALERT.RAISE acme-1 c NOTIFY 1 other-user").is_ok());
}

#[test]
fn rules_need_the_key_of_their_type_and_their_users() {
    let (_server, mut admin, mut con) = tenant("~acme-* ~devices:registered ~devices:types");
    let rule = r#"{"on":"offline","notify":["acme-user"]}"#;
    let set = format!("ALERT.RULE.SET sensor r {rule}");
    let foreign = set.replace("acme-user", "other-user");
    for line in [&set, "ALERT.RULE.DEL sensor r", "ALERT.RULE.LIST sensor"] {
        forbidden(&mut admin, &mut con, line);
    }
    grant(&mut admin, "%R~alerts:rules:sensor");
    assert!(cmd!(con, "ALERT.RULE.LIST sensor").is_ok());
    for line in [&set, "ALERT.RULE.DEL sensor r", "ALERT.RULE.LIST motor"] {
        forbidden(&mut admin, &mut con, line);
    }
    grant(&mut admin, "~alerts:rules:sensor");
    assert!(cmd!(con, &set).is_ok());
    forbidden(&mut admin, &mut con, &foreign);
    assert!(cmd!(con, "ALERT.RULE.DEL sensor r").is_ok());
    expect_error(
        &mut con,
        &["ALERT.RULE.LIST", "motor"],
        "NOPERM",
        "alerts:rules:motor",
    );
}

#[test]
fn due_needs_the_key_of_all_who_are() {
    let (_server, mut admin, mut con) = tenant("~acme-* ~alerts:user:*");
    forbidden(&mut admin, &mut con, "ALERT.DUE");
    grant(&mut admin, "%W~alerts:due");
    forbidden(&mut admin, &mut con, "ALERT.DUE");
    grant(&mut admin, "%R~alerts:due");
    assert!(cmd!(con, "ALERT.DUE").is_ok());
}

/// Owners and rules notify whom their makers said: the tenant whose device reports needs no right on them.
#[test]
fn a_tenant_s_report_notifies_users_beyond_its_patterns() {
    let (_server, mut admin, mut con) = tenant("~acme-*");
    let rule = r#"{"path":"v","bands":[{"severity":3,"high":5}],"notify":["ops"]}"#;
    cmd!(admin, "ALERT.RULE.SET", "sensor", "r", rule).int();
    cmd!(con, "DEVICE.HEARTBEAT", "acme-1", "REPORTED", r#"{"v":6}"#).items();
    assert_eq!(cmd!(admin, "ALERT.DUE").texts(), ["ops"]);
}

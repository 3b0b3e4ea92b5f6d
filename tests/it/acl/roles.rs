//! The users that `docs/running.md` recommends may do what they are for, and no more.

use super::*;

const PAGE: &str = include_str!("../../../docs/running.md");

/// The rules of a row of the page's table of users: what stands in its code spans.
#[track_caller]
fn rules(who: &str) -> String {
    let row = PAGE
        .lines()
        .find(|line| line.starts_with(&format!("| {who}")))
        .unwrap_or_else(|| panic!("no row {who:?}"));
    let spans = row.split('`').skip(1).step_by(2);
    spans.collect::<Vec<_>>().join(" ")
}

/// Whoever has the rules of `who` may say what is `allowed`, and not what is `refused`. Every
/// command that the rules name is among what is allowed.
#[track_caller]
fn may(who: &str, allowed: &[&str], refused: &[&str]) {
    let server = Server::start();
    let mut admin = server.connection();
    for line in [
        r#"DEVICE.HEARTBEAT acme-1 REPORTED {"a":1}"#,
        "DEVICE.HEARTBEAT other-1",
    ] {
        assert!(cmd!(admin, line).is_ok());
    }
    grant(&mut admin, &format!("on >secret {}", rules(who)));
    let mut con = server.connection();
    cmd!(con, "AUTH tenant secret").text();
    for line in allowed {
        if let Err(error) = cmd!(con, line) {
            panic!("{who}: {line}: {error}");
        }
    }
    for line in refused {
        forbidden(&mut admin, &mut con, line);
    }
    let rules = rules(who).to_uppercase();
    for name in rules.split(' ').filter_map(|rule| rule.strip_prefix('+')) {
        let said = allowed
            .iter()
            .any(|line| line.split(' ').next() == Some(name));
        assert!(said, "{who} is not tried with {name}");
    }
}

#[test]
fn a_back_end_of_one_tenant() {
    may(
        "a back end",
        &[
            "DEVICE.GET acme-1",
            "DEVICE.MGET acme-1 acme-2",
            r#"DEVICE.SHADOW.SET acme-1 {"a":2}"#,
            "DEVICE.SHADOW.GET acme-1",
            "DEVICE.DELTA acme-1",
            r#"DEVICE.COMMAND acme-1 {"do":"it"}"#,
            "DEVICE.COMMAND.LIST acme-1",
            "DEVICE.WHY acme-1",
        ],
        &[
            "DEVICE.GET other-1",
            "DEVICE.MGET acme-1 other-1",
            r#"DEVICE.SHADOW.SET other-1 {"a":2}"#,
            "DEVICE.HEARTBEAT acme-1",
            "DEVICE.REMOVE acme-1",
            "DEVICE.LIST",
            "HGETALL device:state:acme-1",
        ],
    );
}

#[test]
fn devices_of_one_tenant() {
    may(
        "the devices",
        &[
            r#"DEVICE.HEARTBEAT acme-1 REPORTED {"a":3}"#,
            "DEVICE.COMMAND.TAKE acme-1",
            "DEVICE.COMMAND.DONE acme-1 1-1 OK",
            "DEVICE.OFFLINE acme-1",
        ],
        &[
            "DEVICE.HEARTBEAT other-1",
            "DEVICE.COMMAND.TAKE other-1",
            r#"DEVICE.SHADOW.SET acme-1 {"a":2}"#,
            "DEVICE.LIST",
        ],
    );
}

#[test]
fn a_dashboard_reads_everything_and_writes_nothing() {
    may(
        "a dashboard",
        &[
            "DEVICE.LIST WITHSTATE",
            "DEVICE.COUNT ONLINE",
            "DEVICE.GET other-1",
            "DEVICE.HISTORY acme-1",
            "ALERT.LIST acme-1",
        ],
        &["DEVICE.HEARTBEAT acme-1", "ALERT.CLEAR acme-1 a"],
    );
}

#[test]
fn a_notifier() {
    may(
        "a notifier",
        &["ALERT.DUE", "ALERT.BATCH ann", "ALERT.DONE ann none"],
        &["ALERT.NOTIFY ann a {}", "DEVICE.GET acme-1"],
    );
}

#[test]
fn monitoring() {
    may(
        "monitoring",
        &["INFO devicestate", "PING", "DEVICE.CHECK 0"],
        &["DEVICE.CHECK 0 REPAIR", "DEVICE.LIST", "DEVICE.GET acme-1"],
    );
}

//! Many clients at once: one of them raises, one of them notifies.

use std::collections::BTreeSet;
use std::thread;

use super::*;

const CLIENTS: usize = 20;

#[test]
fn twenty_clients_that_raise_the_same_alert_tell_it_once() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    let outcomes: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut con = server.connection();
                scope.spawn(move || -> Vec<String> {
                    (0..50)
                        .map(|_| raise(&mut con, "d a WAIT 0 NOTIFY 1 u"))
                        .collect()
                })
            })
            .collect();
        let all = clients
            .into_iter()
            .map(|client| client.join().expect("no panic"));
        all.flatten().collect()
    });
    let all = CLIENTS as i64 * 50;
    let told_of = |what: &str| outcomes.iter().filter(|o| o.starts_with(what)).count() as i64;
    assert_eq!((told_of("new"), told_of("suppressed")), (1, all - 1));
    // Each has a number of its own.
    let numbers: BTreeSet<&str> = outcomes
        .iter()
        .filter_map(|o| o.split(' ').nth(1))
        .collect();
    assert_eq!(numbers.len() as i64, all);
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1"]);
    assert_eq!(told(&mut con, "u"), [format!("d a firing 1 {all}")]);
}

/// Notifiers ask who is due and fetch; no item is told twice, and none is lost, while raises go on.
#[test]
fn no_two_notifiers_get_the_same_batch() {
    const USERS: usize = 40;
    const ALERTS: usize = 25;
    let server = quick();
    let mut con = server.connection();
    for n in 0..ALERTS {
        cmd!(con, "DEVICE.REGISTER", format!("d-{n}"), "t").int();
    }
    let raised = &Over::default();
    let fetched: Vec<String> = thread::scope(|scope| {
        let mut raiser = server.connection();
        scope.spawn(move || {
            let _set = raised.on_drop();
            for n in 0..ALERTS {
                for user in 0..USERS {
                    let words = format!("d-{n} a-{user} WAIT 0 NOTIFY 1 u-{user}");
                    assert_eq!(raise(&mut raiser, &words), "new 1");
                }
            }
        });
        let notifiers: Vec<_> = (0..4)
            .map(|_| {
                let mut con = server.connection();
                scope.spawn(move || {
                    let mut fetched = Vec::new();
                    loop {
                        // What is raised before this look is due at the next.
                        let is_last = raised.is_set();
                        let users = due(&mut con);
                        for user in &users {
                            let words = format!("{user} LEASE 10m COUNT 3");
                            if let Some(batch) = batch(&mut con, &words) {
                                fetched.extend(batch.lines());
                                let count = batch.items.len() as i64;
                                assert_eq!(done(&mut con, user, &batch.token), count);
                            }
                        }
                        if is_last && users.is_empty() {
                            return fetched;
                        }
                    }
                })
            })
            .collect();
        let all = notifiers
            .into_iter()
            .map(|notifier| notifier.join().expect("no panic"));
        all.flatten().collect()
    });
    let different: BTreeSet<&String> = fetched.iter().collect();
    assert_eq!(fetched.len(), USERS * ALERTS);
    assert_eq!(different.len(), USERS * ALERTS);
    assert_eq!(cmd!(con, "KEYS alerts:*").texts(), Vec::<String>::new());
}

/// Reports, goodbyes, raises, acknowledgements and batches from everywhere: whatever comes first, what
/// is announced of each alert goes from firing to resolved and never the other way about.
#[test]
fn what_is_announced_alternates_whatever_comes_from_where() {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    above_70(
        &mut con,
        "hot",
        "v",
        r#","every":0,"wait":0,"notify":["u"]"#,
    );
    set_rule(
        &mut con,
        "t",
        "gone",
        r#"{"on":"offline","every":0,"wait":0,"notify":["u"]}"#,
    );
    thread::scope(|scope| {
        for client in 0..8 {
            let mut con = server.connection();
            scope.spawn(move || {
                for turn in 0..60 {
                    let line = match (client + turn) % 8 {
                        0 => r#"DEVICE.HEARTBEAT d REPORTED {"v":71}"#.to_owned(),
                        1 => r#"DEVICE.SHADOW.REPORT d {"v":1}"#.to_owned(),
                        2 => "DEVICE.OFFLINE d".to_owned(),
                        3 => "DEVICE.HEARTBEAT d".to_owned(),
                        4 => "ALERT.RAISE d own EVERY 0 NOTIFY 1 u".to_owned(),
                        5 => "ALERT.CLEAR d own".to_owned(),
                        6 => "ALERT.ACK d hot".to_owned(),
                        _ => "ALERT.BATCH u LEASE 1".to_owned(),
                    };
                    assert!(cmd!(con, &line).is_ok(), "{line}");
                }
            });
        }
    });
    let told = events_of(&mut con, "d").of_type("alert");
    for alert in ["hot", "gone", "own"] {
        let states = told.only(|event| event.get("alert") == alert);
        let mut fires = false;
        for event in states.iter() {
            let resolved = event.get("state") == "resolved";
            assert!(fires || !resolved, "resolved before it fired: {event:?}");
            fires = !resolved;
        }
        assert!(!states.is_empty(), "{alert}");
    }
    crate::consistency::assert_consistent(&mut con);
    crate::consistency::assert_told_once(&mut con);
    crate::consistency::assert_users_consistent(&mut con);
}

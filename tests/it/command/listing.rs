//! `DEVICE.COMMAND.LIST`: every state, in one answer, at the moment of the call.

use super::*;

#[test]
fn every_state_is_shown() {
    let (_server, mut con) = with_device();
    let before = now_ms();
    let dead = give(&mut con, "d {\"n\":1}");
    wear_out(&mut con, &dead);
    let taken = give(&mut con, "d {\"n\":2}");
    assert_eq!(take_ids(&mut con, "d LEASE 1h"), [taken.as_str()]);
    let lapsed = give(&mut con, "d {\"n\":3}");
    for _ in 0..2 {
        assert_eq!(take_ids(&mut con, "d LEASE 1"), [lapsed.as_str()]);
        wait_for_the_leases_but(&mut con, 1);
    }
    let delayed = give(&mut con, "d {\"n\":4} DELAY 1h TTL 1d");
    let waiting = give(&mut con, "d {\"n\":5}");
    let over = give(&mut con, "d {\"n\":6}");
    assert_eq!(done(&mut con, &format!("d {over} REJECTED \"no\"")), 1);

    let rows = list(&mut con, "d");
    let after = now_ms();
    let hour = 3_600_000;
    let wanted: [(&str, &str, i64, Option<i64>); 5] = [
        (&dead, "dead", 5, None),
        (&taken, "taken", 1, Some(hour)),
        (&lapsed, "waiting", 2, None),
        (&delayed, "delayed", 0, Some(hour)),
        (&waiting, "waiting", 0, None),
    ];
    assert_eq!(rows.len(), 6);
    for (n, (id, state, deliveries, left)) in wanted.into_iter().enumerate() {
        let row = &rows[n];
        assert_eq!(row["command_id"].text(), id);
        assert_eq!(row["state"].text(), state, "{id}");
        assert_eq!(row["command"].text(), format!("{{\"n\":{}}}", n + 1));
        assert_eq!(row["deliveries"].int(), deliveries, "{id}");
        match left {
            None => assert!(row["left_ms"].is_nil(), "{row:?}"),
            Some(whole) => {
                let left = row["left_ms"].int();
                assert!(
                    (whole - (after - before)..=whole).contains(&left),
                    "{row:?}"
                );
            }
        }
        assert!((before..=after).contains(&row["added"].int()), "{row:?}");
        assert_eq!(
            id.split('-').next().unwrap(),
            row["added"].int().to_string()
        );
    }
    let last = &rows[5];
    assert_eq!(last["command_id"].text(), over);
    assert_eq!(last["state"].text(), "done");
    assert_eq!(last["outcome"].text(), "REJECTED");
    assert_eq!(last["result"].text(), "\"no\"");
    assert_eq!(last["command"].text(), "{\"n\":6}");
}

#[test]
fn a_list_changes_nothing() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {\"n\":1} TTL 1");
    give(&mut con, "d {\"n\":2}");
    take(&mut con, "d LEASE 1");
    wait_for_the_leases(&mut con);
    let before = snapshot_with_expiry(&mut con);
    for _ in 0..3 {
        list(&mut con, "d");
    }
    assert_eq!(before, snapshot_with_expiry(&mut con), "{id}");
}

#[test]
fn a_list_is_as_long_as_the_queue() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 1_000);
    take(&mut con, "d COUNT 600 LEASE 1h");
    let rows = list(&mut con, "d");
    let found: Vec<String> = rows.iter().map(|row| row["command_id"].text()).collect();
    assert_eq!(found, ids);
    let taken = rows.iter().take_while(|row| row["state"].text() == "taken");
    assert_eq!(taken.count(), 600);
}

/// What other programs put into the streams is no reason to fail.
#[test]
fn what_other_hands_wrote_is_shown_as_far_as_it_goes() {
    let (_server, mut con) = with_device();
    cmd!(con, "XADD device:commands:d 5-1 hello world").text();
    cmd!(con, "XADD device:outcomes:d * hello world").text();
    let rows = list(&mut con, "d");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["command_id"].text(), "5-1");
    assert_eq!(rows[0]["command"].text(), "null");
    let taken = cmd!(con, "DEVICE.COMMAND.TAKE d").at(0);
    assert_eq!(taken.at(0).text(), "5-1");
    assert!(taken.at(1).is_nil());
    assert_eq!(done(&mut con, "d 5-1 OK"), 1);
    assert_eq!(list(&mut con, "d").len(), 1);
}

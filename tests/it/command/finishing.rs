//! DONE and CANCEL: whatever state a command is in, it is over once, and the last outcomes stay.

use super::*;

/// What a command may be when it is settled, and how to get one there.
const STATES: [&str; 5] = ["waiting", "delayed", "taken", "lapsed", "dead"];

/// A command of `d` in this state.
#[track_caller]
fn command_in(con: &mut Connection, state: &str) -> String {
    let id = match state {
        "delayed" => give(con, "d {\"x\":1} DELAY 1h"),
        _ => give(con, "d {\"x\":1}"),
    };
    match state {
        "taken" => assert_eq!(take_ids(con, "d LEASE 1h"), [id.as_str()]),
        "lapsed" => {
            assert_eq!(take_ids(con, "d LEASE 1"), [id.as_str()]);
            wait_for_the_leases(con);
        }
        "dead" => wear_out(con, &id),
        _ => {}
    }
    let shown = if state == "lapsed" { "waiting" } else { state };
    let row = list(con, "d").remove(0);
    assert_eq!(
        (row["command_id"].text(), row["state"].text()),
        (id.clone(), shown.to_owned())
    );
    id
}

/// The newest entry of LIST, which is an outcome: id, outcome, result.
#[track_caller]
fn last_outcome(con: &mut Connection) -> (String, String, Option<String>) {
    let row = list(con, "d").pop().expect("an outcome");
    assert_eq!(row["state"].text(), "done");
    let result = match row["result"].is_nil() {
        true => None,
        false => Some(row["result"].text()),
    };
    (row["command_id"].text(), row["outcome"].text(), result)
}

#[test]
fn done_settles_a_command_in_any_state() {
    let (_server, mut con) = with_device();
    for state in STATES {
        for outcome in ["OK", "FAILED", "REJECTED"] {
            let id = command_in(&mut con, state);
            let before = now_ms();
            let words = format!("d {id} {outcome} {{\"why\":[1,{{}}]}}");
            assert_eq!(done(&mut con, &words), 1, "{state}");
            let result = Some("{\"why\":[1,{}]}".to_owned());
            assert_eq!(
                last_outcome(&mut con),
                (id.clone(), outcome.to_owned(), result)
            );
            let finished = list(&mut con, "d").pop().unwrap()["finished"].int();
            assert!((before..=now_ms()).contains(&finished));
            // It is over: it is neither handed out nor settled again, and leaves no queue.
            assert_eq!(done(&mut con, &words), 0, "{state}");
            assert_eq!(cancel(&mut con, "d", &id), 0, "{state}");
            assert_eq!(take(&mut con, "d COUNT 9"), [], "{state}");
            assert_eq!(cmd!(con, "EXISTS device:commands:d").int(), 0, "{state}");
        }
    }
}

#[test]
fn cancel_takes_a_command_back_in_any_state() {
    let (_server, mut con) = with_device();
    for state in STATES {
        let id = command_in(&mut con, state);
        assert_eq!(cancel(&mut con, "d", &id), 1, "{state}");
        assert_eq!(
            last_outcome(&mut con),
            (id.clone(), "CANCELLED".to_owned(), None)
        );
        assert_eq!(cancel(&mut con, "d", &id), 0, "{state}");
        assert_eq!(done(&mut con, &format!("d {id} OK")), 0, "{state}");
        assert_eq!(take(&mut con, "d COUNT 9"), [], "{state}");
        assert_eq!(cmd!(con, "EXISTS device:commands:d").int(), 0, "{state}");
    }
}

#[test]
fn the_others_stay_as_they_are() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 4);
    assert_eq!(take_ids(&mut con, "d COUNT 2 LEASE 1h"), ids[..2]);
    done(&mut con, &format!("d {} OK", ids[1]));
    cancel(&mut con, "d", &ids[2]);
    assert_eq!(states(&mut con), ["taken", "waiting", "done", "done"]);
    assert_eq!(take_ids(&mut con, "d COUNT 9"), ids[3..]);
}

#[test]
fn a_result_is_any_json_value_and_kept_without_white_space() {
    let (_server, mut con) = with_device();
    for (given, kept) in [
        ("7", "7"),
        ("-0.5e3", "-500.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("null", "null"),
        ("\"öko \\u0041\"", "\"öko A\""),
        (
            " { \"b\" : [ 1 , { } ] , \"a\" : true } ",
            "{\"a\":true,\"b\":[1,{}]}",
        ),
    ] {
        let id = give(&mut con, "d {}");
        let reply = cmd!(con, "DEVICE.COMMAND.DONE", "d", &id, "Failed", given);
        assert_eq!(reply.int(), 1, "{given}");
        let outcome = last_outcome(&mut con);
        assert_eq!(outcome, (id, "FAILED".to_owned(), Some(kept.to_owned())));
    }
}

#[test]
fn the_last_16_outcomes_are_kept() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 20);
    for (n, id) in ids.iter().enumerate() {
        match n % 2 {
            0 => assert_eq!(done(&mut con, &format!("d {id} OK {n}")), 1),
            _ => assert_eq!(cancel(&mut con, "d", id), 1),
        }
        assert_eq!(list(&mut con, "d").len(), 19 - n + 16.min(n + 1));
    }
    let rows = list(&mut con, "d");
    let kept: Vec<String> = rows.iter().map(|row| row["command_id"].text()).collect();
    assert_eq!(kept, ids[4..]);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row["command"].text(), format!("{{\"n\":{}}}", n + 4));
        let outcome = ["OK", "CANCELLED"][n % 2];
        assert_eq!(row["outcome"].text(), outcome);
    }
    assert_eq!(cmd!(con, "XLEN device:outcomes:d").int(), 16);
}

/// The order of ends, not of beginnings.
#[test]
fn outcomes_are_in_the_order_in_which_the_commands_ended() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 3);
    for at in [2, 0, 1] {
        done(&mut con, &format!("d {} OK", ids[at]));
    }
    let rows = list(&mut con, "d");
    let order: Vec<String> = rows.iter().map(|row| row["command_id"].text()).collect();
    assert_eq!(order, [ids[2].clone(), ids[0].clone(), ids[1].clone()]);
}

#[test]
fn what_is_no_command_of_the_device_is_not_settled() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {}");
    let before = snapshot(&mut con);
    let (ms, _) = id.split_once('-').expect("ms-seq");
    for other in ["0-0", "1-1", &format!("{ms}-7"), "18446744073709551615-0"] {
        assert_eq!(done(&mut con, &format!("d {other} OK")), 0, "{other}");
        assert_eq!(cancel(&mut con, "d", other), 0, "{other}");
    }
    assert_eq!(before, snapshot(&mut con));
    // The short form of an id, as stream commands take it.
    assert_eq!(done(&mut con, &format!("d {ms} OK")), 1);
}

/// A queue without commands is no key, and the next one began with the ids of the one before.
#[test]
fn commands_given_in_the_same_millisecond_never_share_an_id() {
    let (_server, mut con) = with_device();
    let script =
        "local ids = {} for i = 1, 20 do local id = redis.call('DEVICE.COMMAND', 'd', '{}') \
                  redis.call('DEVICE.COMMAND.DONE', 'd', id, 'OK') ids[i] = id end return ids";
    let ids = cmd!(con, "EVAL", script, 0).texts();
    let different: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!(different.len(), 20, "{ids:?}");
    assert_eq!(cmd!(con, "EXISTS device:commands:d").int(), 0);
}

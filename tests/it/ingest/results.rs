//! Results of commands in a message settle them, in the same step.

use devicestate_proto::v1::{CommandResult, CommandStatus};

use super::*;
use crate::command::{give, list, take, waiting};

fn result(command: &str, status: CommandStatus, detail: Option<&str>) -> CommandResult {
    CommandResult {
        command_id: Some(command.to_owned()),
        status: Some(status as i32),
        detail_json: detail.map(str::to_owned),
    }
}

fn with_results(results: Vec<CommandResult>) -> DeviceMessage {
    DeviceMessage {
        command_results: results,
        ..DeviceMessage::default()
    }
}

/// Three commands of `d`, all of them taken.
#[track_caller]
fn three_taken(con: &mut Connection) -> [String; 3] {
    beat(con, "d");
    let ids = [1, 2, 3].map(|n| give(con, &format!("d {{\"n\":{n}}}")));
    assert_eq!(take(con, "d COUNT 3 LEASE 1h").len(), 3);
    ids
}

/// Id, outcome and result of those that are over.
#[track_caller]
fn outcomes(con: &mut Connection) -> Vec<(String, String, String)> {
    let rows = list(con, "d");
    let over = rows.iter().filter(|row| row["state"].text() == "done");
    over.map(|row| {
        let result = match row["result"].is_nil() {
            true => String::new(),
            false => row["result"].text(),
        };
        (row["command_id"].text(), row["outcome"].text(), result)
    })
    .collect()
}

#[test]
fn one_message_reports_and_settles() {
    let server = Server::start();
    let mut con = server.connection();
    let [a, b, c] = three_taken(&mut con);
    give(&mut con, "d {\"n\":4}");
    let message = DeviceMessage {
        reported_json: Some("{\"led\":\"on\"}".into()),
        ..with_results(vec![
            result(&a, CommandStatus::Ok, Some(" { \"took\" : [ 12 ] } ")),
            result(&b, CommandStatus::Failed, None),
            result(&c, CommandStatus::Rejected, Some("\"why\"")),
        ])
    };
    let reply = ingest(&mut con, &message);
    // One waits still; the reply knows it.
    let numbers = [0, 1, 2, 4].map(|at| reply.at(at).int());
    assert_eq!(numbers, [0, 1, 1, 1]);
    let wanted = [
        (&a, "OK", "{\"took\":[12]}"),
        (&b, "FAILED", ""),
        (&c, "REJECTED", "\"why\""),
    ];
    let wanted =
        wanted.map(|(id, outcome, result)| (id.clone(), outcome.to_owned(), result.to_owned()));
    assert_eq!(outcomes(&mut con), wanted);
    assert_eq!(reported(&mut con), json!({"led": "on"}));
    let told = events_of(&mut con, "d").only(|event| event.fields.contains_key("outcome"));
    assert_eq!(told.field("outcome"), ["OK", "FAILED", "REJECTED"]);
    // The same message once more, as a broker may deliver it: nothing is settled twice.
    let reply = ingest(&mut con, &message);
    assert_eq!((reply.at(1).int(), reply.at(4).int()), (1, 1));
    assert_eq!(outcomes(&mut con), wanted);
    assert_eq!(events_of(&mut con, "d").of_type("command").len(), 7);
}

#[test]
fn a_message_with_nothing_but_results_is_a_heartbeat() {
    let server = Server::start();
    let mut con = server.connection();
    let [a, ..] = three_taken(&mut con);
    cmd!(con, "DEVICE.OFFLINE d").int();
    let reply = ingest(
        &mut con,
        &with_results(vec![result(&a, CommandStatus::Ok, None)]),
    );
    assert_eq!(outcome(&reply), [1, 1, 0]);
    assert_eq!(outcomes(&mut con).len(), 1);
}

#[test]
fn results_that_say_nothing_are_passed_over() {
    let server = Server::start();
    let mut con = server.connection();
    let [a, b, c] = three_taken(&mut con);
    beat(&mut con, "e");
    wait_for_the_clock();
    let of_another = give(&mut con, "e {}");
    let unknown = CommandResult {
        status: Some(99),
        ..result(&b, CommandStatus::Ok, None)
    };
    let unsaid = CommandResult {
        status: None,
        ..result(&c, CommandStatus::Ok, None)
    };
    let results = vec![
        unknown,
        unsaid,
        CommandResult::default(),
        result("", CommandStatus::Ok, None),
        result("no id at all", CommandStatus::Ok, None),
        result("1-1", CommandStatus::Ok, None),
        result(&of_another, CommandStatus::Ok, None),
        result(&a, CommandStatus::Unspecified, None),
        result(&a, CommandStatus::Ok, None),
        result(&a, CommandStatus::Failed, None),
    ];
    ingest(&mut con, &with_results(results));
    assert_eq!(outcomes(&mut con), [(a, "OK".to_owned(), String::new())]);
    assert_eq!(waiting(&mut con, "e"), 1);
}

#[test]
fn ignored_messages_settle_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    let [a, ..] = three_taken(&mut con);
    cmd!(con, "DEVICE.HEARTBEAT d SESSION 5 SEQ 5 REPORTED {}").items();
    let stale = |session, seq| DeviceMessage {
        session: Some(session),
        seq: Some(seq),
        reported_json: Some("{\"x\":1}".into()),
        ..with_results(vec![result(&a, CommandStatus::Ok, None)])
    };
    for (session, seq) in [(4, 9), (5, 5), (5, 0)] {
        let reply = ingest(&mut con, &stale(session, seq));
        assert_eq!(reply.at(1).int(), 0, "{session} {seq}");
        assert_eq!(outcomes(&mut con), [], "{session} {seq}");
    }
    let by_argument = stale(9, 9).encode_to_vec();
    assert_eq!(
        try_ingest(&mut con, &by_argument, "SESSION 4").at(1).int(),
        0
    );
    assert_eq!(outcomes(&mut con), []);
    ingest(&mut con, &stale(5, 6));
    assert_eq!(outcomes(&mut con).len(), 1);
}

#[test]
fn a_detail_that_is_no_json_or_too_large_spoils_the_message() {
    let server = Server::start();
    let mut con = server.connection();
    let [a, b, _] = three_taken(&mut con);
    let large = format!("\"{}\"", "x".repeat(65_535));
    for (detail, code, contains) in [
        ("{", "BADPAYLOAD", "detail_json of command '"),
        ("1 2", "BADPAYLOAD", "detail_json of command '"),
        ("", "BADPAYLOAD", "detail_json of command '"),
        (&large, "TOOLARGE", "detail_json: 65537 bytes"),
    ] {
        let message = DeviceMessage {
            reported_json: Some("{\"x\":1}".into()),
            ..with_results(vec![
                result(&a, CommandStatus::Ok, None),
                result(&b, CommandStatus::Ok, Some(detail)),
            ])
        };
        let payload = message.encode_to_vec();
        expect_refusal(
            &mut con,
            &[b"DEVICE.INGEST", &b"d"[..], &payload],
            code,
            contains,
        );
    }
    let fits = with_results(vec![result(
        &b,
        CommandStatus::Ok,
        Some(&large[1..].replacen('x', "\"", 1)),
    )]);
    ingest(&mut con, &fits);
    assert_eq!(outcomes(&mut con).len(), 1);
}

/// The beat counts, whatever is in the way of its results.
#[test]
fn a_key_of_another_type_keeps_no_message_from_proving_life() {
    let server = Server::start();
    let mut con = server.connection();
    for key in ["device:commands:d", "device:outcomes:d"] {
        cmd!(con, "FLUSHALL").text();
        let [a, ..] = three_taken(&mut con);
        cmd!(con, "DEL", key).int();
        cmd!(con, "SET", key, "x").text();
        let message = DeviceMessage {
            reported_json: Some("{\"x\":1}".into()),
            ..with_results(vec![result(&a, CommandStatus::Ok, None)])
        };
        assert_eq!(outcome(&ingest(&mut con, &message)), [0, 1, 1], "{key}");
        assert_eq!(reported(&mut con), json!({"x": 1}));
        assert_eq!(cmd!(con, "GET", key).text(), "x");
    }
    assert!(server
        .log()
        .contains("the result of a command can't be stored"));
}

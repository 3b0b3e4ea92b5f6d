//! Who is told of a command: the stream of events, the device's channel, keyspace listeners, WATCH,
//! `INFO`.

use super::*;

/// The names of the fields of an entry, as they stand in it.
#[track_caller]
fn names_of_last(con: &mut Connection) -> Vec<String> {
    let entry = cmd!(con, "XREVRANGE devices:events + - COUNT 1").at(0);
    entry.at(1).texts().into_iter().step_by(2).collect()
}

#[test]
fn a_command_that_is_given_is_told() {
    let (server, mut con) = with_device();
    let channel = Subscriber::channels(&server, &["device:d:commands"]);
    let notified = Subscriber::patterns(&server, &["__key*__:device*"]);
    let before = now_ms();
    let id = give(&mut con, "d {\"do\":\"beep\",\"times\":2} DELAY 1h TTL 2h");
    let event = events_of(&mut con, "d").last().expect("an event").clone();
    assert_eq!(event.kind(), "command");
    assert_eq!(event.get("command_id"), id);
    assert_eq!(event.get("command"), "{\"do\":\"beep\",\"times\":2}");
    let at = event.int("timestamp");
    assert!((before..=now_ms()).contains(&at));
    let names = ["type", "device_id", "timestamp", "command_id", "command"];
    assert_eq!(names_of_last(&mut con), names);

    let heard = channel.wait_for_count(1, SOON);
    let message = format!(
        "{{\"type\":\"command\",\"device_id\":\"d\",\"command_id\":\"{id}\",\
         \"command\":{{\"do\":\"beep\",\"times\":2}},\"timestamp\":{at}}}"
    );
    assert_eq!(heard[0].payload, message);
    let heard = notified.wait_for_message("device.command", SOON, |message| {
        message.channel.contains("__keyevent@0__:device.command")
    });
    assert_eq!(heard.payload, "device:state:d");
}

#[test]
fn the_end_of_a_command_is_told_to_all_but_the_device() {
    let (server, mut con) = with_device();
    let channel = Subscriber::channels(&server, &["device:d:commands"]);
    let notified = Subscriber::channels(&server, &["__keyevent@0__:device.command"]);
    let ids = give_many(&mut con, 3);
    done(&mut con, &format!("d {} FAILED {{\"code\":7}}", ids[0]));
    let names = [
        "type",
        "device_id",
        "timestamp",
        "command_id",
        "outcome",
        "result",
    ];
    assert_eq!(names_of_last(&mut con), names);
    done(&mut con, &format!("d {} OK", ids[1]));
    assert_eq!(names_of_last(&mut con), names[..5]);
    cancel(&mut con, "d", &ids[2]);
    // Once each, however often it is said.
    done(&mut con, &format!("d {} OK", ids[1]));
    cancel(&mut con, "d", &ids[2]);

    let told = events_of(&mut con, "d").of_type("command");
    assert_eq!(told.len(), 6);
    let over = told.only(|event| event.fields.contains_key("outcome"));
    assert_eq!(over.field("command_id"), ids);
    assert_eq!(over.field("outcome"), ["FAILED", "OK", "CANCELLED"]);
    assert_eq!(over.field("result"), ["{\"code\":7}", "", ""]);
    notified.wait_for_count(6, SOON);
    // The end is the last thing told, so nothing else can be on its way.
    give(&mut con, "d {\"last\":1}");
    let heard = channel.wait_until("the last one", SOON, |heard| {
        heard.iter().any(|message| message.payload.contains("last"))
    });
    assert_eq!(heard.len(), 4);
    assert_eq!(notified.wait_for_count(7, SOON).len(), 7);
}

#[test]
fn taking_and_looking_tell_nobody() {
    let (server, mut con) = with_device();
    give(&mut con, "d {}");
    let notified = Subscriber::channels(&server, &["__keyevent@0__:device.command"]);
    let before = events(&mut con).len();
    take(&mut con, "d LEASE 1");
    wait_for_the_leases(&mut con);
    take(&mut con, "d");
    list(&mut con, "d");
    assert_eq!(events(&mut con).len(), before);
    give(&mut con, "d {}");
    assert_eq!(notified.wait_for_count(1, SOON).len(), 1);
}

#[test]
fn what_is_long_is_left_out_of_the_stream_but_not_of_the_channel() {
    let (server, mut con) = with_device();
    let channel = Subscriber::channels(&server, &["device:d:commands"]);
    let text = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for (bytes, is_there) in [(1_024, true), (1_025, false)] {
        let json = text(bytes);
        let id = cmd!(con, "DEVICE.COMMAND", "d", &json).text();
        let event = events_of(&mut con, "d").last().expect("an event").clone();
        assert_eq!(event.get("command_id"), id);
        assert_eq!(event.fields.contains_key("command"), is_there);
        let heard = channel.wait_for_message("the command", SOON, |m| m.payload.contains(&id));
        assert_eq!(heard.json()["command"].to_string(), json);

        cmd!(con, "DEVICE.COMMAND.DONE", "d", &id, "OK", &json).int();
        let event = events_of(&mut con, "d").last().expect("an event").clone();
        assert_eq!(event.get("outcome"), "OK");
        assert_eq!(event.fields.contains_key("result"), is_there);
        let row = list(&mut con, "d").pop().expect("an outcome");
        assert_eq!(row["result"].text(), json);
    }
}

#[test]
fn who_watches_the_device_notices() {
    let (server, mut con) = with_device();
    let mut watcher = server.connection();
    let id = give(&mut con, "d {}");
    for line in [
        "DEVICE.COMMAND d {}".to_owned(),
        "DEVICE.COMMAND.TAKE d".to_owned(),
        format!("DEVICE.COMMAND.DONE d {id} OK"),
    ] {
        cmd!(watcher, "WATCH d").text();
        assert!(cmd!(con, &line).is_ok());
        cmd!(watcher, "MULTI").text();
        cmd!(watcher, "PING").text();
        assert!(cmd!(watcher, "EXEC").is_nil(), "{line}");
    }
    // What changes nothing is no change.
    cmd!(watcher, "WATCH d").text();
    done(&mut con, &format!("d {id} OK"));
    list(&mut con, "d");
    cmd!(watcher, "MULTI").text();
    cmd!(watcher, "PING").text();
    assert!(!cmd!(watcher, "EXEC").is_nil());
}

#[test]
fn info_counts_commands_given_and_ended() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 3);
    done(&mut con, &format!("d {} OK", ids[0]));
    done(&mut con, &format!("d {} OK", ids[0]));
    cancel(&mut con, "d", &ids[1]);
    assert!(try_give(&mut con, "d []").is_err());
    assert_eq!(info_number(&mut con, "commands"), 3);
    assert_eq!(info_number(&mut con, "commands_finished"), 2);
}

/// The command is in its queue, which is what counts.
#[test]
fn a_stream_of_events_without_ids_left_keeps_no_command_from_its_device() {
    let (_server, mut con) = with_device();
    let last = "18446744073709551615-18446744073709551615";
    cmd!(con, "XADD devices:events", last, "f", "v").text();
    let id = give(&mut con, "d {}");
    assert_eq!(take_ids(&mut con, "d"), [id.as_str()]);
    assert_eq!(done(&mut con, &format!("d {id} OK")), 1);
    assert_eq!(states(&mut con), ["done"]);
}

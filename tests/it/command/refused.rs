//! What is refused changes nothing: unknown devices, bad words, keys of another type, users without
//! the permission.

use super::*;

#[test]
fn a_device_must_be_registered() {
    let server = Server::start();
    let mut con = server.connection();
    for line in [
        "DEVICE.COMMAND d {}",
        "DEVICE.COMMAND.TAKE d",
        "DEVICE.COMMAND.DONE d 1-0 OK",
        "DEVICE.COMMAND.CANCEL d 1-0",
        "DEVICE.COMMAND.LIST d",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "NODEVICE", "'d'");
    }
    assert_eq!(cmd!(con, "DBSIZE").int(), 0);
}

#[test]
fn words_that_make_no_sense_are_named() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {}");
    let long = "x".repeat(257);
    for (words, code, contains) in [
        (
            &["DEVICE.COMMAND", "d", "{}", "TTL", "0"][..],
            "ERR",
            "TTL: 0 ms",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "TTL"],
            "ERR",
            "TTL is missing",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "TTL", "-1"],
            "ERR",
            "TTL: '-1'",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "TTL", "315360000001"],
            "ERR",
            "10 years",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "DELAY", "soon"],
            "ERR",
            "DELAY: 'soon'",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "DELAY", "315360000001"],
            "ERR",
            "10 years",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "TTL", "1s", "ttl", "1s"],
            "ERR",
            "TTL is given twice",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "DELAY", "1s", "TTL", "1s"],
            "ERR",
            "DELAY: the command would expire",
        ),
        (
            &["DEVICE.COMMAND", "d", "{}", "DELAY", "1d"],
            "ERR",
            "TTL is not longer",
        ),
        (&["DEVICE.COMMAND", "d", "{}", "NOW"], "ERR", "'NOW'"),
        (
            &["DEVICE.COMMAND", "a b", "{}"],
            "ERR",
            "invalid device id: 'a b'",
        ),
        (&["DEVICE.COMMAND", "{d}", "{}"], "ERR", "invalid device id"),
        (&["DEVICE.COMMAND", &long, "{}"], "ERR", "invalid device id"),
        (
            &["DEVICE.COMMAND.TAKE", "", "COUNT", "1"],
            "ERR",
            "invalid device id",
        ),
        (
            &["DEVICE.COMMAND.TAKE", "d", "COUNT", "0"],
            "ERR",
            "COUNT: '0'",
        ),
        (
            &["DEVICE.COMMAND.TAKE", "d", "COUNT", "10001"],
            "ERR",
            "COUNT: '10001'",
        ),
        (
            &["DEVICE.COMMAND.TAKE", "d", "LEASE", "0"],
            "ERR",
            "LEASE: 0 ms",
        ),
        (
            &["DEVICE.COMMAND.TAKE", "d", "LEASE", "315360000001"],
            "ERR",
            "10 years",
        ),
        (
            &["DEVICE.COMMAND.TAKE", "d", "COUNT", "1", "COUNT", "1"],
            "ERR",
            "twice",
        ),
        (&["DEVICE.COMMAND.TAKE", "d", "worker"], "ERR", "'worker'"),
        (
            &["DEVICE.COMMAND.DONE", "d", &id, "MAYBE"],
            "ERR",
            "'MAYBE'",
        ),
        (
            &["DEVICE.COMMAND.DONE", "d", &id, "CANCELLED"],
            "ERR",
            "'CANCELLED'",
        ),
        (
            &["DEVICE.COMMAND.DONE", "d", &id, "OK", "1", "2"],
            "ERR",
            "'2'",
        ),
        (
            &["DEVICE.COMMAND.DONE", "d", "x", "OK"],
            "ERR",
            "command id: 'x'",
        ),
        (
            &["DEVICE.COMMAND.DONE", "d", "-", "OK"],
            "ERR",
            "command id: '-'",
        ),
        (
            &["DEVICE.COMMAND.DONE", "d", "1-0-0", "OK"],
            "ERR",
            "command id",
        ),
        (
            &["DEVICE.COMMAND.CANCEL", "d", "+"],
            "ERR",
            "command id: '+'",
        ),
        (&["DEVICE.COMMAND.CANCEL", "d", ""], "ERR", "command id"),
        (
            &["DEVICE.COMMAND.CANCEL", "d", &id, "x"],
            "ERR",
            "wrong number",
        ),
        (&["DEVICE.COMMAND.LIST", "d", "x"], "ERR", "wrong number"),
        (&["DEVICE.COMMAND", "d"], "ERR", "wrong number"),
        (&["DEVICE.COMMAND.DONE", "d", &id], "ERR", "wrong number"),
    ] {
        expect_refusal(&mut con, words, code, contains);
    }
    assert_eq!(take_ids(&mut con, "d"), [id]);
}

#[test]
fn a_command_is_a_json_object_within_the_limits() {
    let (_server, mut con) = with_device();
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let large = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    for (json, code, contains) in [
        ("", "BADJSON", "json: "),
        (
            "[]",
            "BADJSON",
            "json: not a JSON object at line 1 column 1",
        ),
        ("7", "BADJSON", "json: not a JSON object"),
        ("{\"a\":1,\"a\":2}", "BADJSON", "duplicate key"),
        ("{\"a\":[1,", "BADJSON", "line 1 column"),
        (
            "{\"a\":123456789012345678901234567890}",
            "BADJSON",
            "number",
        ),
        ("{\"a\":\"\u{1}\"}", "BADJSON", "line 1"),
        (&deep(17), "BADJSON", "json: "),
        (&large(65_537), "TOOLARGE", "json: 65537 bytes"),
        (&large(700_000), "TOOLARGE", "json: 700000 bytes"),
    ] {
        expect_refusal(&mut con, &["DEVICE.COMMAND", "d", json], code, contains);
    }
    expect_refusal(
        &mut con,
        &[&b"DEVICE.COMMAND"[..], b"d", b"{\"a\":\"\xff\"}"],
        "BADJSON",
        "",
    );
    for json in [deep(16), large(65_536), "{}".to_owned()] {
        let id = cmd!(con, "DEVICE.COMMAND", "d", &json).text();
        assert_eq!(take(&mut con, "d"), [(id, json, 1)]);
    }
}

#[test]
fn a_result_is_a_json_value_within_the_limits() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {}");
    let large = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    for (json, code, contains) in [
        ("", "BADJSON", "json: "),
        ("OK", "BADJSON", "json: "),
        ("1 2", "BADJSON", "json: "),
        (&"[".repeat(17), "BADJSON", "json: "),
        (&large(65_537), "TOOLARGE", "json: 65537 bytes"),
    ] {
        let words = ["DEVICE.COMMAND.DONE", "d", &id, "OK", json];
        expect_refusal(&mut con, &words, code, contains);
    }
    let reply = cmd!(con, "DEVICE.COMMAND.DONE", "d", &id, "OK", large(65_536));
    assert_eq!(reply.int(), 1);
}

#[test]
fn keys_of_another_type_are_refused_and_left_alone() {
    let (_server, mut con) = with_device();
    let calls = |id: &str| {
        [
            "DEVICE.COMMAND d {}".to_owned(),
            "DEVICE.COMMAND d {} DELAY 1s".to_owned(),
            "DEVICE.COMMAND.TAKE d".to_owned(),
            format!("DEVICE.COMMAND.DONE d {id} OK"),
            format!("DEVICE.COMMAND.CANCEL d {id}"),
            "DEVICE.COMMAND.LIST d".to_owned(),
            "DEVICE.REMOVE d".to_owned(),
        ]
    };
    for (key, refused) in [
        ("device:commands:d", &[0, 1, 2, 3, 4, 5, 6][..]),
        ("device:outcomes:d", &[3, 4, 5, 6]),
        ("devices:events", &[0, 1, 3, 4, 6]),
        ("device:state:d", &[0, 1, 2, 3, 4, 5, 6]),
    ] {
        for at in refused {
            cmd!(con, "FLUSHALL").text();
            beat(&mut con, "d");
            let id = give(&mut con, "d {}");
            cmd!(con, "DEL", key).int();
            cmd!(con, "SET", key, "x").text();
            let line = &calls(&id)[*at];
            let words: Vec<&str> = line.split(' ').collect();
            expect_refusal(&mut con, &words, "WRONGTYPE", key);
        }
    }
    // A device with such a key lives all the same, and has no commands.
    cmd!(con, "FLUSHALL").text();
    beat(&mut con, "d");
    cmd!(con, "SET device:commands:d x").text();
    assert_eq!(waiting(&mut con, "d"), 0);
    assert_eq!(cmd!(con, "DEVICE.HEARTBEAT d REPORTED {}").at(4).int(), 0);
}

/// A stream whose groups are not ours is no queue of commands.
#[test]
fn foreign_groups_are_left_alone() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {}");
    cmd!(con, "XGROUP CREATE device:commands:d work 0").text();
    for line in [
        "DEVICE.COMMAND.TAKE d".to_owned(),
        "DEVICE.COMMAND d {} DELAY 1s".to_owned(),
        format!("DEVICE.COMMAND.DONE d {id} OK"),
        format!("DEVICE.COMMAND.CANCEL d {id}"),
        "DEVICE.COMMAND.LIST d".to_owned(),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &words, "WRONGTYPE", "its group work");
    }
    assert_eq!(waiting(&mut con, "d"), 0);
}

#[test]
fn they_work_in_database_0_only() {
    let (server, mut con) = with_device();
    let id = give(&mut con, "d {}");
    let before = snapshot(&mut con);
    let mut elsewhere = server.connection_to_db(1);
    for line in [
        "DEVICE.COMMAND d {}".to_owned(),
        "DEVICE.COMMAND.TAKE d".to_owned(),
        format!("DEVICE.COMMAND.DONE d {id} OK"),
        format!("DEVICE.COMMAND.CANCEL d {id}"),
        "DEVICE.COMMAND.LIST d".to_owned(),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut elsewhere, &words, "ERR", "database 0");
    }
    assert_eq!(before, snapshot(&mut con));
}

#[test]
fn a_user_needs_the_id_and_reading_is_enough_to_list() {
    let (server, mut con) = with_device();
    beat(&mut con, "other");
    let calls = |id: &str| {
        [
            format!("DEVICE.COMMAND.LIST {id}"),
            format!("DEVICE.COMMAND {id} {{}}"),
            format!("DEVICE.COMMAND.TAKE {id}"),
            format!("DEVICE.COMMAND.DONE {id} 1-0 OK"),
            format!("DEVICE.COMMAND.CANCEL {id} 1-0"),
        ]
    };
    let mut tenant = server.connection();
    cmd!(con, "ACL SETUSER tenant on >secret +@all ~d").text();
    cmd!(tenant, "AUTH tenant secret").text();
    // Who takes needs the queue as well.
    expect_error(
        &mut tenant,
        &["DEVICE.COMMAND.TAKE", "d"],
        "NOPERM",
        "device:commands:d",
    );
    cmd!(con, "ACL SETUSER tenant ~device:commands:d").text();
    for line in calls("d") {
        assert!(cmd!(tenant, &line).is_ok(), "{line}");
    }
    let before = snapshot(&mut con);
    let mut forbidden = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        expect_error(&mut tenant, &words, "NOPERM", "");
    };
    for line in calls("other") {
        forbidden(&line);
    }
    // The other keys behind it are none of the tenant's.
    forbidden("XRANGE device:outcomes:d - +");
    cmd!(con, "ACL SETUSER tenant resetkeys %R~d").text();
    for line in &calls("d")[1..] {
        forbidden(line);
    }
    assert_eq!(before, snapshot(&mut con));
    assert!(cmd!(tenant, "DEVICE.COMMAND.LIST d").is_ok());
}

#[test]
fn over_maxmemory_nothing_is_given_but_what_waits_can_be_taken_and_settled() {
    let (_server, mut con) = with_device();
    let ids = give_many(&mut con, 2);
    cmd!(con, "CONFIG SET maxmemory 1").text();
    let error = cmd!(con, "DEVICE.COMMAND d {}").expect_err("no memory");
    assert_eq!(error.code(), Some("OOM"));
    assert_eq!(take_ids(&mut con, "d COUNT 2"), ids);
    assert_eq!(done(&mut con, &format!("d {} OK 1", ids[0])), 1);
    assert_eq!(cancel(&mut con, "d", &ids[1]), 1);
    assert_eq!(states(&mut con), ["done", "done"]);
}

/// A stream of outcomes whose ids are used up takes none any more: the command stays as it is.
#[test]
fn what_has_no_room_for_its_outcome_is_not_over() {
    let (_server, mut con) = with_device();
    let id = give(&mut con, "d {\"n\":1}");
    cmd!(
        con,
        "XADD device:outcomes:d 18446744073709551615-18446744073709551615 f v"
    )
    .text();
    for words in [
        &["DEVICE.COMMAND.DONE", "d", &id, "OK"][..],
        &["DEVICE.COMMAND.CANCEL", "d", &id],
    ] {
        expect_refusal(&mut con, words, "ERR", "");
    }
    cmd!(con, "DEL device:outcomes:d").int();
    assert_eq!(take_ids(&mut con, "d"), [id.as_str()]);
    assert_eq!(done(&mut con, &format!("d {id} OK")), 1);
    assert_eq!(states(&mut con), ["done"]);
}

//! Ids and types: what is no name, and what is one although it looks odd.

use redis::Connection;

use super::{populate, WITH_ID};
use crate::devices::*;
use crate::support::*;

/// What may not be an id or a type.
fn bad_names() -> Vec<Vec<u8>> {
    let mut bad: Vec<Vec<u8>> = [
        "",
        " ",
        "a b",
        " a",
        "a ",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\r\nb",
        "\0",
        "a\0b",
        "a\x01b",
        "a\x7fb",
        "{",
        "}",
        "{a}",
        "a{b",
        "a}b",
        "a\u{a0}b",
        "a\u{2003}b",
        "a\u{2028}b",
        "a\u{85}b",
        "a\u{9f}b",
    ]
    .map(|name| name.as_bytes().to_vec())
    .to_vec();
    bad.push(vec![b'x'; 257]);
    bad.push("é".repeat(129).into_bytes());
    // No UTF-8: a lone byte, a cut one, a surrogate, an overlong slash, beyond the last character.
    for bytes in [
        &b"\xff"[..],
        b"a\xc3",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xf4\x90\x80\x80",
    ] {
        bad.push(bytes.to_vec());
    }
    bad.push(vec![b'x'; 1 << 20]);
    bad
}

/// Names that some code somewhere might trip over.
fn odd_names() -> Vec<String> {
    let mut odd: Vec<String> = [
        "%n%s%d",
        "%",
        "%%",
        "📟",
        "👩‍🚀",
        "温度計-7",
        "é",
        "'",
        "\"",
        "\\",
        "a\\nb",
        "*",
        "?",
        "[a-z]",
        "a:b",
        ":",
        "0",
        "-1",
        "1e3",
        "nil",
        "(nil)",
        "$-1",
        "+OK",
        "-ERR",
        "<id>",
        "../../x",
        "a/b",
        "#$%&()=~^|@`;,.!",
        "TIMEOUT",
        "device:state:x",
        "null",
        "true",
    ]
    .map(str::to_owned)
    .to_vec();
    odd.push("x".repeat(256));
    odd.push("é".repeat(128));
    odd.push("📟".repeat(64));
    odd
}

/// An error must be one line that any client library can show.
fn assert_is_shown_well(error: &str) {
    let plain = error.chars().all(|c| !c.is_control());
    assert!(plain && error.len() < 1_000, "{error:?}");
}

#[test]
fn what_is_no_id_is_refused_by_every_command() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for name in bad_names() {
        for (command, rest) in WITH_ID {
            let mut words: Vec<&[u8]> = vec![command.as_bytes(), &name];
            words.extend(rest.iter().map(|word| word.as_bytes()));
            assert_is_shown_well(&expect_error(&mut con, &words, "ERR", "invalid device id"));
        }
        let words = [&b"DEVICE.MGET"[..], b"online", &name];
        expect_refusal(&mut con, &words, "ERR", "invalid device id");
        let words = [&b"DEVICE.HEARTBEAT"[..], &name, b"REPORTED", b"{}"];
        expect_refusal(&mut con, &words, "ERR", "invalid device id");
    }
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 2);
}

#[test]
fn what_is_no_type_is_refused_by_every_command() {
    let server = Server::start();
    let mut con = server.connection();
    populate(&mut con);
    for name in bad_names() {
        for before in [
            "DEVICE.REGISTER d",
            "DEVICE.REGISTER online",
            "DEVICE.TYPE.GET",
            "DEVICE.TYPE.DEL",
            "DEVICE.TYPE.SET",
            "DEVICE.LIST TYPE",
            "DEVICE.COUNT TYPE",
        ] {
            let mut words: Vec<&[u8]> = before.split(' ').map(str::as_bytes).collect();
            words.push(&name);
            if before.ends_with("SET") {
                words.extend([&b"TIMEOUT"[..], b"1h"]);
            }
            let error = expect_refusal(&mut con, &words, "ERR", "invalid device type");
            assert_is_shown_well(&error);
        }
    }
}

/// The whole life of a device with this id and this type.
#[track_caller]
fn live(con: &mut Connection, name: &str) {
    for command in ["DEVICE.OFFLINE", "DEVICE.WHY"] {
        assert_is_shown_well(&expect_error(con, &[command, name], "NODEVICE", "'"));
    }
    assert_eq!(cmd!(con, "DEVICE.REGISTER", name, name).int(), 1);
    let report = cmd!(con, "DEVICE.HEARTBEAT", name, "REPORTED", r#"{"a":"%n"}"#);
    assert_eq!(outcome(report.value()), [1, 1, 1]);
    let both = cmd!(con, "DEVICE.GET", name, "device_id", "device_type");
    assert_eq!(both.texts(), [name, name]);
    assert_eq!(cmd!(con, "DEVICE.MGET", name, name).items().len(), 2);
    assert_eq!(
        cmd!(con, "DEVICE.WHY", name).fields()["device_id"].text(),
        name
    );
    for list in [
        "DEVICE.LIST",
        "DEVICE.LIST ONLINE",
        "DEVICE.LIST ONLINE STALE 0",
    ] {
        assert_eq!(
            cmd!(con, list, "TYPE", name).at(1).texts(),
            [name],
            "{list}"
        );
    }
    assert_eq!(cmd!(con, "DEVICE.COUNT", "TYPE", name).int(), 1);
    assert_eq!(
        cmd!(con, "DEVICE.TYPE.SET", name, "TIMEOUT", "1h").text(),
        "OK"
    );
    assert_eq!(
        cmd!(con, "DEVICE.TYPE.GET", name).fields()["type"].text(),
        name
    );
    assert_eq!(cmd!(con, "DEVICE.TYPE.DEL", name).int(), 1);
    let wrong = ["DEVICE.HEARTBEAT", name, "REPORTED", "{"];
    expect_error(con, &wrong, "BADJSON", "line 1");
    assert_eq!(cmd!(con, "DEVICE.OFFLINE", name, "REASON", name).int(), 1);
    // The cursor behind a page carries the id.
    let page = cmd!(con, "DEVICE.LIST", "OFFLINE", "COUNT", 1);
    assert_eq!(page.at(1).texts(), [name]);
    let rest = cmd!(con, "DEVICE.LIST OFFLINE COUNT 1 CURSOR", page.at(0).text());
    assert_eq!(rest.value().at(1).items().len(), 0);
    assert_eq!(cmd!(con, "DEVICE.REMOVE", name).int(), 1);
}

#[test]
fn odd_names_are_good_everywhere() {
    let mut server = Server::start();
    let told = Subscriber::channels(&server, &["devices:presence", "devices:status"]);
    let notified = Subscriber::patterns(&server, &["__keyevent@0__:device.removed"]);
    let mut con = server.connection();
    for (turn, name) in odd_names().iter().enumerate() {
        live(&mut con, name);
        let messages = told.wait_for_count(3 * turn + 3, SOON);
        assert!(messages
            .iter()
            .rev()
            .take(3)
            .all(|m| m.json()["device_id"] == *name));
        let key = &notified.wait_for_count(turn + 1, SOON)[turn].payload;
        assert_eq!(*key, format!("device:state:{name}"));
        assert_eq!(events_of(&mut con, name).len(), 4);
    }
    // Nothing is left of any of them.
    assert_eq!(cmd!(con, "KEYS", "*").texts(), ["devices:events"]);
    assert!(server.is_alive());
}

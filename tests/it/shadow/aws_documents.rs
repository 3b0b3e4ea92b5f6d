//! `DEVICE.SHADOW.UPDATE`: request documents as AWS devices send them, the accepted documents, and
//! the errors with AWS's numbers. <https://docs.aws.amazon.com/iot/latest/developerguide/device-shadow-document.html>

use serde_json::{json, Value};

use super::*;

#[test]
fn the_accepted_document_is_what_the_request_carried() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"old": 1}));
    report(&mut con, "d", json!({"older": 2}));
    let before = now_ms();
    let state = json!({
        "desired": {"color": {"r": 255}, "old": null},
        "reported": {"color": {"r": 0, "list": [1, "x"]}},
    });
    let request = json!({"state": state, "clientToken": "token-1", "version": 2});
    let accepted = update(&mut con, "d", request);
    let time = accepted["timestamp"].as_i64().expect("a time");
    assert!((before..=now_ms()).contains(&time), "{accepted}");
    let leaf = json!({"timestamp": time});
    assert_eq!(
        accepted,
        json!({
            "state": state,
            "metadata": {
                "desired": {"color": {"r": leaf}, "old": leaf},
                "reported": {"color": {"r": leaf, "list": [leaf, leaf]}},
            },
            "version": 3,
            "timestamp": time,
            "clientToken": "token-1",
        })
    );
}

#[test]
fn one_section_is_answered_alone() {
    let server = Server::start();
    let mut con = server.connection();
    for (turn, section) in ["desired", "reported"].into_iter().enumerate() {
        let accepted = update(&mut con, "d", json!({"state": {section: {"a": 1}}}));
        let time = &accepted["timestamp"];
        let expected = json!({
            "state": {section: {"a": 1}},
            "metadata": {section: {"a": {"timestamp": time}}},
            "version": turn + 1,
            "timestamp": time,
        });
        assert_eq!(accepted, expected);
    }
    let both = json!({"desired": {"a": 1}, "reported": {"a": 1}});
    assert_eq!(state(&mut con, "d"), both);
}

#[test]
fn a_null_state_is_echoed_with_one_time() {
    let server = Server::start();
    let mut con = server.connection();
    set(&mut con, "d", json!({"a": 1}));
    let accepted = update(&mut con, "d", json!({"state": null, "clientToken": ""}));
    let time = &accepted["timestamp"];
    let expected = json!({
        "state": null,
        "metadata": {"timestamp": time},
        "version": 2,
        "timestamp": time,
        "clientToken": "",
    });
    assert_eq!(accepted, expected);
}

#[test]
fn both_sections_are_one_step_of_the_version() {
    let server = Server::start();
    let mut con = server.connection();
    let request = json!({"state": {"desired": {"a": 1, "b": 2}, "reported": {"a": 1}}});
    assert_eq!(update(&mut con, "d", request.clone())["version"], 1);
    assert_eq!(update(&mut con, "d", request)["version"], 2);
    assert_eq!(state(&mut con, "d")["delta"], json!({"b": 2}));
    assert!(is_out_of_sync(&mut con, "d"));
    // Told once, not once for each section.
    let told = events_of(&mut con, "d").of_type("delta");
    assert!(
        told.iter().all(|event| event.get("delta") == "{\"b\":2}"),
        "{told:?}"
    );
    assert_eq!(
        told.iter()
            .filter(|event| event.int("version") == 1)
            .count(),
        1
    );
}

#[test]
fn a_client_token_of_64_bytes_is_echoed_as_it_came() {
    let server = Server::start();
    let mut con = server.connection();
    for token in ["", "x", "%n%s \"\\ \u{0}\n📟", &"é".repeat(32)] {
        let accepted = update(&mut con, "d", json!({"state": {}, "clientToken": token}));
        assert_eq!(accepted["clientToken"], token);
    }
    let accepted = update(&mut con, "d", json!({"state": {}}));
    assert_eq!(accepted.get("clientToken"), None);
    // It is the request's, and nobody stores it.
    assert!(!get(&mut con, "d").to_string().contains("clientToken"));
}

#[test]
fn named_shadows_take_request_documents_too() {
    let server = Server::start();
    let mut con = server.connection();
    let request = json!({"state": {"desired": {"a": 1}}, "version": 1});
    assert_eq!(
        update_with(&mut con, "d", request.clone(), "NAME n")["version"],
        1
    );
    assert_eq!(get(&mut con, "d"), Value::Null);
    let words = [
        "DEVICE.SHADOW.UPDATE",
        "d",
        &request.to_string(),
        "NAME",
        "m",
    ];
    assert!(con.run(Cmd::new().arg(&words)).is_ok());
    let late = request
        .to_string()
        .replace("\"version\":1", "\"version\":3");
    let words = ["DEVICE.SHADOW.UPDATE", "d", &late, "NAME", "n"];
    expect_refusal(&mut con, &words, "VERSIONCONFLICT", "409 Version conflict");
}

#[test]
fn the_accepted_document_is_in_this_order() {
    let server = Server::start();
    let mut con = server.connection();
    let request = "{\"clientToken\":\"t\",\"version\":1,\"state\":{\"desired\":{\"a\":1}}}";
    let accepted = cmd!(con, "DEVICE.SHADOW.UPDATE", "d", request).text();
    let places = [
        "{\"state\":",
        ",\"metadata\":",
        ",\"version\":",
        ",\"timestamp\":",
        ",\"clientToken\":",
    ]
    .map(|part| accepted.rfind(part));
    assert!(places.iter().all(Option::is_some), "{accepted}");
    assert!(places[0] == Some(0), "{accepted}");
}

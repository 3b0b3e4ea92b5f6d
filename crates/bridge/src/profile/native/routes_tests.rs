use super::*;

const PROTO: &str = "syntax = \"proto3\"; package acme; message A {} message B {}";

fn load(prefix: &str, rules: &str) -> Result<(Routes, Vec<String>), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.proto"), PROTO).unwrap();
    let config = toml::from_str(&format!("files = [\"a.proto\"]\n{rules}")).unwrap();
    Routes::load(prefix, &config, folder.path())
}

fn routes(rules: &str) -> Routes {
    load("devices", rules).unwrap().0
}

fn error(rules: &str) -> String {
    let reason = load("devices", rules).unwrap_err();
    assert_eq!(reason.lines().count(), 1, "{reason}");
    reason
}

/// `device kind format`, or why not.
fn found(routes: &Routes, topic: &str, content_type: Option<&str>) -> String {
    let route = match routes.find(topic.as_bytes(), content_type) {
        Ok(route) => route,
        Err(error) => return error.to_string(),
    };
    let format = match route.format {
        Ok(Format::Json) => "json".to_owned(),
        Ok(Format::Protobuf(schema)) => schema.name().to_owned(),
        Ok(Format::ByDeviceType(types)) => {
            let names: Vec<_> = types.schemas().map(|schema| schema.name()).collect();
            format!("one of {}", names.join(", "))
        }
        Err(reason) => reason.to_owned(),
    };
    format!("{} {} {format}", route.device, route.kind.name())
}

const RULES: &str = r#"
    [[rule]]
    topic = "plant/+/{device}/up"
    message = "acme.A"
    [[rule]]
    content_type = "application/x-acme; v=2"
    message = "acme.B"
    [[rule]]
    content_type = "application/x-acme"
    message = "acme.A"
"#;

#[test]
fn without_rules_reports_are_json() {
    let routes = routes("");
    let plain = Topics::new("devices").filters();
    assert_eq!(routes.filters(), plain);
    for content_type in [None, Some(""), Some("text/plain"), Some("application/json")] {
        let report = found(&routes, "devices/a/reported", content_type);
        assert_eq!(report, "a reported json");
    }
    assert_eq!(found(&routes, "devices/a/will", None), "a will json");
}

#[test]
fn a_rule_adds_a_topic() {
    let routes = routes(RULES);
    assert_eq!(routes.filters()[5..], ["plant/+/+/up"]);
    assert_eq!(
        found(&routes, "plant/7/a%2Fb/up", None),
        "a/b reported acme.A"
    );
    assert_eq!(
        found(&routes, "devices/a/reported", None),
        "a reported json"
    );
    let encoding = found(&routes, "plant/7/a%/up", None);
    assert!(encoding.contains("hexadecimal"), "{encoding}");
    let other = found(&routes, "plant/7/a/down", None);
    assert!(other.contains("outside the prefix"), "{other}");
    let raw = routes.find(b"plant/7/\xff/up", None);
    assert!(raw.is_err_and(|error| error == TopicError::NotUtf8));
}

#[test]
fn a_rule_takes_over_the_topic_of_reports() {
    let routes = routes("[[rule]]\ntopic = \"devices/{device}/reported\"\nmessage = \"acme.A\"");
    assert_eq!(routes.filters(), Topics::new("devices").filters());
    assert_eq!(
        found(&routes, "devices/a/reported", None),
        "a reported acme.A"
    );
    assert_eq!(
        found(&routes, "devices/a/heartbeat", None),
        "a heartbeat json"
    );
}

#[test]
fn a_content_type_comes_before_the_rule() {
    let routes = routes(RULES);
    for (topic, content_type, format) in [
        ("plant/7/a/up", "application/x-acme;v=2", "acme.B"),
        ("plant/7/a/up", "Application/X-Acme; V=2", "acme.B"),
        ("plant/7/a/up", "application/x-acme; v=3", "acme.A"),
        ("plant/7/a/up", "application/json; charset=utf-8", "json"),
        ("plant/7/a/up", "application/protobuf", "acme.A"),
        ("plant/7/a/up", "application/octet-stream", "acme.A"),
        ("devices/a/reported", "application/x-acme;v=2", "acme.B"),
        ("devices/a/reported", "application/octet-stream", "json"),
    ] {
        let expected = format!("a reported {format}");
        assert_eq!(
            found(&routes, topic, Some(content_type)),
            expected,
            "{content_type}"
        );
    }
    let heartbeat = found(&routes, "devices/a/heartbeat", Some("application/x-acme"));
    assert_eq!(heartbeat, "a heartbeat json");
}

#[test]
fn protobuf_that_no_rule_names_is_refused() {
    for content_type in PROTOBUF {
        let reason = found(&routes(RULES), "devices/a/reported", Some(content_type));
        assert!(
            reason.ends_with("no rule says which message it is"),
            "{reason}"
        );
    }
}

#[test]
fn ambiguous_rules_are_refused() {
    let two = |a: &str, b: &str| {
        error(&format!(
            "[[rule]]\n{a}\nmessage = \"acme.A\"\n[[rule]]\n{b}\nmessage = \"acme.A\""
        ))
    };
    assert_eq!(
        two("topic = \"a/{device}/+\"", "topic = \"a/+/{device}\""),
        "protobuf.rule 2: ambiguous, some topics match both 'a/+/{device}' and 'a/{device}/+' of \
         an earlier rule"
    );
    let told = two("content_type = \"a/b; c\"", "content_type = \"A/B;c\"");
    assert!(
        told.starts_with("protobuf.rule 2: ambiguous, an earlier rule"),
        "{told}"
    );
    for topic in [
        "devices/{device}/will",
        "devices/{device}/delta",
        "devices/{device}/commands/+/result",
        "devices/{device}/+/+",
        "devices/{device}/+",
        "{device}/a/reported",
    ] {
        let told = error(&format!(
            "[[rule]]\ntopic = \"{topic}\"\nmessage = \"acme.A\""
        ));
        assert!(
            told.contains("and the bridge's own 'devices/{device}/"),
            "{told}"
        );
    }
}

#[test]
fn rules_that_cannot_work_are_refused() {
    for (rule, reason) in [
        ("", "needs a topic, a device_type or both"),
        (
            "topic = \"a/{device}\"\ncontent_type = \"a/b\"",
            "or else a content_type",
        ),
        ("topic = \"a/b\"", "the topic 'a/b' has no level {device}"),
        ("content_type = \" \"", "is not protobuf"),
        ("content_type = \"Application/JSON; x\"", "is not protobuf"),
    ] {
        let told = error(&format!("[[rule]]\nmessage = \"acme.A\"\n{rule}"));
        assert!(told.starts_with("protobuf.rule 1: "), "{told}");
        assert!(told.contains(reason), "{told}");
    }
    let told = error("[[rule]]\ntopic = \"a/{device}\"\nmessage = \"A\"");
    assert!(told.contains("did you mean 'acme.A'?"), "{told}");
}

const TYPED: &str = r#"
    [[rule]]
    device_type = "pump"
    message = "acme.A"
    [[rule]]
    device_type = "lamp"
    message = "acme.B"
    [[rule]]
    topic = "plant/{device}/up"
    device_type = "pump"
    message = "acme.B"
"#;

#[test]
fn reports_that_say_protobuf_are_read_by_the_type_of_their_device() {
    let routes = routes(TYPED);
    let on = |topic, content_type| found(&routes, topic, content_type);
    let protobuf = Some("application/x-protobuf");
    let both = "a reported one of acme.B, acme.A";
    assert_eq!(on("devices/a/reported", protobuf), both);
    assert_eq!(on("devices/a/reported", None), "a reported json");
    assert_eq!(on("devices/a/heartbeat", protobuf), "a heartbeat json");
    for content_type in [None, protobuf, Some("text/plain")] {
        let found = on("plant/a/up", content_type);
        assert_eq!(found, "a reported one of acme.B");
    }
    let json = on("plant/a/up", Some("application/json"));
    assert_eq!(json, "a reported json");
}

#[test]
fn no_device_type_may_mean_two_things() {
    for (more, reason) in [
        ("device_type = \"pump\"", "device type 'pump', too"),
        (
            "topic = \"plant/{device}/up\"\ndevice_type = \"pump\"",
            "device type 'pump', too",
        ),
        ("topic = \"plant/{device}/up\"", "some topics match both"),
        (
            "topic = \"plant/+/{device}\"\ndevice_type = \"lamp\"",
            "some topics match both",
        ),
        (
            "content_type = \"x/y\"\ndevice_type = \"lamp\"",
            "needs a topic, a device_type or both",
        ),
        ("", "needs a topic"),
    ] {
        let error = error(&format!(
            "{TYPED}\n[[rule]]\nmessage = \"acme.A\"\n{more}\n"
        ));
        assert!(error.contains(reason), "{more}: {error}");
    }
}

//! Devices that speak with the AWS IoT Device Shadow service, against a real broker and a real
//! server. The numbers are those of the vectors that AWS's own documents and implementations give.

mod support;

use redis::Value;
use serde_json::{json, Value as Json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use support::bridge::Bridge;
use support::broker::Broker;
use support::server::Server;
use support::subscriber::Subscriber;
use support::wait_until;

const PROFILE: &str = "profiles = [\"aws-shadow\"]\n";
const LAMP: &str = "$aws/things/lamp-1/shadow";

/// Hears all that is published below `$aws`, and gives out each message once.
struct Listener {
    subscriber: Subscriber,
    /// How many were given out, by topic.
    taken: RefCell<HashMap<String, usize>>,
}

impl Listener {
    fn start(broker: &Broker) -> Listener {
        Listener {
            subscriber: Subscriber::start(broker, &["$aws/things/#"]),
            taken: RefCell::default(),
        }
    }

    /// The next message on this topic, once it is there.
    #[track_caller]
    fn next(&self, topic: &str) -> Json {
        let mut taken = self.taken.borrow_mut();
        let taken = taken.entry(topic.to_owned()).or_default();
        let mut found = None;
        wait_until(&format!("a message on {topic}"), || {
            found = self.subscriber.on(topic).into_iter().nth(*taken);
            found.is_some()
        });
        *taken += 1;
        serde_json::from_str(&found.unwrap()).unwrap()
    }

    /// How many on this topic were not given out.
    fn count(&self, topic: &str) -> usize {
        let taken = self.taken.borrow().get(topic).copied();
        self.subscriber.count(topic) - taken.unwrap_or_default()
    }
}

/// A device, an application and all that is between them.
struct Site {
    broker: Broker,
    server: Server,
    bridge: Bridge,
    listener: Listener,
}

impl Site {
    fn start(config: &str) -> Site {
        Site::with(Broker::start(), Server::start(), config)
    }

    fn with(broker: Broker, server: Server, config: &str) -> Site {
        let bridge = Bridge::start(&broker.url(), &server.url(), config);
        let listener = Listener::start(&broker);
        Site {
            broker,
            server,
            bridge,
            listener,
        }
    }

    /// Asks below the shadow's topic, and returns the answer: which of them, and what it says.
    #[track_caller]
    fn ask(&self, shadow: &str, operation: &str, payload: &str) -> (&'static str, Json) {
        let topic = format!("{shadow}/{operation}");
        self.broker.publish(&topic, payload);
        let mut answer = "";
        wait_until(&format!("an answer to {topic} {payload}"), || {
            let told = |last: &&str| self.listener.count(&format!("{topic}/{last}")) > 0;
            let found = ["accepted", "rejected"].into_iter().find(told);
            answer = found.unwrap_or_default();
            found.is_some()
        });
        (answer, self.listener.next(&format!("{topic}/{answer}")))
    }

    #[track_caller]
    fn accepted(&self, shadow: &str, operation: &str, payload: &str) -> Json {
        let (answer, body) = self.ask(shadow, operation, payload);
        assert_eq!(answer, "accepted", "{payload}: {body}");
        body
    }

    /// The code and the message.
    #[track_caller]
    fn rejected(&self, shadow: &str, operation: &str, payload: &str) -> (u64, String) {
        let (answer, body) = self.ask(shadow, operation, payload);
        assert_eq!(answer, "rejected", "{payload}: {body}");
        assert_in_seconds(&body["timestamp"]);
        let message = body["message"].as_str().unwrap().to_owned();
        (body["code"].as_u64().unwrap(), message)
    }

    fn status(&self, device: &str) -> String {
        let (status,) = self.server.query(&["DEVICE.GET", device, "status"]);
        status
    }
}

/// Within a minute of now, in whole seconds.
#[track_caller]
fn assert_in_seconds(timestamp: &Json) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let timestamp = timestamp.as_u64().unwrap();
    assert!(timestamp.abs_diff(now.as_secs()) < 60, "{timestamp}");
}

#[test]
fn an_update_is_accepted_and_documented() {
    let site = Site::start(PROFILE);
    let report = r#"{"state":{"reported":{"on":true,"level":10.0}},"clientToken":"t-1"}"#;
    let accepted = site.accepted(LAMP, "update", report);
    let at = &accepted["timestamp"];
    assert_in_seconds(at);
    let times = json!({"level":{"timestamp":at},"on":{"timestamp":at}});
    assert_eq!(
        accepted,
        json!({
            "state":{"reported":{"level":10.0,"on":true}},"metadata":{"reported":times},
            "version":1,"timestamp":at,"clientToken":"t-1",
        })
    );
    let first = json!({
        "state":{"reported":{"level":10.0,"on":true}},"metadata":{"reported":times},"version":1
    });
    assert_eq!(
        site.listener.next(&format!("{LAMP}/update/documents")),
        json!({"previous":null,"current":first,"timestamp":at,"clientToken":"t-1"})
    );

    // The device has spoken, so it lives.
    assert_eq!(site.status("lamp-1"), "online");

    site.accepted(LAMP, "update", r#"{"state":{"desired":{"on":false}}}"#);
    let documents = site.listener.next(&format!("{LAMP}/update/documents"));
    assert_eq!(documents["previous"], first);
    assert_eq!(documents["current"]["version"], 2);
    assert_eq!(
        documents["current"]["state"],
        json!({"desired":{"on":false},"reported":{"level":10.0,"on":true}})
    );
}

#[test]
fn get_has_everything_and_the_token() {
    let site = Site::start(PROFILE);
    let both = r#"{"state":{"desired":{"on":true,"hue":5},"reported":{"on":false,"hue":5}}}"#;
    site.accepted(LAMP, "update", both);
    let shadow = site.accepted(LAMP, "get", r#"{"clientToken":"g"}"#);
    assert_eq!(
        shadow["state"],
        json!({"desired":{"hue":5,"on":true},"reported":{"hue":5,"on":false},"delta":{"on":true}})
    );
    assert_eq!(shadow["version"], 1);
    assert_eq!(shadow["clientToken"], "g");
    assert_in_seconds(&shadow["timestamp"]);
    assert_in_seconds(&shadow["metadata"]["desired"]["hue"]["timestamp"]);
    assert!(site.accepted(LAMP, "get", "").get("clientToken").is_none());
}

/// V1 to V3.
#[test]
fn a_version_must_be_the_current_one() {
    let site = Site::start(PROFILE);
    let with =
        |version: u64| format!(r#"{{"state":{{"reported":{{"n":1}}}},"version":{version}}}"#);
    assert_eq!(
        site.rejected(LAMP, "update", &with(2)),
        (400, "Invalid version".to_owned())
    );
    assert_eq!(site.accepted(LAMP, "update", &with(1))["version"], 1);
    assert_eq!(site.accepted(LAMP, "update", &with(1))["version"], 2);
    let (code, message) = site.rejected(LAMP, "update", &with(1));
    assert_eq!(code, 409);
    assert!(message.starts_with("Version conflict"), "{message}");
    assert_eq!(site.accepted(LAMP, "get", "")["version"], 2);
    assert_eq!(site.accepted(LAMP, "update", &with(2))["version"], 3);
    let conflict = r#"{"state":{},"version":1,"clientToken":"mine"}"#;
    let (_, body) = site.ask(LAMP, "update", conflict);
    assert_eq!(body["clientToken"], "mine");
}

/// M4, M13, M15 and the sizes.
#[test]
fn a_wrong_request_is_told_why() {
    let server = Server::start_with(&["devicestate.max-document-bytes 1024"]);
    let config = format!("{PROFILE}[mqtt]\nmax_payload = 4096\n");
    let site = Site::with(Broker::start(), server, &config);
    let long = |n: usize| format!(r#"{{"state":{{"reported":{{"x":"{}"}}}}}}"#, "x".repeat(n));
    let token = format!(r#"{{"state":{{}},"clientToken":"{}"}}"#, "x".repeat(65));
    for (payload, code, message) in [
        ("", 400, "Invalid JSON"),
        ("hello", 400, "Invalid JSON"),
        ("{}", 400, "Missing required node: state"),
        (r#"{"state":1}"#, 400, "State node must be an object"),
        (
            r#"{"state":{"desired":1}}"#,
            400,
            "Desired node must be an object",
        ),
        (
            r#"{"state":{"reported":1}}"#,
            400,
            "Reported node must be an object",
        ),
        (
            r#"{"state":{"delta":{}}}"#,
            400,
            "State contains an invalid node",
        ),
        (r#"{"state":{"desired":{"a":[null]}}}"#, 400, "Invalid JSON"),
        (r#"{"state":{},"version":"1"}"#, 400, "Invalid version"),
        (&token, 400, "Invalid clientToken"),
        (
            &long(2000),
            413,
            "The payload exceeds the maximum size allowed",
        ),
        (
            &long(5000),
            413,
            "The payload exceeds the maximum size allowed",
        ),
    ] {
        let (told, why) = site.rejected(LAMP, "update", payload);
        assert_eq!(told, code, "{payload}");
        assert!(why.starts_with(message), "{payload}: {why}");
    }
    let (code, _) = site.rejected("$aws/things/{a}/shadow", "update", r#"{"state":{}}"#);
    assert_eq!(code, 400);
    let (code, why) = site.rejected(LAMP, "get", "hello");
    assert_eq!(
        (code, why.as_str()),
        (400, "Invalid JSON: not a JSON object")
    );
    // All of it was answered, so none of it is a dead letter.
    assert_eq!(
        site.server.query::<u64>(&["XLEN", "bridge:dead-letters"]),
        0
    );
    assert_eq!(site.bridge.count("refused a message"), 0);
}

/// M7, moto test_update_empty_state.
#[test]
fn null_clears_the_state() {
    let site = Site::start(PROFILE);
    site.accepted(LAMP, "update", r#"{"state":{"reported":{"a":1}}}"#);
    let cleared = site.accepted(LAMP, "update", r#"{"state":null}"#);
    assert_eq!(cleared["state"], Json::Null);
    assert_eq!(cleared["version"], 2);
    assert_in_seconds(&cleared["metadata"]["timestamp"]);
    let shadow = site.accepted(LAMP, "get", "");
    assert_eq!(
        (&shadow["state"], &shadow["metadata"]),
        (&json!({}), &json!({}))
    );
}

#[test]
fn a_named_shadow_is_one_of_its_own() {
    let site = Site::start(PROFILE);
    let night = format!("{LAMP}/name/night");
    let dim = r#"{"state":{"desired":{"level":3}}}"#;
    assert_eq!(site.accepted(&night, "update", dim)["version"], 1);
    site.accepted(LAMP, "update", r#"{"state":{"desired":{"on":true}}}"#);
    assert_eq!(
        site.accepted(&night, "get", "")["state"]["desired"],
        json!({"level":3})
    );
    let documents = site.listener.next(&format!("{night}/update/documents"));
    assert_eq!(
        documents["current"]["state"],
        json!({"desired":{"level":3}})
    );
    let (code, message) = site.rejected(&format!("{LAMP}/name/day"), "get", "");
    assert_eq!(code, 404);
    assert_eq!(message, "No shadow exists with name: 'day'");
    let (code, _) = site.rejected(&format!("{LAMP}/name/{}", "x".repeat(65)), "get", "");
    assert_eq!(code, 400);
}

/// V7.
#[test]
fn a_deleted_shadow_is_gone_and_its_version_is_kept() {
    let site = Site::start(PROFILE);
    let missing = (404, "No shadow exists with name: 'lamp-1'".to_owned());
    assert_eq!(site.rejected(LAMP, "get", ""), missing);
    assert_eq!(site.rejected(LAMP, "delete", ""), missing);
    let report = r#"{"state":{"reported":{"on":true}}}"#;
    site.accepted(LAMP, "update", report);
    let deleted = site.accepted(LAMP, "delete", r#"{"clientToken":"d"}"#);
    let at = &deleted["timestamp"];
    assert_eq!(
        deleted,
        json!({"version":2,"timestamp":at,"clientToken":"d"})
    );
    assert_in_seconds(at);
    assert_eq!(site.rejected(LAMP, "get", ""), missing);
    assert_eq!(site.rejected(LAMP, "delete", ""), missing);
    assert_eq!(site.accepted(LAMP, "update", report)["version"], 3);
}

#[test]
fn without_presence_and_documents() {
    let config = format!("{PROFILE}[aws_shadow]\npresence = false\ndocuments = false\n");
    let site = Site::start(&config);
    site.accepted(LAMP, "update", r#"{"state":{"reported":{"on":true}}}"#);
    assert_eq!(site.status("lamp-1"), "offline");
    site.accepted(LAMP, "get", "");
    assert_eq!(site.listener.count(&format!("{LAMP}/update/documents")), 0);
}

#[test]
fn a_retained_request_goes_to_the_dead_letters() {
    let (broker, server) = (Broker::start(), Server::start());
    let retain = ["-q", "1", "-r"];
    broker.publish_as(&retain, &format!("{LAMP}/update"), r#"{"state":{}}"#);
    let site = Site::with(broker, server, PROFILE);
    site.bridge
        .wait_for("device 'lamp-1': a retained message is no request");
    wait_until("the dead letter is kept", || {
        site.server.query::<u64>(&["XLEN", "bridge:dead-letters"]) == 1
    });
    assert_eq!(site.rejected(LAMP, "get", "").0, 404);
}

/// A device has no answer while nothing is decided, and one when it is.
#[test]
fn a_server_that_is_away_delays_the_answer() {
    let mut site = Site::start(PROFILE);
    site.accepted(LAMP, "update", r#"{"state":{"reported":{"n":1}}}"#);
    site.server.stop();
    site.broker.publish(
        &format!("{LAMP}/update"),
        r#"{"state":{"reported":{"n":2}},"clientToken":"late"}"#,
    );
    site.bridge.wait_for("does not take commands");
    site.server.resume();
    let accepted = site.listener.next(&format!("{LAMP}/update/accepted"));
    assert_eq!(accepted["clientToken"], "late");
    assert_eq!(accepted["version"], 2);
    assert_eq!(site.listener.count(&format!("{LAMP}/update/rejected")), 0);
}

#[test]
fn a_thing_outside_the_acl_pattern_is_forbidden() {
    let (broker, server) = (Broker::start(), Server::start());
    let user = [
        "ACL",
        "SETUSER",
        "bridge",
        "on",
        ">secret",
        "~lamp-*",
        "+device.heartbeat",
        "+device.shadow.update",
        "+device.shadow.get",
        "+device.shadow.del",
        "+multi",
        "+exec",
        "+ping",
        "+xadd",
    ];
    server.command(&user);
    let url = format!("redis://bridge:secret@127.0.0.1:{}", server.port);
    let _bridge = Bridge::start(&broker.url(), &url, PROFILE);
    let listener = Listener::start(&broker);
    let report = r#"{"state":{"reported":{"on":true}}}"#;
    for operation in ["update", "get", "delete"] {
        broker.publish(&format!("$aws/things/door-1/shadow/{operation}"), report);
        let body = listener.next(&format!("$aws/things/door-1/shadow/{operation}/rejected"));
        assert_eq!(
            (&body["code"], &body["message"]),
            (&json!(403), &json!("Forbidden"))
        );
    }
    broker.publish(&format!("{LAMP}/update"), report);
    listener.next(&format!("{LAMP}/update/accepted"));
    assert_eq!(
        server.command(&["EXISTS", "device:state:door-1"]),
        Value::Int(0)
    );
}

/// V5 and V6: everything that is outstanding, by whomever it was wished, also for a device that is
/// not online.
#[test]
fn deltas_have_all_that_is_outstanding() {
    let site = Site::start(&format!("{PROFILE}[downlink]\n"));
    let delta = format!("{LAMP}/update/delta");
    site.accepted(
        LAMP,
        "update",
        r#"{"state":{"desired":{"a":1,"b":{"c":2}}}}"#,
    );
    assert_eq!(site.status("lamp-1"), "offline");
    let first = site.listener.next(&delta);
    assert_eq!(first["state"], json!({"a":1,"b":{"c":2}}));
    assert_eq!(first["version"], 1);
    assert_in_seconds(&first["timestamp"]);
    assert_in_seconds(&first["metadata"]["b"]["c"]["timestamp"]);

    site.server
        .command(&["DEVICE.SHADOW.SET", "lamp-1", r#"{"b":{"d":3}}"#]);
    let second = site.listener.next(&delta);
    assert_eq!(second["state"], json!({"a":1,"b":{"c":2,"d":3}}));
    assert_eq!(second["version"], 2);

    // The device does all but one. Its report brings it online, too, which may be told by itself.
    site.accepted(
        LAMP,
        "update",
        r#"{"state":{"reported":{"a":1,"b":{"c":2}}}}"#,
    );
    let left = loop {
        let left = site.listener.next(&delta);
        if left["version"] == 3 {
            break left;
        }
    };
    assert_eq!(left["state"], json!({"b":{"d":3}}));

    // In sync there is nothing to tell.
    site.accepted(LAMP, "update", r#"{"state":{"reported":{"b":{"d":3}}}}"#);
    site.server
        .command(&["DEVICE.SHADOW.SET", "lamp-1", r#"{"x":1}"#, "NAME", "night"]);
    let night = site
        .listener
        .next(&format!("{LAMP}/name/night/update/delta"));
    assert_eq!(night["state"], json!({"x":1}));
    let late = |body: String| body.contains("\"version\":4");
    assert!(!site.listener.subscriber.on(&delta).into_iter().any(late));
}

/// What was missed is made up for by a walk over the devices. No index knows of named shadows.
#[test]
fn missed_deltas_are_told_to_devices_that_are_not_online() {
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&["DEVICE.SHADOW.SET", "lamp-1", r#"{"x":1}"#]);
    server.command(&["DEVICE.SHADOW.SET", "lamp-2", r#"{"x":2}"#, "NAME", "night"]);
    let listener = Listener::start(&broker);
    let config = format!("{PROFILE}[aws_shadow]\npresence = false\n[downlink]\n");
    let _bridge = Bridge::start(&broker.url(), &server.url(), &config);
    let classic = listener.next(&format!("{LAMP}/update/delta"));
    assert_eq!(classic["state"], json!({"x":1}));
    let night = listener.next("$aws/things/lamp-2/shadow/name/night/update/delta");
    assert_eq!(night["state"], json!({"x":2}));
}

#[test]
fn a_fault_of_the_server_is_told_to_the_operator() {
    let site = Site::start(PROFILE);
    site.server.command(&["SET", "device:state:lamp-1", "odd"]);
    let failure = (500, "Internal service failure".to_owned());
    assert_eq!(
        site.rejected(LAMP, "update", r#"{"state":{"reported":{"n":1}}}"#),
        failure
    );
    assert_eq!(site.rejected(LAMP, "get", ""), failure);
    site.bridge.wait_for("with an error: WRONGTYPE");
}

/// `check` tries what this profile needs, and nothing else of it is held up by a transaction.
#[test]
fn check_tries_its_commands() {
    let (broker, server) = (Broker::start(), Server::start());
    server.command(&[
        "ACL",
        "SETUSER",
        "bridge",
        "on",
        ">secret",
        "~*",
        "+@all",
        "-device.shadow.del",
        "-exec",
    ]);
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), PROFILE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
        .args(["check", "--mqtt", &broker.url(), "--config"])
        .arg(config.path())
        .env("DEVICESTATE_REDIS_USER", "bridge")
        .env("DEVICESTATE_REDIS_PASSWORD", "secret")
        .args(["--redis", &server.url()])
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let redis = format!("Redis 127.0.0.1:{}", server.port);
    for line in [
        "ok    the configuration is valid".to_owned(),
        format!(
            "ok    MQTT 127.0.0.1:{}: may subscribe to {LAMP}",
            broker.port
        )
        .replace("lamp-1", "+"),
        format!("ok    {redis}: may run DEVICE.SHADOW.UPDATE"),
        format!("FAIL  {redis}: DEVICE.SHADOW.DEL: NOPERM"),
        format!("ok    {redis}: may run XADD"),
        format!("ok    {redis}: may run MULTI"),
        format!("FAIL  {redis}: EXEC: EXECABORT"),
    ] {
        assert!(
            found.lines().any(|told| told.starts_with(&line)),
            "{line}:\n{found}"
        );
    }
    assert!(!found.contains("DEVICE.OFFLINE"), "{found}");
}

#[test]
fn both_profiles_serve_one_fleet() {
    let site = Site::start("profiles = [\"native\", \"aws-shadow\"]\n");
    site.broker
        .publish("devices/pump-7/reported", r#"{"reported":{"speed":1200}}"#);
    wait_until("the report is stored", || {
        site.server.query::<u64>(&["EXISTS", "device:state:pump-7"]) == 1
    });
    let shadow = site.accepted("$aws/things/pump-7/shadow", "get", "");
    assert_eq!(shadow["state"]["reported"], json!({"speed":1200}));
}

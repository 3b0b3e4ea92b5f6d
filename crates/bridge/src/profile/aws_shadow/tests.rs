use super::*;
use crate::redis_link::Answers;
use redis::{Arg, Value};
use serde_json::value::RawValue;
use serde_json::{json, Value as Json};

const UPDATE: &str = "$aws/things/lamp-1/shadow/update";
const REPORT: &str = r#"{"state":{"reported":{"on":true}},"clientToken":"t"}"#;
const ACCEPTED: &str = r#"{"state":{"reported":{"on":true}},"metadata":{"reported":{"on":{"timestamp":5000}}},"version":2,"timestamp":5000,"clientToken":"t"}"#;
const BEFORE: &str =
    r#"{"state":{"reported":{"on":false}},"metadata":{},"version":1,"timestamp":5000}"#;
const AFTER: &str =
    r#"{"state":{"reported":{"on":true}},"metadata":{},"version":2,"timestamp":5000}"#;

fn read_with(
    config: AwsShadowConfig,
    topic: &str,
    payload: impl AsRef<[u8]>,
    retained: bool,
) -> Option<Result<Work, Refusal>> {
    let message = Message {
        topic: topic.as_bytes().into(),
        payload: payload.as_ref().into(),
        retained,
        ..Message::default()
    };
    AwsShadow::new(config, 1024).read(&message)
}

fn work(topic: &str, payload: impl AsRef<[u8]>) -> Work {
    let read = read_with(AwsShadowConfig::default(), topic, payload, false);
    read.unwrap().unwrap()
}

fn commands(work: &Work) -> Vec<String> {
    fn word(arg: Arg<&[u8]>) -> String {
        match arg {
            Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            _ => "?".to_owned(),
        }
    }
    let words = |command: &Cmd| command.args_iter().map(word).collect::<Vec<_>>();
    let commands = work.commands.iter();
    commands.map(|command| words(command).join(" ")).collect()
}

fn told(work: &Work, answers: Answers) -> Vec<(String, Json)> {
    let Then::Answer(answer) = &work.then else {
        panic!("{:?}", work.then);
    };
    let read = |publication: Publication| {
        let payload = serde_json::from_slice(&publication.payload).unwrap();
        (publication.topic, payload)
    };
    let publications = answer.publications(&answers).into_iter();
    publications.map(read).collect()
}

fn bulk(text: &str) -> redis::RedisResult<Value> {
    Ok(Value::BulkString(text.as_bytes().to_vec()))
}

fn error(code: &str, detail: &str) -> redis::RedisResult<Value> {
    Err(redis::make_extension_error(
        code.to_owned(),
        Some(detail.to_owned()),
    ))
}

/// The one answer is a rejection: its topic, code and token.
fn rejected(work: &Work, answers: Answers) -> (String, Json, Json) {
    let mut told = told(work, answers);
    assert_eq!(told.len(), 1);
    let (topic, body) = told.remove(0);
    assert!(body["timestamp"].as_u64().unwrap() < 100_000_000_000);
    (topic, body["code"].clone(), body["clientToken"].clone())
}

#[test]
fn a_report_is_a_sign_of_life_and_has_documents() {
    assert_eq!(
        commands(&work(UPDATE, REPORT)),
        [
            "DEVICE.HEARTBEAT lamp-1".to_owned(),
            "DEVICE.SHADOW.GET lamp-1".to_owned(),
            format!("DEVICE.SHADOW.UPDATE lamp-1 {REPORT}"),
            "DEVICE.SHADOW.GET lamp-1".to_owned(),
        ]
    );
    let wish = r#"{"state":{"desired":{"on":true}}}"#;
    let topic = "$aws/things/lamp-1/shadow/name/night/update";
    assert_eq!(
        commands(&work(topic, wish)),
        [
            "DEVICE.SHADOW.GET lamp-1 NAME night".to_owned(),
            format!("DEVICE.SHADOW.UPDATE lamp-1 {wish} NAME night"),
            "DEVICE.SHADOW.GET lamp-1 NAME night".to_owned(),
        ]
    );
    let config = AwsShadowConfig {
        documents: false,
        presence: false,
    };
    let plain = read_with(config, UPDATE, REPORT, false).unwrap().unwrap();
    assert_eq!(
        commands(&plain),
        [format!("DEVICE.SHADOW.UPDATE lamp-1 {REPORT}")]
    );
    assert_eq!(told(&plain, vec![bulk(ACCEPTED)]).len(), 1);
}

#[test]
fn an_accepted_update_is_told_twice() {
    let beat = Ok(Value::Array(Vec::new()));
    let answers = vec![beat, bulk(BEFORE), bulk(ACCEPTED), bulk(AFTER)];
    let moment = |on: bool, version: u64| json!({"state":{"reported":{"on":on}},"metadata":{},"version":version});
    assert_eq!(
        told(&work(UPDATE, REPORT), answers),
        [
            (
                "$aws/things/lamp-1/shadow/update/accepted".to_owned(),
                json!({
                    "state":{"reported":{"on":true}},
                    "metadata":{"reported":{"on":{"timestamp":5}}},
                    "version":2,"timestamp":5,"clientToken":"t",
                })
            ),
            (
                "$aws/things/lamp-1/shadow/update/documents".to_owned(),
                json!({
                    "previous":moment(false, 1),"current":moment(true, 2),
                    "timestamp":5,"clientToken":"t",
                })
            ),
        ]
    );
}

/// V1 of the AWS IoT developer guide, and a transaction of which nothing ran.
#[test]
fn a_rejected_update_is_told_once() {
    let beat = || Ok(Value::Array(Vec::new()));
    let conflict = || error("VERSIONCONFLICT", "409 Version conflict: 1 is not 2");
    let work = work(UPDATE, REPORT);
    let expected = |code: u16| {
        let topic = "$aws/things/lamp-1/shadow/update/rejected".to_owned();
        (topic, json!(code), json!("t"))
    };
    let answers = vec![beat(), bulk(BEFORE), conflict(), bulk(BEFORE)];
    assert_eq!(rejected(&work, answers), expected(409));
    let forbidden = vec![error("NOPERM", "No permissions to access a key")];
    assert_eq!(rejected(&work, forbidden), expected(403));
    let odd = vec![beat(), bulk(BEFORE), Ok(Value::Int(1)), bulk(AFTER)];
    assert_eq!(rejected(&work, odd), expected(500));
    assert_eq!(rejected(&work, Vec::new()), expected(500));
}

#[test]
fn get_and_delete() {
    let get = work("$aws/things/lamp-1/shadow/get", r#"{"clientToken":"t"}"#);
    assert_eq!(commands(&get), ["DEVICE.SHADOW.GET lamp-1"]);
    assert_eq!(
        told(&get, vec![bulk(BEFORE)]),
        [(
            "$aws/things/lamp-1/shadow/get/accepted".to_owned(),
            json!({
                "state":{"reported":{"on":false}},"metadata":{},"version":1,
                "timestamp":5,"clientToken":"t",
            })
        )]
    );
    let delete = work("$aws/things/lamp-1/shadow/name/night/delete", "");
    assert_eq!(commands(&delete), ["DEVICE.SHADOW.DEL lamp-1 NAME night"]);
    assert_eq!(
        told(&delete, vec![bulk(r#"{"version":3,"timestamp":5000}"#)]),
        [(
            "$aws/things/lamp-1/shadow/name/night/delete/accepted".to_owned(),
            json!({"version":3,"timestamp":5})
        )]
    );
}

/// V7 of the AWS IoT developer guide.
#[test]
fn what_does_not_exist_is_not_found() {
    let get = work("$aws/things/lamp-1/shadow/get", "");
    let mut told = told(&get, vec![Ok(Value::Nil)]);
    let (topic, body) = told.remove(0);
    assert_eq!(topic, "$aws/things/lamp-1/shadow/get/rejected");
    assert_eq!(body["code"], 404);
    assert_eq!(body["message"], "No shadow exists with name: 'lamp-1'");
    assert!(body.get("clientToken").is_none());
    let delete = work("$aws/things/lamp-1/shadow/name/night/delete", "");
    let answer = vec![error("NODEVICE", "device 'lamp-1' is not registered")];
    let (topic, code, _) = rejected(&delete, answer);
    assert_eq!(
        topic,
        "$aws/things/lamp-1/shadow/name/night/delete/rejected"
    );
    assert_eq!(code, 404);
}

#[test]
fn what_the_server_need_not_see_is_rejected_at_once() {
    let large = format!(r#"{{"state":{{"reported":"{}"}}}}"#, "x".repeat(1024));
    for (topic, payload, code) in [
        (UPDATE, large.as_bytes(), 413),
        (UPDATE, b"{\"state\":\xff}", 415),
        ("$aws/things/lamp-1/shadow/get", b"hello", 400),
        ("$aws/things/lamp-1/shadow/get", b"{\"clientToken\":1}", 400),
    ] {
        let work = work(topic, payload);
        assert_eq!(commands(&work), [""; 0]);
        let (told_on, told_code, _) = rejected(&work, Vec::new());
        assert_eq!(
            (told_on, told_code),
            (format!("{topic}/rejected"), json!(code))
        );
    }
}

#[test]
fn deltas_are_told_on_the_topic_of_their_shadow() {
    const WISH: &str = r#"{"state":{"desired":{"on":true},"delta":{"on":true}},"metadata":{"desired":{"on":{"timestamp":5000}}},"version":3,"timestamp":6000}"#;
    let profile = AwsShadow::new(AwsShadowConfig::default(), 1024);
    let told = |device: &'static str, shadow, document| {
        let outstanding: Box<RawValue> = serde_json::from_str("{}").unwrap();
        let delta = Delta {
            device,
            shadow,
            version: 3,
            delta: &outstanding,
            document,
        };
        profile.delta(&delta)
    };
    let publication = told("lamp-1", Some("night"), Some(WISH)).unwrap();
    assert_eq!(
        publication.topic,
        "$aws/things/lamp-1/shadow/name/night/update/delta"
    );
    assert_eq!(
        serde_json::from_slice::<Json>(&publication.payload).unwrap(),
        json!({
            "state":{"on":true},"metadata":{"on":{"timestamp":5}},"version":3,"timestamp":6,
        })
    );
    assert_eq!(told("lamp-1", None, Some(AFTER)), None);
    assert_eq!(told("lamp-1", None, None), None);
    assert_eq!(told("plant/7", None, Some(WISH)), None);
    assert!(profile.tells_offline());
}

#[test]
fn a_retained_request_is_none() {
    let read = read_with(AwsShadowConfig::default(), UPDATE, REPORT, true);
    let refusal = read.unwrap().unwrap_err();
    assert_eq!(refusal.device.as_deref(), Some("lamp-1"));
    assert!(
        refusal.reason.starts_with("a retained message"),
        "{refusal:?}"
    );
}

#[test]
fn other_topics_are_for_other_profiles() {
    let config = AwsShadowConfig::default();
    assert!(read_with(config, "devices/lamp-1/heartbeat", "", false).is_none());
}

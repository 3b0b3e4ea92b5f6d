//! What any reply must be, whatever was said: one value that parses, and errors that a client can
//! show and a program can tell apart.

use redis::Value;

use crate::workload::{shown, Args};

/// Codes that our commands answer, and those that the server answers in their place.
const CODES: &[&str] = &[
    "ERR",
    "NODEVICE",
    "NOSHADOW",
    "VERSIONCONFLICT",
    "BADJSON",
    "BADPAYLOAD",
    "TOOLARGE",
    "QUEUEFULL",
    "LIMIT",
    "TRYAGAIN",
    "WRONGTYPE",
    "NOPERM",
    "UNBLOCKED",
    "EXECABORT",
];

/// Looks at the bytes of a reply to this command. Gives the value.
#[track_caller]
pub fn look_at(command: &Args, reply: &[u8]) -> Value {
    let value = match redis::parse_redis_value(reply) {
        Ok(value) => value,
        Err(error) => panic!(
            "{}: no reply ({error}): {}",
            readable(command),
            reply[..reply.len().min(1_000)].escape_ascii()
        ),
    };
    let name = command[0].to_ascii_uppercase();
    let ours = [&b"DEVICE."[..], b"ALERT.", b"THROTTLE.", b"QUEUE."];
    let is_ours = ours.iter().any(|family| name.starts_with(family));
    look_at_errors(command, &value, is_ours);
    value
}

/// Errors are anywhere in the reply of a transaction.
#[track_caller]
fn look_at_errors(command: &Args, value: &Value, is_ours: bool) {
    match value {
        Value::ServerError(error) => {
            let (code, detail) = (error.code(), error.details().unwrap_or_default());
            let problem = if detail.contains("internal error") {
                "a caught panic"
            } else if is_ours && detail.chars().any(char::is_control) {
                "control characters"
            } else if is_ours && !CODES.contains(&code) {
                "a code that is none of ours"
            } else if is_ours && detail.len() > 2_000 {
                "a text without end"
            } else {
                return;
            };
            panic!("{}: {problem}: {code} {detail:?}", readable(command));
        }
        Value::Array(items) | Value::Set(items) => {
            for item in items {
                look_at_errors(command, item, is_ours);
            }
        }
        Value::Map(pairs) => {
            for (name, item) in pairs {
                look_at_errors(command, name, is_ours);
                look_at_errors(command, item, is_ours);
            }
        }
        _ => {}
    }
}

/// A command, long words cut short.
pub fn readable(command: &Args) -> String {
    let words = command.iter().take(40).map(|word| match word.len() {
        0..=300 => word.clone(),
        length => [&word[..80], format!("...({length} bytes)").as_bytes()].concat(),
    });
    let mut line = shown(&words.collect());
    if command.len() > 40 {
        line.push_str(&format!(" ...({} words)", command.len()));
    }
    line
}

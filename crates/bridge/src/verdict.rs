//! What an error reply of the server means for the message behind it.
//!
//! Two mistakes are possible and both are bad. Retrying what can never succeed fills the window and
//! stops every device, while all looks healthy (influxdata/telegraf#13476). Giving up on what would
//! have succeeded a moment later loses a message. So: the server's own "not now" answers and the
//! operator's faults are retried, everything that judges the command itself is final.

use crate::redis_link::{describe, Answers, Reply};

/// What to do with a message whose command was answered by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It will never succeed: log it, acknowledge it.
    Refuse,
    /// Not now: the same command again, after a pause, on the same connection.
    Retry,
    /// Not now, and perhaps not on this connection (a demoted master, a login that is gone).
    Reconnect,
}

/// What became of the commands of one message.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Confirmed,
    /// One of them will never succeed; the server's words.
    Refused(String),
    NotNow {
        reason: String,
        reconnect: bool,
    },
}

impl Outcome {
    pub fn of(reply: &Reply) -> Outcome {
        let outcome = match &reply.answers {
            Ok(answers) => Outcome::of_answers(answers),
            Err(trouble) => Outcome::NotNow {
                reason: trouble.to_string(),
                reconnect: true,
            },
        };
        match (outcome, &reply.node) {
            (Outcome::NotNow { reason, reconnect }, Some(node)) if reply.answers.is_ok() => {
                let reason = format!("{node}: {reason}");
                Outcome::NotNow { reason, reconnect }
            }
            (outcome, _) => outcome,
        }
    }

    /// "Not now" comes first: what was refused is refused again the next time.
    fn of_answers(answers: &Answers) -> Outcome {
        let mut outcome = Outcome::Confirmed;
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let reason = describe(error);
            // An error without a code is none of the server's: the answer could not be read.
            let verdict = error.code().map_or(Verdict::Reconnect, |code| {
                judge(code, error.detail().unwrap_or_default())
            });
            match verdict {
                Verdict::Refuse => outcome = Outcome::Refused(reason),
                verdict => {
                    let reconnect = verdict == Verdict::Reconnect;
                    return Outcome::NotNow { reason, reconnect };
                }
            }
        }
        outcome
    }
}

/// Judges an error reply by its code (the first word) and the rest of its text.
pub fn judge(code: &str, text: &str) -> Verdict {
    match code {
        "LOADING" | "BUSY" | "CLUSTERDOWN" | "TRYAGAIN" | "OOM" | "MISCONF" | "QUEUEFULL" => {
            Verdict::Retry
        }
        // Where Sentinels watch, a master without replicas may not be the master any more.
        "READONLY" | "MASTERDOWN" | "NOREPLICAS" | "NOAUTH" | "WRONGPASS" | "MOVED" | "ASK" => {
            Verdict::Reconnect
        }
        // The module is not loaded (yet).
        "ERR" if text.starts_with("unknown command") => Verdict::Retry,
        // A user that may not run the command is the operator's fault. A user that may not touch
        // this device is the answer for this device, and waiting would stop all others.
        "NOPERM" if text.contains("to run") => Verdict::Reconnect,
        _ => Verdict::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(reply: &str) -> Verdict {
        let (code, text) = reply.split_once(' ').unwrap_or((reply, ""));
        judge(code, text)
    }

    #[test]
    fn what_judges_the_command_is_final() {
        for reply in [
            "ERR invalid device id: it is empty",
            "ERR unknown argument 'FOO'",
            "ERR wrong number of arguments for 'device.heartbeat' command",
            "BADJSON at line 1 column 5: expected a value",
            "BADPAYLOAD not a message",
            "TOOLARGE the document would have 70000 bytes",
            "NODEVICE no such device",
            "LIMIT 1000 devices are registered",
            "WRONGTYPE Operation against a key holding the wrong kind of value",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "SOMETHINGNEW whatever",
            "",
        ] {
            assert_eq!(of(reply), Verdict::Refuse, "{reply}");
        }
    }

    #[test]
    fn not_now_is_retried() {
        for reply in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script.",
            "CLUSTERDOWN Hash slot not served",
            "TRYAGAIN the slot is moving",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "QUEUEFULL the queue 'ingest:3' holds 100000 messages, MAXLEN 100000 allows no more",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to.",
            "ERR unknown command 'DEVICE.HEARTBEAT', with args beginning with: 'd1' ",
        ] {
            assert_eq!(of(reply), Verdict::Retry, "{reply}");
        }
    }

    #[test]
    fn another_connection_may_help() {
        for reply in [
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "NOREPLICAS Not enough good replicas to write.",
            "NOAUTH Authentication required.",
            "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM User bridge has no permissions to run the 'device.heartbeat' command",
            "NOPERM this user has no permissions to run the 'device.heartbeat' command",
            "MOVED 3999 127.0.0.1:6381",
        ] {
            assert_eq!(of(reply), Verdict::Reconnect, "{reply}");
        }
    }

    /// A tenant's bridge must not be stopped by one device outside its key pattern.
    #[test]
    fn a_device_outside_the_acl_pattern_is_refused() {
        for reply in [
            "NOPERM No permissions to access a key",
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            "NOPERM User bridge has no permissions to access the 'other-1' key",
        ] {
            assert_eq!(of(reply), Verdict::Refuse, "{reply}");
        }
    }
}

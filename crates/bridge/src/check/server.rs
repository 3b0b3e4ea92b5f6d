//! Whether the server answers, has the module, and lets the bridge's user do what it must.

use super::info::Info;
use super::needs::{needs, Need};
use super::{Finding, Report};
use crate::config::Config;
use crate::redis_link::{describe, Target};
use crate::serve::Plan;
use crate::verdict::{judge, Verdict};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use std::io::Write;

pub async fn check(report: &mut Report<impl Write>, config: &Config, plan: &Plan) {
    let server = &plan.peers.redis;
    let target = Target::new(&config.redis, server, "devicestate-bridge-check".to_owned());
    let redis = server.to_string();
    let mut connection = match target.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            let reason = describe(&error);
            return report.fail(format_args!("Redis {redis}: no connection: {reason}"));
        }
    };
    let ping = redis::cmd("PING").exec_async(&mut connection).await;
    match ping {
        Ok(()) => report.ok(format_args!("Redis {redis}: answers")),
        Err(error) => {
            let reason = describe(&error);
            return report.fail(format_args!("Redis {redis}: does not answer: {reason}"));
        }
    }
    state(report, &redis, &mut connection).await;
    permissions(report, &redis, &mut connection, &needs(config)).await;
}

/// What the server is and how it is set up, if this user may know.
async fn state(
    report: &mut Report<impl Write>,
    redis: &str,
    connection: &mut MultiplexedConnection,
) {
    let answer: Result<String, RedisError> = redis::cmd("INFO").query_async(connection).await;
    match answer {
        Ok(text) => {
            let info = Info::parse(&text);
            report.ok(format_args!("Redis {redis}: is {}", info.server()));
            for (finding, sentence) in info.findings() {
                report.tell(finding, format_args!("Redis {redis}: {sentence}"));
            }
        }
        Err(error) => report.tell(
            Finding::Skip,
            format_args!(
                "Redis {redis}: its version, role, persistence and memory: {}",
                describe(&error)
            ),
        ),
    }
}

async fn permissions(
    report: &mut Report<impl Write>,
    redis: &str,
    connection: &mut MultiplexedConnection,
    needs: &[Need],
) {
    for need in needs {
        let answer: Result<Value, RedisError> = need.command().query_async(connection).await;
        match answer.err().and_then(|error| obstacle(need, &error)) {
            None => report.ok(format_args!("Redis {redis}: may run {}", need.shown())),
            Some(reason) => report.tell(
                need.finding,
                format_args!("Redis {redis}: {}: {reason}", need.shown()),
            ),
        }
    }
}

/// Why the command cannot be run, if the error means that.
fn obstacle(need: &Need, error: &RedisError) -> Option<String> {
    let Some(code) = error.code() else {
        return Some(describe(error));
    };
    let text = error.detail().unwrap_or_default();
    let is_final = judge(code, text) == Verdict::Refuse;
    match code {
        "ERR" if text.starts_with("unknown command") => Some(format!(
            "the devicestate module is not loaded ({})",
            describe(error)
        )),
        "NOPERM" if is_final && !need.key => None,
        // What is said of EXEC itself.
        "NOPERM" | "EXECABORT" => Some(describe(error)),
        _ => (!is_final).then(|| describe(error)),
    }
}

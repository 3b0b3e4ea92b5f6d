//! Whether the server answers, has the module, and lets the bridge's user do what it must.

use super::info::{Addressed, Info};
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
    let addressed = match server.is_cluster() {
        true => Addressed::Cluster,
        false => Addressed::Server,
    };
    let needs = needs(config, server.is_cluster());
    match target.servers().await {
        Ok(servers) => {
            for target in servers {
                check_one(report, &target, addressed, &needs).await;
            }
        }
        Err(trouble) => report.fail(format_args!("Redis {server}: {trouble}")),
    }
}

async fn check_one(
    report: &mut Report<impl Write>,
    target: &Target,
    addressed: Addressed,
    needs: &[Need],
) {
    let redis = target.server().to_string();
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
    state(report, &redis, &mut connection, addressed).await;
    permissions(report, &redis, &mut connection, addressed, needs).await;
}

/// What the server is and how it is set up, if this user may know.
async fn state(
    report: &mut Report<impl Write>,
    redis: &str,
    connection: &mut MultiplexedConnection,
    addressed: Addressed,
) {
    let answer: Result<String, RedisError> = redis::cmd("INFO").query_async(connection).await;
    match answer {
        Ok(text) => {
            let info = Info::parse(&text);
            report.ok(format_args!("Redis {redis}: is {}", info.server()));
            for (finding, sentence) in info.findings(addressed) {
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
    addressed: Addressed,
    needs: &[Need],
) {
    for need in needs {
        let answer: Result<Value, RedisError> = need.command().query_async(connection).await;
        let error = answer.err().filter(|error| {
            // The key is another node's, or its slot is on its way; a missing permission is told before that.
            let elsewhere = matches!(error.code(), Some("MOVED" | "ASK" | "TRYAGAIN"));
            addressed == Addressed::Server || !elsewhere
        });
        match error.and_then(|error| obstacle(need, &error)) {
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

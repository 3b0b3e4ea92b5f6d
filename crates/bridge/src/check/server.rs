//! Whether the server answers, has the module, and lets the bridge's user do what it must.

use super::info::{Info, Role};
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
    let needs = needs(config, server.is_cluster());
    let nodes = match target.nodes().await {
        Ok(Some(nodes)) => nodes,
        Ok(None) => return check_one(report, &target, Role::Server, &needs).await,
        Err(trouble) => return report.fail(format_args!("Redis {server}: {trouble}")),
    };
    if nodes.orphans > 0 {
        let orphans = nodes.orphans;
        report.fail(format_args!(
            "Redis {server}: {orphans} slots have no primary"
        ));
    }
    for primary in nodes.primaries {
        check_one(report, &primary, Role::Primary, &needs).await;
    }
    for replica in nodes.replicas {
        check_one(report, &replica, Role::Replica, &needs).await;
    }
}

async fn check_one(report: &mut Report<impl Write>, target: &Target, role: Role, needs: &[Need]) {
    let redis = match role {
        Role::Server | Role::Primary => target.server().to_string(),
        Role::Replica => format!("{} (replica)", target.server()),
    };
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
    state(report, &redis, &mut connection, role).await;
    permissions(report, &redis, &mut connection, role, needs).await;
}

/// What the server is and how it is set up, if this user may know.
async fn state(
    report: &mut Report<impl Write>,
    redis: &str,
    connection: &mut MultiplexedConnection,
    role: Role,
) {
    let answer: Result<String, RedisError> = redis::cmd("INFO").query_async(connection).await;
    match answer {
        Ok(text) => {
            let info = Info::parse(&text);
            report.ok(format_args!("Redis {redis}: is {}", info.server()));
            for (finding, sentence) in info.findings(role) {
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
    role: Role,
    needs: &[Need],
) {
    for need in needs {
        let answer: Result<Value, RedisError> = need.command().query_async(connection).await;
        let error = answer.err().filter(|error| {
            // The key is another node's, or its slot is on its way; a missing permission is told before that.
            let elsewhere = matches!(error.code(), Some("MOVED" | "ASK" | "TRYAGAIN"));
            role == Role::Server || !elsewhere
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

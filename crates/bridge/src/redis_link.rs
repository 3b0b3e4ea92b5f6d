//! One connection to Redis, and the fence around the one before it.
//!
//! A connection that is given up (a time-out, a stalled server) may still hold commands in the
//! server's socket buffer. When the server wakes up it would run them *after* the same commands,
//! and newer ones, have come over the new connection: an old heartbeat could bring a device back
//! that had said goodbye. So a new connection first makes sure that the old one is dead, by killing
//! it at the server: `CLIENT KILL` drops what it has not run. Ids of clients start afresh when a
//! server restarts, and are others at another server, so the old connection is known by its name, too.

pub mod address;
mod server;
mod wait;

pub use server::Server;

use crate::config::RedisConfig;
use crate::text::one_line;
use crate::tls;
use crate::work::Work;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Value,
};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tracing::debug;
use wait::Wait;

/// How to reach the server.
#[derive(Debug, Clone)]
pub struct Target {
    server: Server,
    connect_timeout: Duration,
    response_timeout: Duration,
    wait: Option<Wait>,
    name: String,
}

impl Target {
    /// `name` is what the connections are called in `CLIENT LIST`, before a number that is never the
    /// same.
    pub fn new(config: &RedisConfig, server: &Server, name: String) -> Target {
        Target {
            server: server.clone(),
            connect_timeout: config.connect_timeout.0,
            response_timeout: config.response_timeout.0,
            wait: Wait::new(config.wait_replicas, config.response_timeout.0),
            name,
        }
    }

    /// A new connection, without the fence.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout));
        let client = self.server.client().await?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }
}

/// How the server knows a connection.
#[derive(Debug, Clone)]
pub struct Identity {
    id: i64,
    name: String,
}

pub struct Link {
    connection: MultiplexedConnection,
    wait: Option<Wait>,
    /// `None` where the server does not tell (an ACL without `CLIENT`).
    pub identity: Option<Identity>,
}

impl Link {
    /// Connects, ends `previous` at the server, and makes sure that commands are answered.
    pub async fn open(target: &Target, previous: Option<&Identity>) -> RedisResult<Link> {
        let mut connection = target.connect().await?;
        if let Some(previous) = previous {
            end(&mut connection, previous).await?;
        }
        let identity = introduce(&mut connection, &target.name).await?;
        let mut link = Link {
            connection,
            wait: target.wait.clone(),
            identity,
        };
        link.ping().await?;
        Ok(link)
    }

    pub async fn ping(&mut self) -> RedisResult<()> {
        redis::cmd("PING").exec_async(&mut self.connection).await
    }

    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection).await
    }

    /// Sends all commands in one pipeline. The answers come in the same order, one for each command
    /// of a work, which may have none; for a transaction that was not run, one error for all of it.
    /// An outer error means that nothing is known about any of them.
    pub async fn send<'w>(
        &mut self,
        works: impl Iterator<Item = &'w Work> + Clone,
    ) -> RedisResult<Vec<Answers>> {
        let mut pipeline = redis::Pipeline::new();
        for work in works.clone() {
            let transaction = work.commands.len() > 1;
            if transaction {
                pipeline.cmd("MULTI");
            }
            for command in &work.commands {
                pipeline.add_command(command.clone());
            }
            if transaction {
                pipeline.cmd("EXEC");
            }
        }
        let answers = match self.wait.clone().filter(|_| !pipeline.is_empty()) {
            None => self.run(pipeline).await?,
            Some(wait) => {
                pipeline.add_command(wait.command());
                let mut answers = self.run(pipeline).await?;
                answers.pop().map_or(Ok(()), |answer| wait.judge(answer))?;
                answers
            }
        };
        let mut answers = answers.into_iter();
        Ok(works.map(|work| collect(work, &mut answers)).collect())
    }

    /// Sends these commands in one pipeline; one answer for each.
    pub async fn ask(&mut self, commands: &[Cmd]) -> RedisResult<Answers> {
        let mut pipeline = redis::Pipeline::with_capacity(commands.len());
        for command in commands {
            pipeline.add_command(command.clone());
        }
        self.run(pipeline).await
    }

    async fn run(&mut self, mut pipeline: redis::Pipeline) -> RedisResult<Answers> {
        let expected = pipeline.len();
        // The client takes an empty one for a mistake.
        if expected == 0 {
            return Ok(Answers::new());
        }
        let answers: Answers = pipeline
            .ignore_errors()
            .query_async(&mut self.connection)
            .await?;
        if answers.len() != expected {
            return Err(RedisError::from((
                ErrorKind::UnexpectedReturnType,
                "the server gave another number of answers than there were commands",
            )));
        }
        Ok(answers)
    }
}

/// One for each command, or one error for all.
pub type Answers = Vec<RedisResult<Value>>;

/// Takes what belongs to this work.
fn collect(work: &Work, answers: &mut impl Iterator<Item = RedisResult<Value>>) -> Answers {
    if work.commands.len() <= 1 {
        return answers.take(work.commands.len()).collect();
    }
    // MULTI and the commands are answered, and then EXEC, which has the answers that count. Where one
    // of them was not taken, its own error says more than EXEC's.
    let queued: Answers = answers.take(work.commands.len() + 1).collect();
    let ran = answers.next();
    match queued.into_iter().find(RedisResult::is_err).or(ran) {
        Some(Ok(Value::Array(answers))) => answers
            .into_iter()
            .map(|answer| match answer {
                Value::ServerError(error) => Err(error.into()),
                answer => Ok(answer),
            })
            .collect(),
        Some(other) => vec![other],
        None => Vec::new(),
    }
}

/// Gives the connection its name. A server that refuses is asked no further.
async fn introduce(
    connection: &mut MultiplexedConnection,
    name: &str,
) -> RedisResult<Option<Identity>> {
    let name = format!("{name}-{:016x}", RandomState::new().hash_one(name));
    let answer: RedisResult<i64> = redis::pipe()
        .cmd("CLIENT")
        .arg("SETNAME")
        .arg(&name)
        .ignore()
        .cmd("CLIENT")
        .arg("ID")
        .query_async(connection)
        .await
        .map(|(id,)| id);
    match answer {
        Ok(id) => Ok(Some(Identity { id, name })),
        Err(error) if is_answer(&error) => {
            debug!("redis does not name connections: {}", describe(&error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn end(connection: &mut MultiplexedConnection, previous: &Identity) -> RedisResult<()> {
    let mut list = redis::cmd("CLIENT");
    list.arg("LIST").arg("ID").arg(previous.id);
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("ID").arg(previous.id);
    let outcome = match list.query_async::<String>(connection).await {
        Ok(clients) if is_listed(&clients, previous) => kill.exec_async(connection).await,
        Ok(_) => return Ok(()),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if !is_answer(&error) => Err(error),
        Err(error) => {
            debug!(
                "redis does not end the old connection: {}",
                describe(&error)
            );
            Ok(())
        }
        Ok(()) => {
            debug!("ended the old connection at redis");
            Ok(())
        }
    }
}

/// Whether `CLIENT LIST` shows that very connection, and not another one with the same id.
fn is_listed(clients: &str, identity: &Identity) -> bool {
    let (id, name) = (
        format!("id={}", identity.id),
        format!("name={}", identity.name),
    );
    clients.lines().any(|line| {
        let mut words = line.split(' ');
        words.next() == Some(id.as_str()) && words.any(|word| word == name)
    })
}

/// Whether the server itself said so, as opposed to a connection that is broken.
fn is_answer(error: &RedisError) -> bool {
    error.code().is_some()
}

/// An error on one line: the server's own words where there are any.
pub fn describe(error: &RedisError) -> String {
    let text = match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) if error.kind() == ErrorKind::AuthenticationFailed => {
            "it refused the user name or the password".to_owned()
        }
        (None, _) if error.is_timeout() => "it did not answer in time".to_owned(),
        (None, _) if error.kind() == ErrorKind::MasterNameNotFoundBySentinel => {
            "the Sentinels know no master of this name that works".to_owned()
        }
        (None, _) => tls::explain(error).unwrap_or_else(|| error.to_string()),
    };
    one_line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_connection_of_that_name_is_ended() {
        let identity = Identity {
            id: 7,
            name: "bridge-0-w1-00ff".into(),
        };
        let line = |id, name| format!("id={id} addr=127.0.0.1:1 fd=8 name={name} age=1\n");
        assert!(is_listed(&line(7, "bridge-0-w1-00ff"), &identity));
        assert!(!is_listed(&line(7, "bridge-0-w1-00fe"), &identity));
        assert!(!is_listed(&line(77, "bridge-0-w1-00ff"), &identity));
        assert!(!is_listed(&line(7, ""), &identity));
        assert!(!is_listed("", &identity));
    }
}

//! One connection to one server, and the fence around the one before it.
//!
//! A connection that is given up (a time-out, a stalled server) may still hold commands in the
//! server's socket buffer. When the server wakes up it would run them *after* the same commands,
//! and newer ones, have come over the new connection: an old heartbeat could bring a device back
//! that had said goodbye. So a new connection first makes sure that the old one is dead, by killing
//! it at the server: `CLIENT KILL` drops what it has not run. Ids of clients start afresh when a
//! server restarts, and are others at another server, so the old connection is known by its name, too.

use super::{describe, Answers, Target, Trouble};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult};
use std::hash::{BuildHasher, RandomState};
use tracing::debug;

pub struct Node {
    target: Target,
    connection: Option<MultiplexedConnection>,
    /// The last connection, also when it is given up. `None` where the server does not tell (an ACL
    /// without `CLIENT`).
    last: Option<Identity>,
    /// Whether the last answers had an error that another connection may not get.
    doubtful: bool,
}

/// How the server knows a connection.
#[derive(Debug, Clone)]
struct Identity {
    id: i64,
    name: String,
}

impl Node {
    /// Not connected yet.
    pub fn new(target: Target) -> Node {
        Node {
            target,
            connection: None,
            last: None,
            doubtful: false,
        }
    }

    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    pub fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Connects, ends the last connection at the server, and makes sure that commands are answered.
    pub async fn open(&mut self) -> Result<(), Trouble> {
        if self.is_open() {
            return Ok(());
        }
        self.connect().await.map_err(|error| Trouble::of(&error))
    }

    async fn connect(&mut self) -> RedisResult<()> {
        let mut connection = self.target.connect().await?;
        if let Some(last) = &self.last {
            end(&mut connection, last).await?;
        }
        self.last = introduce(&mut connection, &self.target.name).await?;
        redis::cmd("PING").exec_async(&mut connection).await?;
        self.connection = Some(connection);
        self.doubtful = false;
        Ok(())
    }

    /// The next command goes over a new connection.
    pub fn give_up(&mut self) {
        self.connection = None;
    }

    pub async fn ping(&mut self) -> Result<(), Trouble> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("PING");
        self.run(pipeline).await.map(drop)
    }

    /// As [`Node::run`], and then makes sure that enough replicas have it.
    pub async fn run_and_wait(&mut self, mut pipeline: Pipeline) -> Result<Answers, Trouble> {
        let Some(wait) = self.target.wait.clone().filter(|_| !pipeline.is_empty()) else {
            return self.run(pipeline).await;
        };
        pipeline.add_command(wait.command());
        let mut answers = self.run(pipeline).await?;
        let judged = answers.pop().map_or(Ok(()), |answer| wait.judge(answer));
        if let Err(error) = judged {
            self.give_up();
            return Err(Trouble::of(&error));
        }
        Ok(answers)
    }

    /// Sends it; one answer for each command. Trouble means that nothing is known about any of them,
    /// and that the connection is given up.
    pub async fn run(&mut self, mut pipeline: Pipeline) -> Result<Answers, Trouble> {
        let expected = pipeline.len();
        // The client takes an empty one for a mistake.
        if expected == 0 {
            return Ok(Answers::new());
        }
        self.open().await?;
        let Some(connection) = &mut self.connection else {
            return Ok(Answers::new());
        };
        let answers: RedisResult<Answers> = pipeline.ignore_errors().query_async(connection).await;
        let answers = answers.and_then(|answers| match answers.len() == expected {
            true => Ok(answers),
            false => Err(RedisError::from((
                ErrorKind::UnexpectedReturnType,
                "the server gave another number of answers than there were commands",
            ))),
        });
        match &answers {
            Ok(answers) => {
                self.doubtful = answers.iter().any(|answer| match answer {
                    Err(error) => error.redirect_node().is_none(),
                    Ok(_) => false,
                });
            }
            Err(_) => self.give_up(),
        }
        answers.map_err(|error| Trouble::of(&error))
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

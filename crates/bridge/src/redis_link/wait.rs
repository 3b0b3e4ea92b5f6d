//! `WAIT`: what a message said is to be on replicas before it is acknowledged, so that it is not lost
//! with the master. Replication is asynchronous without it.

use redis::{Cmd, RedisResult, Value};
use std::time::Duration;

#[derive(Debug, Clone)]
pub struct Wait {
    replicas: u8,
    limit: Duration,
}

impl Wait {
    /// `None` if no replica has to have it. `response_timeout` is what the server is given to answer.
    pub fn new(replicas: u8, response_timeout: Duration) -> Option<Wait> {
        let limit = response_timeout / 2;
        (replicas > 0).then_some(Wait { replicas, limit })
    }

    /// What follows the commands.
    pub fn command(&self) -> Cmd {
        let mut command = redis::cmd("WAIT");
        let limit = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        command.arg(self.replicas).arg(limit);
        command
    }

    /// Too few is an error for all commands: what the master has, it may yet lose.
    pub fn judge(&self, answer: RedisResult<Value>) -> RedisResult<()> {
        let (replicas, wanted): (u64, _) = (redis::from_redis_value(answer?)?, self.replicas);
        if replicas >= wanted.into() {
            return Ok(());
        }
        Err(redis::make_extension_error(
            "NOREPLICAS".to_owned(),
            Some(format!(
                "{replicas} replicas have the commands, and {wanted} should (redis.wait_replicas)"
            )),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_link::describe;

    #[test]
    fn too_few_replicas_are_an_error() {
        let wait = Wait::new(2, Duration::from_secs(10)).unwrap();
        assert!(wait.judge(Ok(Value::Int(2))).is_ok());
        assert!(wait.judge(Ok(Value::Int(3))).is_ok());
        let error = wait.judge(Ok(Value::Int(1))).unwrap_err();
        assert_eq!(
            describe(&error),
            "NOREPLICAS 1 replicas have the commands, and 2 should (redis.wait_replicas)"
        );
        assert!(wait.judge(Ok(Value::Okay)).is_err());
        assert!(Wait::new(0, Duration::from_secs(10)).is_none());
    }
}

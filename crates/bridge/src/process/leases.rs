//! One queue, as one worker of it sees it: the commands.

use crate::queue::Delivery;
use crate::redis_link::{Link, Trouble};
use redis::{Cmd, Value};
use std::collections::HashMap;
use std::time::Duration;

/// How long a look waits for a message. A stop waits as long.
const BLOCK: Duration = Duration::from_secs(1);

/// How many messages are looked through for those that a predecessor has left behind.
const LOOKED_THROUGH: usize = 1000;

#[derive(Debug, Clone)]
pub struct Leases {
    pub key: String,
    pub worker: String,
    /// A message that was delivered as often and comes back is dead; 0: never.
    pub max_deliveries: u32,
}

/// Whether to wait for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    No,
    Awhile,
}

impl Leases {
    /// The oldest message, if nobody has anything of this queue: whoever has it has the queue.
    pub async fn head(
        &self,
        link: &mut Link,
        lease: Duration,
        wait: Wait,
    ) -> Result<Option<Delivery>, Trouble> {
        let mut get = self.get(1, lease);
        if wait == Wait::Awhile {
            get.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        }
        let head: Vec<Delivery> = link.query(&get).await?;
        Ok(head.into_iter().next())
    }

    /// What comes behind the head, for the one who has it.
    pub async fn behind_head(
        &self,
        link: &mut Link,
        lease: Duration,
        most: usize,
    ) -> Result<Vec<Delivery>, Trouble> {
        link.query(&self.get(most, lease)).await
    }

    /// As many messages in order as are neither done nor had by anybody, `in_flight` with those.
    fn get(&self, in_flight: usize, lease: Duration) -> Cmd {
        let mut get = self.command("QUEUE.GET");
        get.arg(&self.worker);
        get.arg("COUNT").arg(in_flight);
        get.arg("LEASE").arg(lease.as_millis() as u64);
        get.arg("MAX").arg(self.max_deliveries);
        get.arg("INFLIGHT").arg(in_flight);
        get
    }

    pub async fn acknowledge(&self, link: &mut Link, ids: &[&str]) -> Result<(), Trouble> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut ack = self.command("QUEUE.ACK");
        ack.arg(ids);
        link.query(&ack).await
    }

    /// Whether all of them are still had, for as long again.
    pub async fn renew(
        &self,
        link: &mut Link,
        lease: Duration,
        ids: &[&str],
    ) -> Result<bool, Trouble> {
        let mut touch = self.command("QUEUE.TOUCH");
        touch.arg(&self.worker).arg(lease.as_millis() as u64);
        touch.arg(ids);
        let held: usize = link.query(&touch).await?;
        Ok(held == ids.len())
    }

    /// Somebody may have them at once.
    pub async fn give_back(&self, link: &mut Link, ids: &[&str]) -> Result<(), Trouble> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut nack = self.command("QUEUE.NACK");
        nack.arg(&self.worker).arg(ids);
        link.query(&nack).await
    }

    /// Gives back what a predecessor of the same name had when it died, or what was on its way when a
    /// connection broke. Otherwise it would come when its lease is over.
    pub async fn give_back_all(&self, link: &mut Link) -> Result<(), Trouble> {
        let mut pending = self.command("QUEUE.PENDING");
        pending.arg("COUNT").arg(LOOKED_THROUGH);
        let rows: Vec<HashMap<String, Value>> = link.query(&pending).await?;
        let is_mine = |row: &HashMap<String, Value>| text(row, "worker") == Some(&self.worker);
        let mine: Vec<&str> = rows
            .iter()
            .filter(|row| is_mine(row))
            .filter_map(|row| text(row, "id"))
            .collect();
        self.give_back(link, &mine).await
    }

    fn command(&self, name: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(&self.key);
        command
    }
}

fn text<'r>(row: &'r HashMap<String, Value>, field: &str) -> Option<&'r str> {
    match row.get(field)? {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

//! Dead letters once more: after a fault has been mended (a rule, a limit, a permission), the messages
//! that failed for it are read again, as the configuration is now, and applied.
//!
//! An entry leaves the stream when Redis has confirmed its commands, and never before.

use crate::config::{Config, DeadLettersConfig};
use crate::dead_letters::field;
use crate::mqtt::Message;
use crate::profile::Profiles;
use crate::redis_link::{Link, Target};
use crate::serve::Plan;
use crate::text::one_line;
use crate::verdict::Outcome;
use crate::work::{Then, Work};
use redis::streams::{StreamId, StreamRangeReply};
use redis::FromRedisValue;
use std::collections::HashMap;

/// Entries looked at in one go.
const PAGE: usize = 100;

/// Which entries are tried.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Choice {
    /// Only these entries of the stream; without any, all that are there now
    #[arg(value_name = "ENTRY-ID")]
    pub ids: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// Tries the chosen entries, and prints what became of them. True if none stays.
pub async fn run(config: &Config, plan: Plan, choice: &Choice) -> Result<bool, String> {
    let name = "devicestate-bridge-replay".to_owned();
    let target = Target::new(&config.redis, &plan.peers.redis, name);
    let mut link = Link::new(&target);
    link.open().await.map_err(|trouble| trouble.to_string())?;
    let mut replay = Replay {
        link,
        dead_letters: &config.dead_letters,
        profiles: &plan.profiles,
        dry_run: choice.dry_run,
        replayed: 0,
        left: 0,
    };
    let outcome = match choice.ids.as_slice() {
        [] => replay.all().await,
        ids => replay.those(ids).await,
    };
    let replayed = if choice.dry_run {
        "would be replayed"
    } else {
        "replayed"
    };
    println!("{} {replayed}, {} left", replay.replayed, replay.left);
    outcome.map(|()| replay.left == 0)
}

struct Replay<'a> {
    link: Link,
    dead_letters: &'a DeadLettersConfig,
    profiles: &'a Profiles,
    dry_run: bool,
    replayed: usize,
    /// They are in the stream still, and a line says why.
    left: usize,
}

impl Replay<'_> {
    async fn those(&mut self, ids: &[String]) -> Result<(), String> {
        for id in ids {
            let found = self.range(id, id, 1).await?;
            if found.is_empty() {
                self.leave(&one_line(id), "there is no such entry");
            }
            self.page(found).await?;
        }
        Ok(())
    }

    /// Oldest first. Those that come while this runs are left out, or it might never end.
    async fn all(&mut self) -> Result<(), String> {
        let Some(last) = self.last().await? else {
            return Ok(());
        };
        let mut from = "-".to_owned();
        loop {
            let page = self.range(&from, &last, PAGE).await?;
            let Some(entry) = page.last() else {
                return Ok(());
            };
            from = format!("({}", entry.id);
            self.page(page).await?;
        }
    }

    async fn page(&mut self, page: Vec<StreamId>) -> Result<(), String> {
        let mut ready: Vec<(String, Work)> = Vec::new();
        for entry in page {
            match self.read(&entry).await? {
                Ok(work) => ready.push((entry.id, work)),
                Err(reason) => self.leave(&entry.id, &reason),
            }
        }
        if self.dry_run {
            self.replayed += ready.len();
            return Ok(());
        }
        let mut done = redis::cmd("XDEL");
        done.arg(&self.dead_letters.key);
        let (mut replayed, mut not_now) = (0, None);
        for some in one_of_each_device(ready) {
            let replies = self.link.send(some.iter().map(|(_, work)| work)).await;
            for ((id, _), reply) in some.iter().zip(replies) {
                match Outcome::of(&reply) {
                    Outcome::Confirmed => {
                        done.arg(id);
                        replayed += 1;
                    }
                    Outcome::Refused(reason) => self.leave(id, &reason),
                    Outcome::NotNow { reason, .. } => not_now = Some(reason),
                }
            }
            // What comes behind it may be of the same device.
            if not_now.is_some() {
                break;
            }
        }
        if replayed > 0 {
            self.query::<usize>(&done).await?;
        }
        self.replayed += replayed;
        not_now.map_or(Ok(()), Err)
    }

    fn leave(&mut self, id: &str, reason: &str) {
        self.left += 1;
        println!("{id}: {}", one_line(reason));
    }

    /// The outer error is one of the server.
    async fn read(&mut self, entry: &StreamId) -> Result<Result<Work, String>, String> {
        let message = match message(entry) {
            Ok(message) => message,
            Err(reason) => return Ok(Err(reason)),
        };
        let work = self.profiles.read(&message).outcome;
        let work = match work {
            Ok(work) => match &work.then {
                Then::Read(later) => {
                    let replies = self.link.send(std::iter::once(&work)).await;
                    let reply = replies.into_iter().next().unwrap_or_default();
                    match Outcome::of(&reply) {
                        Outcome::Confirmed => {
                            later.read(&message, &reply.answers.unwrap_or_default())
                        }
                        Outcome::Refused(reason) => return Ok(Err(reason)),
                        Outcome::NotNow { reason, .. } => return Err(reason),
                    }
                }
                _ => Ok(work),
            },
            refusal => refusal,
        };
        Ok(work.map_err(|refusal| refusal.reason))
    }

    async fn last(&mut self) -> Result<Option<String>, String> {
        let mut look = redis::cmd("XREVRANGE");
        look.arg(&self.dead_letters.key)
            .arg("+")
            .arg("-")
            .arg("COUNT")
            .arg(1);
        let newest: StreamRangeReply = self.query(&look).await?;
        Ok(newest.ids.into_iter().next().map(|entry| entry.id))
    }

    async fn range(&mut self, from: &str, to: &str, most: usize) -> Result<Vec<StreamId>, String> {
        let mut look = redis::cmd("XRANGE");
        look.arg(&self.dead_letters.key)
            .arg(from)
            .arg(to)
            .arg("COUNT")
            .arg(most);
        let page: StreamRangeReply = self.query(&look).await?;
        Ok(page.ids)
    }

    async fn query<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, String> {
        let answer = self.link.query(command).await;
        answer.map_err(|trouble| trouble.to_string())
    }
}

/// In parts of which each has one work of a device at most: the next one is not sent before the one
/// before it is done, so that none overtakes another.
fn one_of_each_device(entries: Vec<(String, Work)>) -> Vec<Vec<(String, Work)>> {
    let mut parts: Vec<Vec<(String, Work)>> = Vec::new();
    let mut before: HashMap<String, usize> = HashMap::new();
    for (id, work) in entries {
        let part = before.entry(work.device.clone()).or_default();
        if *part == parts.len() {
            parts.push(Vec::new());
        }
        parts[*part].push((id, work));
        *part += 1;
    }
    parts
}

/// The message that an entry was.
fn message(entry: &StreamId) -> Result<Message, String> {
    if let Some(size) = entry.get::<u64>(field::SIZE) {
        return Err(format!("its payload of {size} bytes was cut, it is lost"));
    }
    let bytes = |name| entry.get::<Vec<u8>>(name).map(Vec::into_boxed_slice);
    Ok(Message {
        topic: bytes(field::TOPIC).ok_or("not a dead letter, it has no topic")?,
        payload: bytes(field::PAYLOAD).ok_or("not a dead letter, it has no payload")?,
        content_type: entry.get::<String>(field::CONTENT_TYPE).map(Into::into),
        packet_id: None,
        retained: entry.contains_key(field::RETAINED),
        received_at: entry.get(field::RECEIVED_AT),
    })
}

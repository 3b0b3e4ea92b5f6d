//! Reads the stream of events as a member of the consumer group, over a connection of its own,
//! because it waits there.
//!
//! Events that are gone before the group was given them are the one thing a consumer group does not
//! tell. So each read looks, in the same transaction, where the group stands and what the stream has
//! lost. After a gap the present state of the devices stands in for the events; only when the downlink
//! has walked it does the group move past the gap, so that a bridge that is killed meanwhile finds the
//! gap again. The same holds where there is no group (yet, or no more: the stream was deleted, the
//! database flushed).

use super::events::{entries, items, text, Entry};
use super::ledger::Mark;
use super::pause::{Condition, Part, Pause};
use super::position::{GroupInfo, StreamId, StreamInfo};
use crate::backoff::Backoff;
use crate::redis_link::Link;
use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

/// How long one wait for events takes. It is shorter than any response timeout.
const WAIT_MS: usize = 2000;

/// What the downlink hears from its reader.
#[derive(Debug)]
pub enum News {
    Entries {
        entries: Vec<Entry>,
        /// They were given to this bridge before, and may have been worked on.
        again: bool,
        /// Where they stand, if they are finished batch by batch.
        mark: Option<Mark>,
    },
    /// Events are gone, and the present state has to stand in for them. To be answered when it does.
    Gap(oneshot::Sender<()>),
}

/// The stream, and this bridge's place in it.
#[derive(Debug, Clone)]
pub struct Membership {
    pub stream: String,
    pub group: String,
    pub consumer: String,
    /// Entries read at a time, at most.
    pub batch: usize,
}

impl Membership {
    /// What this bridge was given and has not acknowledged (after `id`), or what is new (`>`).
    fn read(&self, id: &str) -> Cmd {
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.group).arg(&self.consumer);
        read.arg("COUNT").arg(self.batch).arg("STREAMS");
        read.arg(&self.stream).arg(id);
        read
    }

    pub fn acknowledge(&self, ids: &[String]) -> Cmd {
        let mut acknowledge = redis::cmd("XACK");
        acknowledge.arg(&self.stream).arg(&self.group).arg(ids);
        acknowledge
    }

    /// Takes over what others have not finished in this time.
    pub fn claim(&self, idle_ms: u64, start: &str) -> Cmd {
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim.arg(&self.stream).arg(&self.group).arg(&self.consumer);
        claim.arg(idle_ms).arg(start).arg("COUNT").arg(self.batch);
        claim
    }
}

/// One session of the reader, over one connection.
pub struct Reader<'a> {
    pub membership: &'a Membership,
    pub link: &'a mut Link,
    pub news: &'a mpsc::Sender<News>,
    pub condition: &'a Condition,
    /// Begins anew when reading works.
    pub backoff: &'a mut Backoff,
}

/// What one read found.
struct Found {
    stream: StreamInfo,
    /// `None`: there is no such group.
    group: Option<GroupInfo>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    /// Reads until something is in the way. Ends without it when nobody listens any more.
    pub async fn run(mut self) -> Result<(), Pause> {
        self.read_again().await?;
        loop {
            // Nothing is read before there is room for it.
            if self.news.reserve().await.is_err() {
                return Ok(());
            }
            let found = self.read().await?;
            self.condition.works(Part::Read);
            self.backoff.reset();
            let gap = match &found.group {
                None => true,
                Some(group) => found.stream.is_trimmed_past(group),
            };
            if gap && !self.bridge_gap(&found).await? {
                return Ok(());
            }
            if !found.entries.is_empty() {
                if !self.pass(found.entries, false).await {
                    return Ok(());
                }
            } else if !gap {
                self.wait(found.stream.last).await?;
            }
        }
    }

    /// What this bridge was given before and has not acknowledged.
    async fn read_again(&mut self) -> Result<(), Pause> {
        let mut after = "0".to_owned();
        loop {
            let answer = self.ask(&[self.membership.read(&after)]).await?.pop();
            let found = match answer {
                Some(Ok(answer)) => of_stream(&answer),
                Some(Err(error)) if is_no_group(&error) => return Ok(()),
                Some(Err(error)) => return Err(Pause::of(&error)),
                None => Vec::new(),
            };
            match found.last() {
                Some(last) => after.clone_from(&last.id),
                None => return Ok(()),
            }
            if !self.pass(found, true).await {
                return Ok(());
            }
        }
    }

    /// New entries, and where group and stream stood just before they were read.
    async fn read(&mut self) -> Result<Found, Pause> {
        let mut stream = redis::cmd("XINFO");
        stream.arg("STREAM").arg(&self.membership.stream);
        let mut groups = redis::cmd("XINFO");
        groups.arg("GROUPS").arg(&self.membership.stream);
        let read = self.membership.read(">");
        let multi = [
            redis::cmd("MULTI"),
            stream,
            groups,
            read,
            redis::cmd("EXEC"),
        ];
        let mut answers = self.ask(&multi).await?;
        let ran = answers.pop();
        if let Some(error) = answers.into_iter().find_map(Result::err) {
            return Err(Pause::of(&error));
        }
        let ran = match ran {
            Some(Ok(Value::Array(ran))) => ran,
            Some(Err(error)) => return Err(Pause::of(&error)),
            _ => Vec::new(),
        };
        let [stream, groups, read] = <[Value; 3]>::try_from(ran).map_err(|_| unexpected())?;
        let (stream, groups) = match (stream, groups) {
            // There is no such key.
            (Value::ServerError(error), _) if error.code() == "ERR" => {
                (StreamInfo::default(), Value::Nil)
            }
            (Value::ServerError(error), _) | (_, Value::ServerError(error)) => {
                return Err(Pause::of(&error.into()));
            }
            (stream, groups) => {
                let stream = StreamInfo::parse(&stream).ok_or_else(unexpected)?;
                (stream, groups)
            }
        };
        let group = GroupInfo::parse(&groups, &self.membership.group);
        let entries = match read {
            Value::ServerError(error) if group.is_some() => return Err(Pause::of(&error.into())),
            read => of_stream(&read),
        };
        Ok(Found {
            stream,
            group,
            entries,
        })
    }

    /// Has the downlink walk the devices, then moves the group to where the stream was when that
    /// began. False when nobody listens any more.
    async fn bridge_gap(&mut self, found: &Found) -> Result<bool, Pause> {
        let Membership { stream, group, .. } = self.membership;
        match &found.group {
            None => warn!("{stream} has no group {group}: looking at all devices instead"),
            Some(before) => {
                warn!(
                    "{stream} was trimmed past the group {group}: looking at all devices instead"
                );
                // The read has moved it.
                self.set_id(before.delivered, None).await?;
            }
        }
        let (done, walked) = oneshot::channel();
        if self.news.send(News::Gap(done)).await.is_err() || walked.await.is_err() {
            return Ok(false);
        }
        let (last, added) = (found.stream.last, found.stream.added);
        match &found.group {
            None => self.create(last, added).await?,
            Some(_) => self.set_id(last, Some(added)).await?,
        }
        Ok(true)
    }

    async fn set_id(&mut self, id: StreamId, read: Option<u64>) -> Result<(), Pause> {
        let mut set = redis::cmd("XGROUP");
        set.arg("SETID").arg(&self.membership.stream);
        set.arg(&self.membership.group).arg(id.to_string());
        if let Some(read) = read {
            set.arg("ENTRIESREAD").arg(read);
        }
        match self.ask(&[set]).await?.pop() {
            // It will be found missing.
            Some(Err(error)) if !is_no_group(&error) && error.code() != Some("ERR") => {
                Err(Pause::of(&error))
            }
            _ => Ok(()),
        }
    }

    async fn create(&mut self, id: StreamId, read: u64) -> Result<(), Pause> {
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(&self.membership.stream);
        create.arg(&self.membership.group).arg(id.to_string());
        create.arg("MKSTREAM").arg("ENTRIESREAD").arg(read);
        match self.ask(&[create]).await?.pop() {
            // Another bridge was faster.
            Some(Err(error)) if error.code() != Some("BUSYGROUP") => Err(Pause::of(&error)),
            _ => Ok(()),
        }
    }

    /// Waits until the stream has more than this, or for a while.
    async fn wait(&mut self, last: StreamId) -> Result<(), Pause> {
        let mut wait = redis::cmd("XREAD");
        wait.arg("COUNT").arg(1).arg("BLOCK").arg(WAIT_MS);
        wait.arg("STREAMS").arg(&self.membership.stream);
        wait.arg(last.to_string());
        match self.ask(&[wait]).await?.pop() {
            Some(Err(error)) => Err(Pause::of(&error)),
            _ => Ok(()),
        }
    }

    async fn pass(&self, entries: Vec<Entry>, again: bool) -> bool {
        let news = News::Entries {
            entries,
            again,
            mark: None,
        };
        self.news.send(news).await.is_ok()
    }

    async fn ask(&mut self, commands: &[Cmd]) -> Result<Vec<RedisResult<Value>>, Pause> {
        let answers = self.link.ask(commands).await;
        answers.map_err(|trouble| Pause::broken(&trouble))
    }
}

/// The entries of the one stream that was read.
fn of_stream(answer: &Value) -> Vec<Entry> {
    let stream = items(answer).first().map(items).unwrap_or_default();
    stream.get(1).map(entries).unwrap_or_default()
}

/// Those of `XAUTOCLAIM`, and where it goes on.
pub fn of_claim(answer: &Value) -> (Option<String>, Vec<Entry>) {
    let next = items(answer).first().and_then(text);
    let mut found = items(answer).get(1).map(entries).unwrap_or_default();
    // Their ids; the server has acknowledged them itself.
    let gone = items(answer).get(2).map(items).unwrap_or_default();
    found.extend(gone.iter().filter_map(text).map(|id| Entry {
        id,
        event: None,
        gone: true,
    }));
    (next.filter(|next| next != "0-0"), found)
}

pub fn is_no_group(error: &RedisError) -> bool {
    error.code() == Some("NOGROUP")
}

pub fn unexpected() -> Pause {
    Pause {
        reason: "the server gave an answer of another form".to_owned(),
        reconnect: true,
    }
}

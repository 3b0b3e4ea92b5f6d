//! Where the events of a cluster were read to, and who reads them: a hash in the cluster.
//!
//! One bridge reads at a time. It has the hash for a while and renews that; when it is silent for too
//! long another one takes over, and begins where the cursor is that was stored last. Each owner has a
//! term of its own, without which nothing is stored: one that was stalled, and was taken for dead, can't
//! put its older cursor over a newer one.

use super::events::{items, text};
use redis::{Cmd, Value};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// Answers `{1, term, cursor, now, until}`, or `{0, ms}`: it is somebody else's for so long.
const TAKE: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'owner', 'until', 'term', 'cursor')
if kept[1] ~= ARGV[1] and (tonumber(kept[2]) or 0) > now then return {0, kept[2] - now} end
local term = tonumber(kept[3]) or 0
if kept[1] ~= ARGV[1] then term = term + 1 end
local untilThen = string.format('%.0f', now + ARGV[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', untilThen, 'term', string.format('%.0f', term))
return {1, term, kept[4], now, tonumber(kept[2]) or 0}";

/// Answers 0 where it is somebody else's. The lease begins anew.
const STORE: &str = "\
local kept = redis.call('HMGET', KEYS[1], 'owner', 'term')
if kept[1] ~= ARGV[1] or kept[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local untilThen = string.format('%.0f', now + ARGV[4])
redis.call('HSET', KEYS[1], 'cursor', ARGV[3], 'until', untilThen)
return 1";

/// Lets another one have it at once.
const RELEASE: &str = "\
local kept = redis.call('HMGET', KEYS[1], 'owner', 'term')
if kept[1] ~= ARGV[1] or kept[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now))
return 1";

/// The hash of a group of bridges. The braces give it a slot whatever the group is called.
pub fn cursor_key(group: &str) -> String {
    format!("bridge:cursor:{{{group}}}")
}

#[derive(Debug, Clone)]
pub struct Keeper {
    key: String,
    owner: String,
    lease: Duration,
    /// The last one in which it was this bridge's; 0: none. Reader and downlink share it.
    term: Arc<AtomicU64>,
}

/// What came of the attempt to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Mine {
        term: u64,
        /// `None`: nothing was stored yet.
        cursor: Option<String>,
        /// The server's clock, in milliseconds since the Unix epoch.
        now: u64,
        /// How long it was the last owner's by that clock. That one read nothing that is newer.
        until: u64,
    },
    /// Another bridge has it, for so long if it does not renew that.
    Theirs(Duration),
}

impl Keeper {
    /// For a group of bridges that read together. `consumer` is this one's name.
    pub fn new(group: &str, consumer: &str, lease: Duration) -> Keeper {
        let random = RandomState::new().hash_one(consumer);
        Keeper {
            key: cursor_key(group),
            owner: format!("{consumer}-{random:016x}"),
            lease,
            term: Arc::default(),
        }
    }

    pub fn set_term(&self, term: u64) {
        self.term.store(term, Ordering::Relaxed);
    }

    pub fn lease(&self) -> Duration {
        self.lease
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// Has it, or has it for longer.
    pub fn take(&self) -> Cmd {
        let mut take = self.script(TAKE);
        take.arg(self.lease.as_millis() as u64);
        take
    }

    pub fn store(&self, term: u64, cursor: &str) -> Cmd {
        let mut store = self.script(STORE);
        store.arg(term).arg(cursor);
        store.arg(self.lease.as_millis() as u64);
        store
    }

    pub fn release(&self) -> Option<Cmd> {
        let term = self.term.load(Ordering::Relaxed);
        (term > 0).then(|| {
            let mut release = self.script(RELEASE);
            release.arg(term);
            release
        })
    }

    fn script(&self, script: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(1).arg(&self.key).arg(&self.owner);
        command
    }
}

impl Taken {
    pub fn parse(answer: &Value) -> Option<Taken> {
        let number = |value: &Value| match value {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        match items(answer) {
            [Value::Int(1), term, cursor, now, until] => Some(Taken::Mine {
                term: number(term)?,
                cursor: text(cursor),
                now: number(now)?,
                until: number(until)?,
            }),
            [Value::Int(0), ms] => Some(Taken::Theirs(Duration::from_millis(number(ms)?))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_script() {
        let cursor = Value::BulkString(b"5-0".to_vec());
        let mine = |cursor| {
            let (one, term) = (Value::Int(1), Value::Int(7));
            Value::Array(vec![one, term, cursor, Value::Int(9), Value::Int(5)])
        };
        let taken = |cursor: Option<&str>| Taken::Mine {
            term: 7,
            cursor: cursor.map(str::to_owned),
            now: 9,
            until: 5,
        };
        assert_eq!(Taken::parse(&mine(cursor)), Some(taken(Some("5-0"))));
        assert_eq!(Taken::parse(&mine(Value::Nil)), Some(taken(None)));
        let theirs = Value::Array(vec![Value::Int(0), Value::Int(1500)]);
        let expected = Taken::Theirs(Duration::from_millis(1500));
        assert_eq!(Taken::parse(&theirs), Some(expected));
        assert_eq!(Taken::parse(&Value::Okay), None);
    }
}

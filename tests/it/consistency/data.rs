//! All that a database holds, by type of key, read in one atomic step.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Connection, Value};

use crate::support::*;

/// With `ARGV[1]` the module's own check, every page of it, in the same step.
const READ_ALL: &str = r#"
local all, found = {}, {}
for _, key in ipairs(redis.call('KEYS', '*')) do
    local kind, content = redis.call('TYPE', key).ok, {}
    if kind == 'hash' then content = redis.call('HGETALL', key)
    elseif kind == 'set' then content = redis.call('SMEMBERS', key)
    elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    elseif kind == 'stream' then content = redis.call('XRANGE', key, '-', '+') end
    local added = 0
    if kind == 'stream' then
        local info = redis.call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do if info[i] == 'entries-added' then added = info[i + 1] end end
    end
    all[#all + 1] = {key, kind, redis.call('PTTL', key), content, added}
end
local cursor = ARGV[1]
while cursor do
    local page = redis.call('DEVICE.CHECK', cursor, 'COUNT', 10000)
    found[#found + 1] = page[2]
    cursor = page[1]
    if cursor == '0' then break end
end
return {all, found}
"#;

pub type Fields = BTreeMap<String, String>;

/// What is not UTF-8 is shown escaped.
#[derive(Default)]
pub struct Data {
    pub hashes: BTreeMap<String, Fields>,
    pub sets: BTreeMap<String, BTreeSet<String>>,
    /// Members and their scores, as text.
    pub sorted: BTreeMap<String, Fields>,
    pub streams: BTreeMap<String, Events>,
    /// Streams of which something is gone: what is left begins in the middle.
    pub trimmed: BTreeSet<String>,
    /// All keys, and whether each expires.
    pub expires: BTreeMap<String, bool>,
    /// What `DEVICE.CHECK` finds, without what it does not.
    pub check: BTreeMap<String, i64>,
}

impl Data {
    #[track_caller]
    pub fn read(con: &mut Connection) -> Data {
        Data::of(cmd!(con, "EVAL", READ_ALL, 0).value())
    }

    /// With the findings of the module's own check.
    #[track_caller]
    pub fn read_and_check(con: &mut Connection) -> Data {
        Data::of(con.run(&Data::ask_with_check()).value())
    }

    /// What to send for a reply that [`Data::of`] reads.
    pub fn ask_with_check() -> redis::Cmd {
        let mut ask = command("EVAL");
        ask.arg(READ_ALL).arg(0).arg(0);
        ask
    }

    #[track_caller]
    pub fn of(reply: &Value) -> Data {
        let mut data = Data::default();
        for found in reply.at(0).items() {
            data.add(&found);
        }
        for page in reply.at(1).items() {
            for (name, count) in page.fields() {
                if count.int() > 0 {
                    *data.check.entry(name).or_default() += count.int();
                }
            }
        }
        data
    }

    #[track_caller]
    fn add(&mut self, found: &Value) {
        let (key, content) = (text(&found.at(0)), found.at(3).items());
        let pairs = || content.chunks(2).map(|p| (text(&p[0]), text(&p[1])));
        match found.at(1).text().as_str() {
            "hash" => _ = self.hashes.insert(key.clone(), pairs().collect()),
            "zset" => _ = self.sorted.insert(key.clone(), pairs().collect()),
            "set" => {
                let members = content.iter().map(text).collect();
                self.sets.insert(key.clone(), members);
            }
            "stream" => {
                if found.at(4).int() > content.len() as i64 {
                    self.trimmed.insert(key.clone());
                }
                self.streams.insert(key.clone(), Events(entries(&content)));
            }
            _ => {}
        }
        self.expires.insert(key, found.at(2).int() >= 0);
    }

    /// The fields of a hash; none where there is no such hash.
    pub fn hash(&self, key: &str) -> Option<&Fields> {
        self.hashes.get(key)
    }

    /// Devices that were written by the module, or adopted: those whose hash says what it is of.
    pub fn device(&self, id: &str) -> Option<&Fields> {
        let fields = self.hash(&format!("device:state:{id}"))?;
        (fields.get("device_id").map(String::as_str) == Some(id)).then_some(fields)
    }

    /// The names that follow `prefix` in names of keys.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let keys = self.expires.keys();
        keys.filter_map(move |key| key.strip_prefix(prefix))
    }
}

fn entries(content: &[Value]) -> Vec<Event> {
    let fields = |entry: &Value| -> Fields {
        let words = entry.at(1).items();
        let pairs = words.chunks(2).map(|p| (text(&p[0]), text(&p[1])));
        pairs.collect()
    };
    let event = |entry: &Value| Event {
        id: text(&entry.at(0)),
        fields: fields(entry),
    };
    content.iter().map(event).collect()
}

fn text(value: &Value) -> String {
    let bytes = value.bytes();
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.as_bytes().escape_ascii().to_string(),
    }
}

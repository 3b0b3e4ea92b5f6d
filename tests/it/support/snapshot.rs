//! Everything a database holds, to compare before and after: a refused or a reading command must
//! leave it alone.

use std::collections::BTreeMap;

use redis::{Connection, Value};

use super::client::{cmd, Reply};

/// Key name -> its content, one line per element, in a fixed order. Not printable bytes are escaped.
pub type Snapshot = BTreeMap<String, Vec<String>>;

/// Reads all keys in one atomic step. Streams come with their last id, groups and pending entries.
const READ_ALL: &str = r#"
local with_expiry = ARGV[1] == '1'
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
    local kind = redis.call('TYPE', key).ok
    local content
    if kind == 'string' then content = {redis.call('GET', key)}
    elseif kind == 'hash' then content = redis.call('HGETALL', key)
    elseif kind == 'set' then content = redis.call('SMEMBERS', key)
    elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    elseif kind == 'list' then content = redis.call('LRANGE', key, 0, -1)
    elseif kind == 'stream' then content = redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0)
    else content = {redis.call('DUMP', key)} end
    local expires = redis.call('PEXPIRETIME', key)
    if not with_expiry and expires >= 0 then expires = 0 end
    all[#all + 1] = {key, kind, expires, content}
end
return all
"#;

/// All of the connection's database: types and contents, and whether a key expires, but not when
/// (the sweeper may refresh that at any time).
#[track_caller]
pub fn snapshot(con: &mut Connection) -> Snapshot {
    read(con, false)
}

/// As [`snapshot`], with the moment each key expires.
#[track_caller]
pub fn snapshot_with_expiry(con: &mut Connection) -> Snapshot {
    read(con, true)
}

#[track_caller]
fn read(con: &mut Connection, with_expiry: bool) -> Snapshot {
    let left_out = match replicates_entries_read(con) {
        true => &NO_DATA[..3],
        false => &NO_DATA[..],
    };
    let keys = cmd!(con, "EVAL", READ_ALL, 0, i32::from(with_expiry)).items();
    keys.iter()
        .map(|key| (plain(&key.at(0), left_out), lines(key, left_out)))
        .collect()
}

/// What no copy of a stream says alike: when a consumer was there is no data, nor is how far behind a
/// group is. How many entries a group has read is counted by XREADGROUP alone, and older servers
/// replicate nothing of that.
const NO_DATA: [&[u8]; 4] = [b"seen-time", b"active-time", b"lag", b"entries-read"];

/// Redis 8 and Valkey do.
fn replicates_entries_read(con: &mut Connection) -> bool {
    let info = cmd!(con, "INFO", "server").text();
    let major = |name: &str| {
        let version = info.lines().find_map(|line| line.strip_prefix(name))?;
        version.split('.').next()?.parse::<u32>().ok()
    };
    major("valkey_version:").is_some() || major("redis_version:") >= Some(8)
}

/// The lines of one key of the script's reply.
fn lines(key: &Value, left_out: &[&[u8]]) -> Vec<String> {
    let kind = key.at(1).text();
    let head = match key.at(2).int() {
        -1 => kind.clone(),
        0 => format!("{kind}, expires"),
        at => format!("{kind}, expires at {at}"),
    };
    let content = key.at(3).items();
    let mut body: Vec<String> = match kind.as_str() {
        "hash" | "zset" | "stream" => content
            .chunks(2)
            .map(|p| format!("{}: {}", plain(&p[0], left_out), plain(&p[1], left_out)))
            // The server keeps no account of what a module deletes; its replicas do.
            .filter(|line| !line.starts_with("max-deleted-entry-id: "))
            .filter(|line| !line.starts_with("recorded-first-entry-id: "))
            .collect(),
        _ => content.iter().map(|item| plain(item, left_out)).collect(),
    };
    if matches!(kind.as_str(), "hash" | "set") {
        body.sort();
    }
    body.insert(0, head);
    body
}

/// A value in readable form, however deep.
fn plain(value: &Value, left_out: &[&[u8]]) -> String {
    match value {
        Value::BulkString(bytes) => bytes.escape_ascii().to_string(),
        Value::Array(items) => {
            let (mut items, mut shown) = (items.iter(), Vec::new());
            while let Some(item) = items.next() {
                if matches!(item, Value::BulkString(b) if left_out.contains(&b.as_slice())) {
                    items.next();
                    continue;
                }
                shown.push(plain(item, left_out));
            }
            format!("[{}]", shown.join(", "))
        }
        Value::Nil => "nil".to_owned(),
        other => other.text(),
    }
}

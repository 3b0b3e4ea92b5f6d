//! What `STALE` must answer, by a walk over all indexes and hashes.

use std::collections::BTreeSet;

use redis::Connection;

use super::list;
use crate::devices::*;
use crate::support::*;

const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Around the timeouts of the fleet, and around the ages that are stamped.
const ASKED: [i64; 12] = [
    0,
    20,
    2_000,
    30_000,
    59_000,
    MINUTE_MS,
    61_000,
    HOUR_MS,
    2 * HOUR_MS,
    23 * HOUR_MS,
    24 * HOUR_MS,
    31 * 24 * HOUR_MS,
];

/// What the indexes and hashes say, read in one step: by index, id, and what its hash holds.
const READ: &str = r"
local all = {}
local function add(index, id, score)
    local state = redis.pcall('HMGET', KEYS[1] .. id, 'device_id', 'status', 'device_type', 'last_seen')
    if state.err then state = {} end
    for at = 1, 4 do state[at] = state[at] or '' end
    all[#all + 1] = {index, id, score, state[1], state[2], state[3], state[4]}
end
for _, index in ipairs({'online', 'online:type:lamp', 'online:type:pump'}) do
    for _, id in ipairs(redis.call('SMEMBERS', 'devices:' .. index)) do add(index, id, '0') end
end
local offline = redis.call('ZRANGE', 'devices:offline', 0, -1, 'WITHSCORES')
for at = 1, #offline, 2 do add('offline', offline[at], offline[at + 1]) end
table.sort(all, function(a, b) return a[1] .. a[2] < b[1] .. b[2] end)
return all
";

#[derive(Debug, Clone, PartialEq)]
struct Member {
    index: String,
    id: String,
    score: f64,
    device_id: String,
    status: String,
    device_type: String,
    last_seen: i64,
}

#[track_caller]
fn members(con: &mut Connection) -> Vec<Member> {
    let read = cmd!(con, "EVAL", READ, 1, "device:state:").items();
    let member = |reply: &redis::Value| {
        let text = |at: usize| reply.at(at).text();
        Member {
            index: text(0),
            id: text(1),
            score: text(2).parse().expect("a score"),
            device_id: text(3),
            status: text(4),
            device_type: text(5),
            last_seen: milliseconds(&text(6)),
        }
    };
    read.iter().map(member).collect()
}

/// The plain recipe writes seconds.
fn milliseconds(text: &str) -> i64 {
    match text.contains('.') {
        true => (text.parse::<f64>().unwrap_or(0.0) * 1_000.0) as i64,
        false => text.parse().unwrap_or(0),
    }
}

impl Member {
    fn is_offline(&self) -> bool {
        self.index == "offline"
    }

    /// Whether its hash says what the index says, and fits.
    fn fits(&self, device_type: Option<&str>, seen_by: i64) -> bool {
        self.device_id == self.id
            && self.status
                == if self.is_offline() {
                    "offline"
                } else {
                    "online"
                }
            && device_type.is_none_or(|t| self.device_type == t)
            && self.last_seen <= seen_by
    }
}

/// How many a walk over all hashes finds; offline devices of any type are counted by their index.
fn walked(
    members: &[Member],
    online: Option<bool>,
    device_type: Option<&str>,
    seen_by: i64,
) -> i64 {
    let index = device_type.map_or("online".to_owned(), |t| format!("online:type:{t}"));
    let fits = |member: &&Member| match (member.is_offline(), device_type) {
        (true, _) if online == Some(true) => false,
        (true, None) => member.score <= seen_by as f64,
        (true, Some(_)) => member.fits(device_type, seen_by),
        (false, _) if online == Some(false) || member.index != index => false,
        (false, _) => member.fits(device_type, seen_by),
    };
    members.iter().filter(fits).count() as i64
}

/// Compares every form of the question with the walk. Asked in a moment in which nothing changed.
#[track_caller]
pub fn assert_as_walked(con: &mut Connection, when: &str) {
    for (words, online, device_type) in [
        ("", None, None),
        (" ONLINE", Some(true), None),
        (" OFFLINE", Some(false), None),
        (" TYPE lamp", None, Some("lamp")),
        (" TYPE lamp ONLINE", Some(true), Some("lamp")),
        (" TYPE pump ONLINE", Some(true), Some("pump")),
    ] {
        for stale in ASKED {
            let question = format!("DEVICE.COUNT{words} STALE {stale}");
            wait_for("a moment in which nothing changes", SOON, || {
                let before = (members(con), now_ms());
                let counted = cmd!(con, &question).int();
                let after = (now_ms(), members(con));
                if before.0 != after.1 {
                    return false;
                }
                let at = |now: i64| walked(&before.0, online, device_type, now - stale);
                let range = at(before.1)..=at(after.0);
                assert!(
                    range.contains(&counted),
                    "{when}: {question} is {counted}, and a walk finds {range:?}"
                );
                true
            });
        }
    }
    // Far from any time that is stamped, so that the same fit when the list is read.
    for stale in [0, 90 * MINUTE_MS, 25 * HOUR_MS] {
        wait_for("a moment in which nothing changes", SOON, || {
            let before = members(con);
            let listed = list(con, &format!(" STALE {stale}"), 50);
            if before != members(con) {
                return false;
            }
            let seen_by = now_ms() - stale;
            let ids = |fits: &dyn Fn(&&Member) -> bool| {
                let ids = before.iter().filter(fits).map(|m| m.id.clone());
                ids.collect::<BTreeSet<String>>()
            };
            // One in the set of the other status may come or not.
            let is_listed = |m: &Member| m.is_offline() || m.index == "online";
            let must = ids(&|m| is_listed(m) && m.fits(None, seen_by));
            let may = ids(&|m| m.device_id == m.id && m.last_seen <= seen_by);
            let listed: BTreeSet<String> = listed.into_iter().collect();
            let is_right = must.is_subset(&listed) && listed.is_subset(&may);
            assert!(
                is_right,
                "{when}: DEVICE.LIST STALE {stale}: {listed:?}, not {must:?}"
            );
            true
        });
    }
}

//! The commands of alerts as calls, their replies as values, and a clock that goes as a test says.

use std::collections::BTreeMap;

use redis::{Connection, RedisResult, Value};

use crate::support::*;

/// An alert as `ALERT.LIST` shows it.
pub type Alert = BTreeMap<String, Value>;

/// One item of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Empty: a notification of no device's.
    pub device: String,
    pub alert: String,
    pub state: String,
    pub severity: i64,
    pub count: i64,
    pub first: i64,
    pub last: i64,
    /// JSON, empty where there is none.
    pub data: String,
}

impl Item {
    /// `device alert state severity count`
    pub fn line(&self) -> String {
        let Item {
            device,
            alert,
            state,
            severity,
            count,
            ..
        } = self;
        format!("{device} {alert} {state} {severity} {count}")
    }
}

#[track_caller]
fn item(reply: &Value) -> Item {
    let fields = reply.fields();
    assert_eq!(fields.len(), 8, "{fields:?}");
    let text = |name: &str| match fields[name].is_nil() {
        true => String::new(),
        false => fields[name].text(),
    };
    Item {
        device: text("device_id"),
        alert: text("alert"),
        state: text("state"),
        severity: fields["severity"].int(),
        count: fields["count"].int(),
        first: fields["first"].int(),
        last: fields["last"].int(),
        data: text("data"),
    }
}

/// A batch: its token and its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub token: String,
    pub items: Vec<Item>,
}

impl Batch {
    pub fn lines(&self) -> Vec<String> {
        self.items.iter().map(Item::line).collect()
    }
}

pub fn try_raise(con: &mut Connection, words: &str) -> RedisResult<Value> {
    cmd!(con, &format!("ALERT.RAISE {words}"))
}

/// `ALERT.RAISE` with these words: `outcome count`.
#[track_caller]
pub fn raise(con: &mut Connection, words: &str) -> String {
    let reply = try_raise(con, words);
    assert_eq!(reply.items().len(), 2, "{reply:?}");
    format!("{} {}", reply.at(0).text(), reply.at(1).int())
}

#[track_caller]
pub fn clear(con: &mut Connection, id: &str, alert: &str) -> i64 {
    cmd!(con, "ALERT.CLEAR", id, alert).int()
}

/// `ALERT.BATCH` with these words.
#[track_caller]
pub fn batch(con: &mut Connection, words: &str) -> Option<Batch> {
    batch_in(cmd!(con, &format!("ALERT.BATCH {words}")).value())
}

#[track_caller]
pub fn batch_in(reply: &Value) -> Option<Batch> {
    if reply.is_nil() {
        return None;
    }
    assert_eq!(reply.items().len(), 2, "{reply:?}");
    Some(Batch {
        token: reply.at(0).text(),
        items: reply.at(1).items().iter().map(item).collect(),
    })
}

#[track_caller]
pub fn done(con: &mut Connection, user: &str, token: &str) -> i64 {
    cmd!(con, "ALERT.DONE", user, token).int()
}

#[track_caller]
pub fn due(con: &mut Connection) -> Vec<String> {
    cmd!(con, "ALERT.DUE").texts()
}

/// Fetches and finishes a batch that must be there: its lines.
#[track_caller]
pub fn told(con: &mut Connection, user: &str) -> Vec<String> {
    let Some(batch) = batch(con, user) else {
        panic!("nothing for {user}: {:?}", snapshot(con));
    };
    let count = batch.items.len() as i64;
    assert_eq!(done(con, user, &batch.token), count);
    batch.lines()
}

/// The active alerts of a device by name.
#[track_caller]
pub fn list(con: &mut Connection, id: &str) -> BTreeMap<String, Alert> {
    let alerts = cmd!(con, "ALERT.LIST", id).items();
    let alerts = alerts.iter().map(Reply::fields);
    alerts.map(|alert| (alert["alert"].text(), alert)).collect()
}

/// `state severity count` of an alert; `none` where it is not active.
#[track_caller]
pub fn state(con: &mut Connection, id: &str, alert: &str) -> String {
    match list(con, id).get(alert) {
        None => "none".to_owned(),
        Some(alert) => format!(
            "{} {} {}",
            alert["state"].text(),
            alert["severity"].int(),
            alert["count"].int()
        ),
    }
}

#[track_caller]
pub fn set_rule(con: &mut Connection, device_type: &str, name: &str, rule: &str) -> i64 {
    cmd!(con, "ALERT.RULE.SET", device_type, name, rule).int()
}

/// `ALERT.RULE.SET` on the values of `path`, of type `t`: a band of severity 1 above 70, one of
/// severity 3 above 85, and `more` members of the rule.
#[track_caller]
pub fn above_70(con: &mut Connection, name: &str, path: &str, more: &str) {
    let bands = r#"[{"severity":1,"high":70},{"severity":3,"high":85}]"#;
    let rule = format!(r#"{{"path":"{path}","bands":{bands}{more}}}"#);
    set_rule(con, "t", name, &rule);
}

/// A device of type `t` reports, with a heartbeat.
#[track_caller]
pub fn report(con: &mut Connection, id: &str, document: &str) {
    let reply = cmd!(con, "DEVICE.HEARTBEAT", id, "REPORTED", document);
    assert_eq!(reply.at(1).int(), 1, "not applied: {document}");
}

/// What was told of a device's alerts in `devices:events`: `alert state severity count`.
#[track_caller]
pub fn announced(con: &mut Connection, id: &str) -> Vec<String> {
    let told = events_of(con, id).of_type("alert");
    let line = |event: &Event| {
        ["alert", "state", "severity", "count"]
            .map(|field| event.get(field).to_owned())
            .join(" ")
    };
    told.iter().map(line).collect()
}

/// As if everything that is stored of alerts had happened so much earlier.
#[track_caller]
pub fn let_pass(con: &mut Connection, ms: i64) {
    const EARLIER: &str = r#"
        local ms = tonumber(ARGV[1])
        local function minus(n) return string.format('%.0f', tonumber(n) - ms) end
        local times = {at = 1, since = 1, first = 1, last = 1, ['until'] = 1}
        local function earlier(text)
            return (string.gsub(text, '"(%a+)":(%d+)', function(name, n)
                if times[name] then return '"' .. name .. '":' .. minus(n) end
            end))
        end
        for _, pattern in ipairs({'device:alerts:*', 'alerts:user:*'}) do
            for _, key in ipairs(redis.call('KEYS', pattern)) do
                local fields = redis.call('HGETALL', key)
                for i = 1, #fields, 2 do
                    local value = fields[i] == 'due' and minus(fields[i + 1]) or earlier(fields[i + 1])
                    redis.call('HSET', key, fields[i], value)
                end
            end
        end
        local due = redis.call('ZRANGE', 'alerts:due', 0, -1, 'WITHSCORES')
        for i = 1, #due, 2 do redis.call('ZADD', 'alerts:due', minus(due[i + 1]), due[i]) end
    "#;
    assert!(cmd!(con, "EVAL", EARLIER, 0, ms).is_ok());
}

/// A clock that goes by whole seconds as the test says, and beside that as clocks go: what is a second
/// apart by it is never less, and more only by what the test itself takes.
pub struct Clock {
    /// Second 0, in milliseconds since the Unix epoch.
    zero: i64,
    second: i64,
}

impl Clock {
    pub fn start() -> Clock {
        Clock {
            zero: now_ms(),
            second: 0,
        }
    }

    /// It is this second now.
    #[track_caller]
    pub fn set(&mut self, con: &mut Connection, second: i64) {
        let ms = (second - self.second) * 1_000;
        let_pass(con, ms);
        self.zero -= ms;
        self.second = second;
    }

    /// In which second something happened that is stored.
    pub fn second(&self, ms: i64) -> i64 {
        (ms - self.zero).div_euclid(1_000)
    }
}

//! Users' hashes against the sorted set of those who are due.

use std::collections::BTreeMap;

use super::data::Data;

/// See [`super::assert_users_consistent`].
pub fn faults(data: &Data) -> Vec<String> {
    let mut found = Vec::new();
    let mut expected: BTreeMap<&str, String> = BTreeMap::new();
    for (key, fields) in &data.hashes {
        let Some(user) = key.strip_prefix("alerts:user:") else {
            continue;
        };
        let count = |part: &str| fields.keys().filter(|name| name.starts_with(part)).count();
        let (pending, leased) = (count("pending:"), count("leased:"));
        let lease: Option<serde_json::Value> = fields
            .get("lease")
            .map(|text| serde_json::from_str(text).unwrap_or_default());
        let items = lease
            .as_ref()
            .map_or(0, |l| l["items"].as_u64().unwrap_or(0));
        if items != leased as u64 || lease.is_some() != (leased > 0) {
            found.push(format!("{key}: {leased} are leased, but {lease:?}"));
        }
        let due = fields.get("due");
        if due.is_some() != (pending > 0) {
            found.push(format!("{key}: {pending} are pending, but due {due:?}"));
        }
        let until = lease.map(|lease| lease["until"].to_string());
        if let Some(at) = until.or_else(|| due.cloned()) {
            expected.insert(user, at);
        }
    }
    let none = BTreeMap::new();
    let listed = data.sorted.get("alerts:due").unwrap_or(&none);
    for (user, at) in &expected {
        if listed.get(*user) != Some(at) {
            let listed = listed.get(*user);
            found.push(format!("alerts:due: {user} {listed:?}, not {at}"));
        }
    }
    for user in listed.keys() {
        if !expected.contains_key(user.as_str()) {
            found.push(format!("alerts:due: {user} has nothing pending"));
        }
    }
    found
}

//! `DEVICE.CHECK`, and the same in the background after a load: whatever hands or accidents do to the
//! keys, the indexes end up as the hashes say.

mod faults;
mod hands;

use std::collections::BTreeMap;

use redis::Connection;

use crate::support::*;

/// A whole walk of `DEVICE.CHECK` with these words: the sum of what was found, and the cursors.
#[track_caller]
pub fn check(con: &mut Connection, words: &str) -> (BTreeMap<String, i64>, Vec<String>) {
    let mut sum = BTreeMap::new();
    let mut cursors = vec!["0".to_owned()];
    loop {
        let cursor = cursors.last().expect("the first one");
        let reply = cmd!(con, format!("DEVICE.CHECK {cursor} {words}").trim_end());
        for (name, count) in reply.at(1).fields() {
            *sum.entry(name).or_default() += count.int();
        }
        let next = reply.at(0).text();
        if next == "0" {
            return (sum, cursors);
        }
        assert!(cursors.len() < 100_000, "the walk does not end: {next}");
        cursors.push(next);
    }
}

/// Asserts that a walk found nothing; how many devices it looked at.
#[track_caller]
pub fn clean(found: &BTreeMap<String, i64>) -> i64 {
    let all: i64 = found.values().sum();
    assert_eq!(all, found["checked"], "{found:?}");
    found["checked"]
}

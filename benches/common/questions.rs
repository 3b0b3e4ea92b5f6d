//! A large fleet, and questions about it with the answers that they must get.

use std::ops::RangeInclusive;

use super::documents::id;
use super::driver::each;
use super::load::{command, pipeline, CAME_ONLINE};
use super::machine;
use crate::support::*;

/// How many types devices are of.
pub const TYPES: usize = 10;

fn type_of(number: usize) -> String {
    format!("t{}", number % TYPES)
}

/// Of every type one in ten.
pub fn is_offline(number: usize) -> bool {
    (number / TYPES).is_multiple_of(10)
}

fn is_out_of_sync(number: usize) -> bool {
    number.is_multiple_of(100)
}

/// Longer than anybody was silent who was ever seen: stale are those who never were, and they are offline.
const STALE: &str = "1d";

/// A server with all of them, on its core.
pub fn fleet(devices: usize) -> Server {
    let server = Server::builder()
        .config("devicestate.heartbeat-timeout", "10d")
        .start();
    machine::pin(&server);
    pipeline(&server, 0..devices, b":1\r\n", |number, out| {
        let (id, kind) = (id(number), type_of(number));
        command(out, &[b"DEVICE.REGISTER", id.as_bytes(), kind.as_bytes()]);
    });
    let online: Vec<usize> = (0..devices).filter(|number| !is_offline(*number)).collect();
    pipeline(&server, 0..online.len(), CAME_ONLINE, |place, out| {
        command(out, &[b"DEVICE.HEARTBEAT", id(online[place]).as_bytes()]);
    });
    each(&server, 0..devices.div_ceil(100), |hundred, out| {
        let id = id(100 * hundred);
        command(
            out,
            &[b"DEVICE.SHADOW.SET", id.as_bytes(), br#"{"on":true}"#],
        );
    });
    server
}

/// One row: a question, and what the answer must be.
pub struct Question {
    pub id: &'static str,
    pub words: String,
    /// How many: the number answered, or the entries of the page at least and at most.
    pub expected: RangeInclusive<usize>,
}

fn question(id: &'static str, words: impl Into<String>, expected: usize) -> Question {
    Question {
        id,
        words: words.into(),
        expected: expected..=expected,
    }
}

/// Each of ours, and behind it what a client would ask the indexes by hand.
pub fn counts(devices: usize) -> Vec<Question> {
    let count = |fits: &dyn Fn(usize) -> bool| (0..devices).filter(|n| fits(*n)).count();
    let online = count(&|n| !is_offline(n));
    let of_type = count(&|n| n % TYPES == 3);
    let both = count(&|n| n % TYPES == 3 && !is_offline(n));
    let out_of_sync = count(&is_out_of_sync);
    vec![
        question("all", "DEVICE.COUNT", devices),
        question("all_by_hand", "SCARD devices:registered", devices),
        question("online", "DEVICE.COUNT ONLINE", online),
        question("online_by_hand", "SCARD devices:online", online),
        question("offline", "DEVICE.COUNT OFFLINE", devices - online),
        question("offline_by_hand", "ZCARD devices:offline", devices - online),
        question("of_type", "DEVICE.COUNT TYPE t3", of_type),
        question("of_type_by_hand", "SCARD devices:type:t3", of_type),
        question("of_type_online", "DEVICE.COUNT TYPE t3 ONLINE", both),
        question(
            "of_type_offline",
            "DEVICE.COUNT TYPE t3 OFFLINE",
            of_type - both,
        ),
        question("outofsync", "DEVICE.COUNT OUTOFSYNC", out_of_sync),
        question(
            "stale_offline",
            format!("DEVICE.COUNT OFFLINE STALE {STALE}"),
            devices - online,
        ),
        question(
            "stale",
            format!("DEVICE.COUNT STALE {STALE}"),
            devices - online,
        ),
        question(
            "stale_online",
            format!("DEVICE.COUNT ONLINE STALE {STALE}"),
            0,
        ),
    ]
}

/// First pages, and the same by hand.
pub fn pages() -> Vec<Question> {
    let page = |id, words: &str| Question {
        id,
        words: words.to_owned(),
        // COUNT is a hint: a page of a set is longer at times, and one that leaves devices out shorter.
        expected: 1..=400,
    };
    vec![
        page("all", "DEVICE.LIST"),
        page("all_by_hand", "SSCAN devices:registered 0 COUNT 100"),
        page("online", "DEVICE.LIST ONLINE"),
        page("online_by_hand", "SSCAN devices:online 0 COUNT 100"),
        page("offline", "DEVICE.LIST OFFLINE"),
        page("offline_by_hand", "ZRANGE devices:offline 0 99"),
        page("of_type", "DEVICE.LIST TYPE t3"),
        page("of_type_online", "DEVICE.LIST TYPE t3 ONLINE"),
        page("of_type_offline", "DEVICE.LIST TYPE t3 OFFLINE"),
        page("outofsync", "DEVICE.LIST OUTOFSYNC"),
        page("stale", &format!("DEVICE.LIST STALE {STALE}")),
        page("with_state", "DEVICE.LIST ONLINE WITHSTATE"),
    ]
}

/// Questions that look at many devices.
pub fn slow(devices: usize) -> Vec<Question> {
    let count = |fits: &dyn Fn(usize) -> bool| (0..devices).filter(|n| fits(*n)).count();
    let both = count(&|n| n % TYPES == 3 && !is_offline(n));
    let odd = count(&|n| is_out_of_sync(n) && !is_offline(n));
    vec![
        question(
            "of_type_online_by_hand",
            "SINTERCARD 2 devices:online devices:type:t3",
            both,
        ),
        question("outofsync_online", "DEVICE.COUNT OUTOFSYNC ONLINE", odd),
        question("stale_all", "DEVICE.COUNT STALE 0", devices),
    ]
}

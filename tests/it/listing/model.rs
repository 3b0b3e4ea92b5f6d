//! All filters in all combinations, against a model that looks at every device.

use std::collections::BTreeMap;

use redis::Connection;

use super::{list, list_pages};
use crate::devices::*;
use crate::support::*;

const DEVICES: u64 = 300;
const HOUR_MS: i64 = 3_600_000;
const TYPES: [&str; 4] = ["sensor", "motor", "gate", "unknown"];

/// What the model knows of a device.
#[derive(Debug, Clone)]
struct Known {
    device_type: &'static str,
    online: bool,
    last_seen: i64,
}

type Model = BTreeMap<String, Known>;

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}

/// Registers devices of every kind. What was seen in the past is stamped by hand: hash and index,
/// as the module would have left them.
#[track_caller]
fn random_fleet(con: &mut Connection, random: &mut Random) -> Model {
    let start = now_ms();
    let mut model = Model::new();
    for n in 0..DEVICES {
        // Not in the order of the numbers.
        let id = format!("dev-{}", (n * 7919) % 1_000);
        let device_type = TYPES[random.below(4) as usize];
        cmd!(con, "DEVICE.REGISTER", &id, device_type).int();
        let mut known = Known {
            device_type,
            online: false,
            last_seen: 0,
        };
        if random.below(4) > 0 {
            // Long enough for none of them to time out, or none at all.
            let timeout = ["30d", "0", "60d"][random.below(3) as usize];
            cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", timeout).items();
            // Some at the same moment, and never near a limit that is asked for.
            let age = [0, 0, 2 * HOUR_MS, 30 * HOUR_MS][random.below(4) as usize];
            known.last_seen = start - age - random.below(50) as i64;
            known.online = random.below(2) == 0;
            let key = format!("device:state:{id}");
            cmd!(con, "HSET", key, "last_seen", known.last_seen).int();
            if !known.online {
                assert_eq!(cmd!(con, "DEVICE.OFFLINE", &id).int(), 1);
            }
        }
        model.insert(id, known);
    }
    model
}

/// One combination of filters.
#[derive(Debug, Clone, Copy)]
struct Filter {
    online: Option<bool>,
    device_type: Option<&'static str>,
    stale_hours: Option<i64>,
}

impl Filter {
    fn all() -> Vec<Filter> {
        let mut all = Vec::new();
        for online in [None, Some(true), Some(false)] {
            for device_type in [None, Some("sensor"), Some("unknown"), Some("no-such")] {
                for stale_hours in [None, Some(0), Some(1), Some(24), Some(1_000_000)] {
                    all.push(Filter {
                        online,
                        device_type,
                        stale_hours,
                    });
                }
            }
        }
        all
    }

    /// As it is written behind the command, with a space before each word.
    fn words(&self) -> String {
        let stale = self.stale_hours.map(|hours| format!(" STALE {hours}h"));
        let device_type = self.device_type.map(|t| format!(" TYPE {t}"));
        let status = self
            .online
            .map(|online| if online { " ONLINE" } else { " OFFLINE" });
        stale.unwrap_or_default() + &device_type.unwrap_or_default() + status.unwrap_or_default()
    }

    fn fits(&self, known: &Known, now: i64) -> bool {
        self.online.is_none_or(|online| known.online == online)
            && self.device_type.is_none_or(|t| known.device_type == t)
            && self.stale_hours.is_none_or(|hours| {
                // Never seen is staler than anything.
                known.last_seen == 0 || known.last_seen <= now - hours * HOUR_MS
            })
    }

    fn expected(&self, model: &Model) -> Vec<String> {
        let now = now_ms();
        let fit = model.iter().filter(|(_, known)| self.fits(known, now));
        fit.map(|(id, _)| id.clone()).collect()
    }
}

/// Offline devices by time of their last sign of life, then the online ones.
#[track_caller]
fn assert_oldest_first(filter: &Filter, ids: &[String], model: &Model) {
    let by_time = filter.stale_hours.is_some()
        || (filter.online == Some(false) && filter.device_type.is_none());
    if by_time {
        let offline = ids.iter().take_while(|id| !model[*id].online).count();
        assert!(
            ids[offline..].iter().all(|id| model[id].online),
            "{filter:?}"
        );
        let order = ids[..offline].iter().map(|id| (model[id].last_seen, id));
        assert!(order.is_sorted(), "{filter:?} {ids:?}");
    }
}

#[test]
fn every_combination_of_filters_agrees_with_the_model() {
    let server = Server::start();
    let mut con = server.connection();
    let mut random = Random(20_261);
    let mut model = random_fleet(&mut con, &mut random);
    for round in 0..2 {
        for filter in Filter::all() {
            let expected = filter.expected(&model);
            for count in [7, 10_000] {
                let ids = list(&mut con, &filter.words(), count);
                assert_oldest_first(&filter, &ids, &model);
                let mut sorted = ids;
                sorted.sort();
                // A cursor may repeat an id only when the set behind it changes meanwhile.
                assert_eq!(sorted, expected, "round {round}, {filter:?} COUNT {count}");
            }
            let counted = cmd!(con, &format!("DEVICE.COUNT{}", filter.words())).int();
            assert_eq!(
                counted as usize,
                expected.len(),
                "round {round}, {filter:?}"
            );
        }
        // The second round: after a third of the fleet changed type, status or left.
        churn(&mut con, &mut random, &mut model);
    }
}

#[track_caller]
fn churn(con: &mut Connection, random: &mut Random, model: &mut Model) {
    let ids: Vec<String> = model.keys().cloned().collect();
    for id in ids {
        match random.below(12) {
            0 => {
                cmd!(con, "DEVICE.REMOVE", &id).int();
                model.remove(&id);
            }
            1 | 2 => {
                let device_type = TYPES[random.below(4) as usize];
                cmd!(con, "DEVICE.REGISTER", &id, device_type).int();
                model
                    .entry(id)
                    .and_modify(|known| known.device_type = device_type);
            }
            3 => {
                cmd!(con, "DEVICE.OFFLINE", &id).int();
                model.entry(id).and_modify(|known| known.online = false);
            }
            4 => {
                cmd!(con, "DEVICE.HEARTBEAT", &id, "TIMEOUT", "30d").items();
                let last_seen = number(con, &id, "last_seen");
                model.entry(id).and_modify(|known| {
                    (known.online, known.last_seen) = (true, last_seen);
                });
            }
            _ => {}
        }
    }
}

#[test]
fn withstate_answers_what_get_answers() {
    let server = Server::start();
    let mut con = server.connection();
    let model = random_fleet(&mut con, &mut Random(7));
    for filter in Filter::all()
        .into_iter()
        .filter(|f| f.device_type != Some("unknown"))
    {
        let states = list_pages(&mut con, &(filter.words() + " WITHSTATE"), 50);
        let mut ids = Vec::new();
        for state in &states {
            ids.push(state.text_fields()["device_id"].clone());
        }
        ids.sort();
        assert_eq!(ids, filter.expected(&model), "{filter:?}");
    }
    for state in list_pages(&mut con, " WITHSTATE", 100) {
        let state = state.text_fields();
        assert_eq!(
            state,
            cmd!(con, "DEVICE.GET", &state["device_id"]).text_fields()
        );
    }
}

#[test]
fn stale_counts_to_the_millisecond() {
    let server = Server::start();
    let mut con = server.connection();
    for (id, offline) in [("on", false), ("off", true)] {
        cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", 0).items();
        if offline {
            cmd!(con, "DEVICE.OFFLINE", id).int();
        }
    }
    let oldest = number(&mut con, "on", "last_seen");
    for age in [300_u64, 60_000] {
        let is_stale = cmd!(con, "DEVICE.COUNT", "STALE", age).int();
        let could_be = now_ms() - oldest >= age as i64;
        assert!(is_stale == 0 || could_be, "{age}");
    }
    wait_for("both are 300 ms stale", SOON, || {
        cmd!(con, "DEVICE.COUNT STALE 300").int() == 2
    });
    assert!(now_ms() - oldest >= 300);
}

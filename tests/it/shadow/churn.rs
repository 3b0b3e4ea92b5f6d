//! Many clients that write, remove and delete at random while CHECK walks and hands meddle: in the
//! end every delta is the one between the two documents, and the index says the same.

use std::thread;

use redis::Connection;
use serde_json::{Map, Value};

use super::model::plain::delta;
use super::model::random::Random;
use super::*;
use crate::check::{check, clean};
use crate::consistency::assert_consistent;

const DEVICES: u64 = 20;

/// One write of any kind; it may be refused, because another client was there first.
fn write(con: &mut Connection, random: &mut Random) {
    let id = format!("d-{}", random.below(DEVICES));
    let document = Value::Object(random.object(2)).to_string();
    let name = ["", "", " NAME n"][random.below(3) as usize];
    let line = match random.below(20) {
        0..=6 => format!("DEVICE.SHADOW.SET {id} {document}{name}"),
        7..=12 => format!("DEVICE.SHADOW.REPORT {id} {document}{name}"),
        13 => format!("DEVICE.SHADOW.SET {id} {document} REPLACE"),
        14 => format!("DEVICE.HEARTBEAT {id} REPORTED {document} TIMEOUT 100"),
        15 => format!("DEVICE.SHADOW.DEL {id}{name}"),
        16 => format!("DEVICE.REMOVE {id}"),
        17 => format!("SREM devices:outofsync {id}"),
        18 => format!("SADD devices:outofsync {id} ghost-{id}"),
        _ => format!("HDEL device:state:{id} delta"),
    };
    let _ = cmd!(con, &line);
}

/// What a stored document is; empty where there is none.
fn document(con: &mut Connection, id: &str, part: &str) -> Map<String, Value> {
    let text = field(con, id, part);
    let document = text.and_then(|text| serde_json::from_str(&text).ok());
    document.unwrap_or_default()
}

#[test]
fn whatever_happens_at_once_the_deltas_are_right_in_the_end() {
    let server = quick();
    let is_over = &Over::default();
    thread::scope(|scope| {
        let _set = is_over.on_drop();
        let mut walker = server.connection();
        scope.spawn(move || {
            while !is_over.is_set() {
                check(&mut walker, "REPAIR");
            }
        });
        let writers: Vec<_> = (0..8)
            .map(|seed| {
                let mut con = server.connection();
                scope.spawn(move || {
                    let mut random = Random(seed);
                    for _ in 0..1_500 {
                        write(&mut con, &mut random);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer");
        }
        is_over.set();
    });
    let mut con = server.connection();
    wait_for("all are offline", SOON, || {
        cmd!(con, "DEVICE.COUNT ONLINE").int() == 0
    });
    check(&mut con, "REPAIR");
    clean(&check(&mut con, "").0);
    assert_consistent(&mut con);
    let mut out_of_sync = 0;
    for id in cmd!(con, "SMEMBERS devices:registered").texts() {
        let desired = document(&mut con, &id, "desired_state");
        let reported = document(&mut con, &id, "reported_state");
        let wanted = delta(&desired, &reported);
        assert_eq!(document(&mut con, &id, "delta"), wanted, "{id}");
        assert_eq!(is_out_of_sync(&mut con, &id), !wanted.is_empty(), "{id}");
        out_of_sync += i64::from(!wanted.is_empty());
    }
    assert_eq!(cmd!(con, "DEVICE.COUNT OUTOFSYNC").int(), out_of_sync);
}

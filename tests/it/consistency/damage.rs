//! Damage by hand is found, by this check and by the module's own.

use super::*;
use crate::check::check;
use crate::devices::*;
use By::*;

/// Whether `DEVICE.CHECK` finds it too.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// And mends it.
    Both,
    /// The hash of a user is the truth: what hands took out of it is gone.
    BothForGood,
    /// It compares indexes and hashes, and neither reads streams nor named shadows.
    This,
}

/// What hands may do to the keys, and the line that tells of it.
const DAMAGE: &[(&str, &str, By)] = &[
    (
        "SREM devices:registered d",
        "d: in devices:registered",
        Both,
    ),
    ("SADD devices:online ghost", "devices:online: ghost", Both),
    ("SREM devices:outofsync d", "d: in devices:outofsync", Both),
    ("HDEL device:state:d delta", "d: delta", Both),
    (
        "HSET device:state:d desired_state {\"a\":2}",
        "d: delta",
        Both,
    ),
    ("DEL device:heartbeat:d", "d: heartbeat key", Both),
    (
        "HSET device:shadows:ghost version:s 1",
        "device:shadows:ghost",
        Both,
    ),
    (
        "XADD device:history:ghost * a 1",
        "device:history:ghost",
        Both,
    ),
    (
        "XADD device:commands:ghost * b {}",
        "device:commands:ghost",
        Both,
    ),
    (
        "XADD device:outcomes:ghost * b {}",
        "device:outcomes:ghost",
        Both,
    ),
    ("HSET device:alerts:ghost a {}", "device:alerts:ghost", Both),
    ("DEL alerts:due", "alerts:due: u", Both),
    ("ZADD alerts:due 5 u", "alerts:due: u", Both),
    ("ZADD alerts:due 5 ghost", "alerts:due: ghost", Both),
    ("HDEL device:shadows:d delta:s", "d s: delta", This),
    ("HDEL device:shadows:d version:s", "d s: version", This),
    ("HSET device:shadows:d deleted:s 1", "d s: version", This),
    ("HDEL alerts:user:u due", "alerts:user:u", BothForGood),
    ("HDEL alerts:user:v lease", "alerts:user:v", BothForGood),
    ("HSET device:alerts:d a {}", "alert a of d", This),
    (
        "XADD devices:events * type online device_id d timestamp 1 status online",
        "told twice",
        This,
    ),
    (
        "XADD devices:events * type removed device_id d",
        "d: removed",
        This,
    ),
    (
        "XADD devices:events * type registered device_id d",
        "told twice",
        This,
    ),
    (
        "XADD devices:events * type alert device_id d alert z state resolved",
        "told twice",
        This,
    ),
];

#[test]
fn damage_of_every_kind_is_found_by_both_checks() {
    let server = quick();
    let mut con = server.connection();
    for (damage, line, by) in DAMAGE.iter().copied() {
        cmd!(con, "FLUSHALL").text();
        for line in [
            "DEVICE.HEARTBEAT d TIMEOUT 1h REPORTED {\"a\":1}",
            "DEVICE.SHADOW.SET d {\"a\":{\"b\":1}}",
            "DEVICE.SHADOW.SET d {\"a\":1} NAME s",
            "DEVICE.COMMAND d {}",
            "ALERT.RAISE d a NOTIFY 2 u v",
            "ALERT.BATCH v NOW LEASE 1h",
        ] {
            assert!(cmd!(con, line).is_ok(), "{line}");
        }
        assert_sound(&mut con);
        let found = faults_after(&mut con, damage);
        assert!(
            found.iter().any(|found| found.contains(line)),
            "{damage}: {found:?}"
        );
        let by_the_module = found.iter().any(|found| found.starts_with("DEVICE.CHECK"));
        assert_eq!(by_the_module, by != This, "{damage}: {found:?}");
        if by == Both {
            check(&mut con, "REPAIR");
            let left = faults(&mut con);
            let of_stream = |line: &&String| !line.contains("told");
            assert_eq!(
                left.iter().filter(of_stream).count(),
                0,
                "{damage}: {left:?}"
            );
        }
    }
}

/// The faults in the same step, before the module notices that other hands changed a device.
#[track_caller]
fn faults_after(con: &mut Connection, damage: &str) -> Vec<String> {
    let mut step = redis::pipe();
    step.atomic().add_command(command(damage));
    let replies: redis::RedisResult<Vec<redis::Value>> =
        step.add_command(Data::ask_with_check()).query(con);
    all_faults(&Data::of(&replies.expect("both are done")[1]))
}

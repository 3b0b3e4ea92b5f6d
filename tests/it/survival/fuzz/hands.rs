//! Hands in the data: commands of the server itself, on the keys of the module.

use crate::support::random::Random;
use crate::workload::Args;

use super::breaking::hostile;

/// Keys that belong to a device, a user, a type or to all.
const KEYS: &[&str] = &[
    "device:state:d-",
    "device:state:d-",
    "device:state:d-",
    "device:heartbeat:d-",
    "device:shadows:d-",
    "device:history:d-",
    "device:commands:d-",
    "device:outcomes:d-",
    "device:blocked:d-",
    "device:alerts:d-",
    "alerts:user:user-",
    "alerts:rules:type-",
    "devices:type:type-",
    "devices:online:type:type-",
    "devices:registered",
    "devices:online",
    "devices:offline",
    "devices:outofsync",
    "devices:events",
    "devices:reports",
    "devices:types",
    "alerts:due",
    "queue-",
    "queue-",
    "window-",
    "bucket-",
];

/// Fields that the module reads from hashes.
const FIELDS: &[&str] = &[
    "device_id",
    "device_type",
    "status",
    "last_seen",
    "registered_at",
    "status_since",
    "timeout",
    "session",
    "seq",
    "version",
    "reported_state",
    "desired_state",
    "reported_meta",
    "desired_meta",
    "delta",
    "metadata",
    "alert-1",
    "alert-2",
    "rule-1",
    "type-1",
    "reported:shadow-1",
    "desired:shadow-1",
    "version:shadow-1",
    "delta:shadow-1",
    "pending:d-1 alert-1",
    "leased:d-2 alert-1",
    "due",
    "lease",
];

/// What fills the forms: `<key>`, `<other>` another one, `<field>`, `<junk>` any word, `<device>`,
/// `<entry>` the id of a stream's entry, `<group>`, `<soon>` some milliseconds.
const FORMS: &[&str] = &[
    "SET <key> <junk>",
    "SET <key> 5",
    "APPEND <key> <junk>",
    "SETRANGE <key> 3 <junk>",
    "SETBIT <key> 77 1",
    "GETDEL <key>",
    "INCRBY <key> 9223372036854775800",
    "LPUSH <key> <junk>",
    "HSET <key> <field> <junk>",
    "HSET <key> <field> <junk>",
    "HSET <key> <field> <junk> <field> <junk> <junk> <junk>",
    "HSET device:state:<device> <field> <junk>",
    "HSET device:state:<device> <field> <junk>",
    "HSET device:state:<device> <field> <junk>",
    "HSET device:state:<device> device_id <device>",
    "HSET device:state:<device> device_id <device> last_seen 1700000000.5 status online",
    "HSET device:state:<device> device_id <device> status online version 1 last_seen 1700000000000",
    "HDEL <key> <field>",
    "HDEL device:state:<device> <field>",
    "HDEL device:state:<device> <field> <field>",
    "HINCRBYFLOAT <key> <field> 1e300",
    "SADD <key> <junk>",
    "SADD <key> <device> ghost",
    "SREM <key> <device>",
    "ZADD <key> <junk> <device>",
    "ZADD <key> -inf <device> inf ghost",
    "ZADD <key> 1e300 <junk>",
    "ZREM <key> <device>",
    "XADD <key> * b <junk>",
    "XADD <key> * <junk> <junk> b <junk>",
    "XADD <key> * b x d <junk> x <junk>",
    "XADD <key> * d 18446744073709551615 x 18446744073709551615",
    "XADD <key> <entry> b x",
    "XDEL <key> <entry>",
    "XTRIM <key> MAXLEN 1",
    "XSETID <key> <entry>",
    "XGROUP CREATE <key> <group> <entry> MKSTREAM",
    "XGROUP DESTROY <key> <group>",
    "XGROUP SETID <key> <group> <entry>",
    "XGROUP CREATECONSUMER <key> <group> <junk>",
    "XGROUP DELCONSUMER <key> <group> worker-1",
    "XGROUP CREATECONSUMER <key> dead dead",
    "XGROUP DELCONSUMER <key> work -",
    "XREADGROUP GROUP <group> worker-1 COUNT 2 STREAMS <key> >",
    "XREADGROUP GROUP <group> <junk> STREAMS <key> >",
    "XACK <key> <group> <entry>",
    "XCLAIM <key> <group> worker-2 0 <entry> TIME 18446744073709551 RETRYCOUNT 99 FORCE",
    "XCLAIM <key> <group> <junk> 0 <entry> IDLE 0 FORCE",
    "XAUTOCLAIM <key> <group> worker-2 0 0",
    "DEL <key>",
    "UNLINK <key>",
    "PEXPIRE <key> <soon>",
    "PEXPIRE <key> 99999999999999",
    "PERSIST <key>",
    "RENAME <key> <other>",
    "COPY <key> <other> REPLACE",
    "MOVE <key> 1",
    "DUMP <key>",
    "RESTORE <key> 0 <junk> REPLACE",
];

/// What is said to the server as a whole. Each costs more than a command.
const SERVER: &[&str] = &[
    "FLUSHALL SYNC",
    "FLUSHALL ASYNC",
    "FLUSHDB",
    "SWAPDB 0 1",
    "SWAPDB 0 1",
    "DEBUG RELOAD",
    "DEBUG RELOAD",
    "DEBUG SET-ACTIVE-EXPIRE 0",
    "DEBUG SET-ACTIVE-EXPIRE 1",
    "DEBUG SLEEP 0.02",
    "CLIENT PAUSE 20 WRITE",
    "CLIENT PAUSE 20 ALL",
    "SCRIPT FLUSH",
    "INFO everything",
    "COMMAND DOCS",
    "CONFIG RESETSTAT",
    "CONFIG SET notify-keyspace-events KEA",
    "CONFIG SET notify-keyspace-events Exd",
];

/// A command on some key of the module.
pub fn by_hand(random: &mut Random) -> Args {
    let form = *random.pick(FORMS);
    form.split(' ').map(|word| fill(word, random)).collect()
}

/// A command on the server.
pub fn on_server(random: &mut Random) -> Args {
    let form = *random.pick(SERVER);
    form.split(' ').map(|word| word.into()).collect()
}

/// A setting of the module gets some value; which are taken is up to the module.
pub fn on_setting(settings: &[String], random: &mut Random) -> Args {
    const VALUES: &[&str] = &[
        "yes",
        "no",
        "0",
        "1",
        "3",
        "64",
        "100",
        "1000",
        "100000",
        "16777216",
        "10ms",
        "odd-%s-name",
    ];
    let value = match random.one_in(2) {
        true => random.pick(VALUES).as_bytes().to_vec(),
        false => hostile(random),
    };
    let setting = random.pick(settings).as_bytes().to_vec();
    vec![b"CONFIG".to_vec(), b"SET".to_vec(), setting, value]
}

pub fn key(random: &mut Random) -> Vec<u8> {
    let name = *random.pick(KEYS);
    match name.ends_with('-') {
        // As many devices as of anything else: their keys meet.
        true => format!("{name}{}", random.below(6)).into_bytes(),
        false => name.as_bytes().to_vec(),
    }
}

fn fill(word: &str, random: &mut Random) -> Vec<u8> {
    if let Some(key) = word.strip_suffix("<device>") {
        return format!("{key}d-{}", random.below(6)).into_bytes();
    }
    match word {
        "<key>" | "<other>" => key(random),
        "<field>" => random.pick(FIELDS).as_bytes().to_vec(),
        "<junk>" => hostile(random),
        "<group>" => random
            .pick(&["work", "work", "dead", "audit"])
            .as_bytes()
            .to_vec(),
        "<soon>" => (1 + random.below(200)).to_string().into_bytes(),
        "<entry>" => match random.below(8) {
            0 => b"18446744073709551615-18446744073709551615".to_vec(),
            1 => b"18446744073709551615-18446744073709551614".to_vec(),
            2 => b"99999999999999-1".to_vec(),
            3 => b"0".to_vec(),
            _ => format!("1-{}", 1 + random.below(20)).into_bytes(),
        },
        other => other.as_bytes().to_vec(),
    }
}

//! Everything that clients say, at random: valid commands of the whole table, in a sequence that a
//! seed decides. What must hold after any of it is asserted elsewhere.

mod words;

use std::collections::BTreeSet;

use redis::{Connection, RedisResult, Value};

use crate::support::random::Random;
use crate::support::*;
use words::Words;

/// What commands look like; `<...>` stands for a word of [`Words`]. A command that stands here often
/// is said often.
const FORMS: &[&str] = &[
    "DEVICE.HEARTBEAT <device>",
    "DEVICE.HEARTBEAT <device>",
    "DEVICE.HEARTBEAT <device>",
    "DEVICE.HEARTBEAT <device> TIMEOUT <timeout>",
    "DEVICE.HEARTBEAT <device> TIMEOUT <timeout>",
    "DEVICE.HEARTBEAT <device> TIMEOUT 0",
    "DEVICE.HEARTBEAT <device> REPORTED <document>",
    "DEVICE.HEARTBEAT <device> REPORTED <document> REPLACE TIMEOUT <timeout>",
    "DEVICE.HEARTBEAT <device> SESSION <number>",
    "DEVICE.HEARTBEAT <device> REPORTED <document> SESSION <number> SEQ <number>",
    "DEVICE.INGEST <device> <protobuf>",
    "DEVICE.INGEST <device> <protobuf> SESSION <number> SEQ <number>",
    "DEVICE.INGEST <device> CAo= BASE64",
    "DEVICE.OFFLINE <device>",
    "DEVICE.OFFLINE <device> REASON will",
    "DEVICE.OFFLINE <device> REASON will SESSION <number>",
    "DEVICE.REGISTER <device> <type>",
    "DEVICE.REGISTER <device> <type> META <metadata>",
    "DEVICE.REMOVE <device>",
    "DEVICE.REMOVE <device> BLOCK 1",
    "DEVICE.GET <device>",
    "DEVICE.GET <device> status reported_state",
    "DEVICE.MGET <device> <device> <device>",
    "DEVICE.LIST",
    "DEVICE.LIST ONLINE TYPE <type> COUNT <few>",
    "DEVICE.LIST OFFLINE COUNT <few> WITHSTATE",
    "DEVICE.LIST STALE 1s OUTOFSYNC",
    "DEVICE.COUNT",
    "DEVICE.COUNT OFFLINE TYPE <type>",
    "DEVICE.COUNT STALE 100",
    "DEVICE.EVENTS",
    "DEVICE.EVENTS AFTER 0-0 COUNT <few>",
    "DEVICE.EVENTS AFTER $",
    "DEVICE.TYPE.SET <type> TIMEOUT <timeout>",
    "DEVICE.TYPE.SET <type> TIMEOUT <timeout> HISTORY <few>",
    "DEVICE.TYPE.GET <type>",
    "DEVICE.TYPE.DEL <type>",
    "DEVICE.TYPE.LIST",
    "DEVICE.WHY <device>",
    "DEVICE.CHECK 0",
    "DEVICE.CHECK 0 COUNT 10000 REPAIR",
    "DEVICE.SHADOW.SET <device> <document>",
    "DEVICE.SHADOW.SET <device> <document>",
    "DEVICE.SHADOW.SET <device> <document> REPLACE",
    "DEVICE.SHADOW.SET <device> <document> VERSION <few>",
    "DEVICE.SHADOW.SET <device> <document> NAME <shadow>",
    "DEVICE.SHADOW.REPORT <device> <document>",
    "DEVICE.SHADOW.REPORT <device> <document> REPLACE SESSION <number> SEQ <number>",
    "DEVICE.SHADOW.REPORT <device> <document> NAME <shadow>",
    "DEVICE.SHADOW.UPDATE <device> <update>",
    "DEVICE.SHADOW.UPDATE <device> <update> NAME <shadow>",
    "DEVICE.SHADOW.GET <device>",
    "DEVICE.SHADOW.GET <device> NAME <shadow>",
    "DEVICE.SHADOW.DEL <device>",
    "DEVICE.SHADOW.DEL <device> NAME <shadow>",
    "DEVICE.SHADOW.NAMES <device>",
    "DEVICE.DELTA <device>",
    "DEVICE.DELTA <device> NAME <shadow>",
    "DEVICE.HISTORY <device>",
    "DEVICE.HISTORY <device> FROM 0 COUNT <few> REV",
    "DEVICE.COMMAND <device> <document>",
    "DEVICE.COMMAND <device> <document> TTL 1m DELAY <wait>",
    "DEVICE.COMMAND.TAKE <device>",
    "DEVICE.COMMAND.TAKE <device> COUNT <few> LEASE <lease>",
    "DEVICE.COMMAND.DONE <device> <command> OK",
    "DEVICE.COMMAND.DONE <device> <command> FAILED <document>",
    "DEVICE.COMMAND.CANCEL <device> <command>",
    "DEVICE.COMMAND.LIST <device>",
    "ALERT.RAISE <device> <alert>",
    "ALERT.RAISE <device> <alert> SEVERITY <severity> NOTIFY 1 <user>",
    "ALERT.RAISE <device> <alert> EVERY <wait> DATA <document> NOTIFY 2 ann bob",
    "ALERT.RAISE <device> <alert> FOR <wait> KEEP <wait> WAIT <wait> NOTIFY 1 <user>",
    "ALERT.CLEAR <device> <alert>",
    "ALERT.CLEAR <device> <alert>",
    "ALERT.ACK <device> <alert>",
    "ALERT.LIST <device>",
    "ALERT.RULE.SET <type> <rule> <rule-document>",
    "ALERT.RULE.DEL <type> <rule>",
    "ALERT.RULE.LIST <type>",
    "ALERT.NOTIFY <user> <alert> <document>",
    "ALERT.NOTIFY <user> <alert> <document> SEVERITY <severity> WAIT <wait>",
    "ALERT.BATCH <user>",
    "ALERT.BATCH <user> COUNT <few> LEASE <lease> NOW",
    "ALERT.DONE <user> <token>",
    "ALERT.DUE",
    "ALERT.DUE COUNT <few>",
    "THROTTLE.HIT <window> 5 1s",
    "THROTTLE.HIT <window> 5 1s COST <cost>",
    "THROTTLE.HIT <bucket> 5 1s GCRA",
    "THROTTLE.HIT <bucket> 5 1s 100 1m COST <cost> GCRA",
    "QUEUE.ADD <queue> <document>",
    "QUEUE.ADD <queue> <document> ATTR topic a/b ATTR n <number> TTL 1m MAXLEN 40",
    "QUEUE.ADD <queue> <document> DELAY <wait>",
    "QUEUE.GET <queue> <worker>",
    "QUEUE.GET <queue> <worker> COUNT <few> LEASE <lease> MAX 2 INFLIGHT 20",
    "QUEUE.ACK <queue> <message>",
    "QUEUE.ACK <queue> <message> <message>",
    "QUEUE.NACK <queue> <worker> <message>",
    "QUEUE.NACK <queue> <worker> <message> DELAY <wait>",
    "QUEUE.NACK <queue> <worker> <message> DEAD",
    "QUEUE.TOUCH <queue> <worker> <lease> <message>",
    "QUEUE.KICK <queue> <message>",
    "QUEUE.PENDING <queue>",
    "QUEUE.PENDING <queue> COUNT <few>",
    "QUEUE.STAT <queue>",
];

/// A command: its name and its arguments.
pub type Args = Vec<Vec<u8>>;

/// A sequence of commands, and what their replies taught: names of messages, of batches.
pub struct Workload {
    pub random: Random,
    words: Words,
}

impl Workload {
    /// On devices `d-0` to `d-39`.
    pub fn new(seed: u64) -> Workload {
        Workload::of(seed, "", 40)
    }

    /// On `devices` devices whose names, like those of queues and throttles, begin with `prefix`.
    pub fn of(seed: u64, prefix: &str, devices: usize) -> Workload {
        Workload {
            random: Random::new(seed),
            words: Words::new(prefix, devices),
        }
    }

    /// The next command.
    pub fn command(&mut self) -> Args {
        let form = *self.random.pick(FORMS);
        self.fill(form)
    }

    /// A command of this form.
    pub fn fill(&mut self, form: &str) -> Args {
        let word = |word: &str| match word.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
            Some(kind) => self.words.word(kind, &mut self.random),
            None => word.as_bytes().to_vec(),
        };
        form.split(' ').map(word).collect()
    }

    /// Keeps what later commands can name.
    pub fn learn(&mut self, command: &Args, reply: &Value) {
        self.words.learn(command, reply);
    }

    /// Says the next command. Some are refused: of unknown devices, or of full queues.
    #[track_caller]
    pub fn say(&mut self, con: &mut Connection) -> (Args, RedisResult<Value>) {
        let command = self.command();
        let reply = run(con, &command);
        if let Ok(reply) = &reply {
            self.learn(&command, reply);
        }
        (command, reply)
    }

    /// Says so many commands.
    #[track_caller]
    pub fn run(&mut self, con: &mut Connection, commands: usize) {
        for _ in 0..commands {
            let (command, reply) = self.say(con);
            if let Err(error) = reply {
                assert!(error.code().is_some(), "{}: {error}", shown(&command));
            }
        }
    }
}

/// Sends a command of any bytes.
pub fn run(con: &mut Connection, args: &Args) -> RedisResult<Value> {
    let mut command = redis::Cmd::new();
    for arg in args {
        command.arg(arg.as_slice());
    }
    con.run(&command)
}

/// A command in readable form.
pub fn shown(args: &Args) -> String {
    let words = args.iter().map(|arg| arg.escape_ascii().to_string());
    words.collect::<Vec<_>>().join(" ")
}

/// All words of the forms that stand for themselves: keywords, and some values.
pub fn keywords() -> Vec<&'static str> {
    let words = FORMS.iter().flat_map(|form| form.split(' ').skip(1));
    let words: BTreeSet<&str> = words.filter(|word| !word.starts_with('<')).collect();
    words.into_iter().collect()
}

/// The names of all commands that are said.
pub fn names() -> BTreeSet<String> {
    let first = |form: &&str| form.split(' ').next().unwrap_or_default().to_lowercase();
    FORMS.iter().map(first).collect()
}

#[test]
fn every_command_is_said_and_none_is_said_wrong() {
    let server = Server::start();
    let mut con = server.connection();
    let table = cmd!(con, "COMMAND LIST FILTERBY MODULE devicestate").texts();
    assert_eq!(table.into_iter().collect::<BTreeSet<_>>(), names());

    let mut workload = Workload::new(1);
    let mut accepted = BTreeSet::new();
    for _ in 0..20_000 {
        let (command, reply) = workload.say(&mut con);
        match reply {
            Ok(_) => _ = accepted.insert(command[0].to_ascii_lowercase()),
            Err(error) => {
                let known = [
                    "NODEVICE",
                    "NOSHADOW",
                    "VERSIONCONFLICT",
                    "QUEUEFULL",
                    "LIMIT",
                ];
                let code = error.code().unwrap_or_default();
                assert!(known.contains(&code), "{}: {error}", shown(&command));
            }
        }
    }
    let accepted: BTreeSet<String> = accepted
        .into_iter()
        .map(|name| String::from_utf8_lossy(&name).into_owned())
        .collect();
    assert_eq!(accepted, names());
}

//! Who says what: some clients that take turns, in both protocols and in two databases, with
//! transactions, scripts and clients that wait for a queue.

use std::collections::{BTreeSet, VecDeque};
use std::thread;

use redis::{Connection, Value};

use crate::support::random::Random;
use crate::support::*;
use crate::workload::{Args, Workload};

use super::breaking::break_it;
use super::hands::{by_hand, key, on_server, on_setting};
use super::healing::heal;
use super::replies::{look_at, readable};

/// As few devices as hands reach into.
const DEVICES: usize = 6;
/// How many of the last commands a failure shows.
const SHOWN: usize = 60;
/// How many clients may wait for a queue.
const WAITERS: usize = 4;

/// Runs what it is given; an error of the command is its reply, or ends it.
const SCRIPTS: &[&str] = &[
    "return redis.pcall(unpack(ARGV))",
    "return redis.call(unpack(ARGV))",
    "redis.pcall(unpack(ARGV)) return redis.pcall(unpack(ARGV))",
    "redis.setresp(3) return redis.pcall(unpack(ARGV))",
    "return {redis.pcall(unpack(ARGV)), redis.pcall('DEVICE.HEARTBEAT', 'd-1')}",
];

/// The last commands, shown if the test fails.
struct Recent(VecDeque<String>);

impl Recent {
    fn push(&mut self, client: usize, command: &Args) {
        if self.0.len() == SHOWN {
            self.0.pop_front();
        }
        self.0.push_back(format!("{client}: {}", readable(command)));
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the last commands, after the number of their client:");
            for line in &self.0 {
                eprintln!("{line}");
            }
        }
    }
}

pub struct Fuzz {
    random: Random,
    workload: Workload,
    /// The module's settings that can be set, and their values before.
    settings: Vec<(String, String)>,
    admin: Connection,
    clients: Vec<Raw>,
    /// Clients in QUEUE.GET, and their ids.
    waiters: Vec<(Raw, i64)>,
    recent: Recent,
    pub said: u64,
    pub refused: u64,
    /// The commands of which one was accepted.
    pub accepted: BTreeSet<String>,
}

impl Fuzz {
    #[track_caller]
    pub fn new(server: &Server, seed: u64) -> Fuzz {
        let mut admin = server.connection();
        let all = cmd!(admin, "CONFIG GET devicestate.*").text_fields();
        let is_free = |(name, _): &(String, String)| name != "devicestate.key-prefix";
        let mut clients: Vec<Raw> = (0..4).map(|_| Raw::connect(server)).collect();
        clients[1].call(&["HELLO", "3"]);
        clients[2].call(&["SELECT", "1"]);
        Fuzz {
            random: Random::new(seed),
            workload: Workload::of(seed, "", DEVICES),
            settings: all.into_iter().filter(is_free).collect(),
            admin,
            clients,
            waiters: Vec::new(),
            recent: Recent(VecDeque::new()),
            said: 0,
            refused: 0,
            accepted: BTreeSet::new(),
        }
    }

    /// Some commands of one client.
    #[track_caller]
    pub fn turn(&mut self, server: &Server) {
        let client = self.random.below(self.clients.len());
        match self.random.below(100) {
            0..=54 => {
                let count = 1 + self.random.below(16);
                let commands = (0..count).map(|_| self.command()).collect();
                self.say_and_learn(client, commands);
            }
            55..=64 => {
                let commands = self.transaction();
                self.say(client, &commands);
            }
            65..=74 => {
                let script = *self.random.pick(SCRIPTS);
                let mut command = self.command();
                command.splice(0..0, ["EVAL", script, "0"].map(Vec::from));
                self.say(client, &[command]);
            }
            75..=89 => {
                let count = 1 + self.random.below(4);
                let hands: Vec<Args> = (0..count).map(|_| by_hand(&mut self.random)).collect();
                self.say(client, &hands);
            }
            90..=91 => self.copy_by_dump(client),
            92..=93 => self.wait(server),
            94..=95 => self.end_a_wait(),
            96..=97 => {
                let names: Vec<String> = self.settings.iter().map(|(n, _)| n.clone()).collect();
                let command = on_setting(&names, &mut self.random);
                self.say(client, &[command]);
            }
            98 => {
                let mut command = self.command();
                command.splice(0..0, ["COMMAND", "GETKEYS"].map(Vec::from));
                self.say(client, &[command]);
            }
            _ => {
                let command = on_server(&mut self.random);
                self.say(client, &[command]);
            }
        }
    }

    /// A command of the table, valid or broken, of one who does not wait.
    fn command(&mut self) -> Args {
        let mut command = self.workload.command();
        if !self.random.one_in(3) {
            break_it(&mut command, &mut self.random);
        }
        for word in &mut command {
            if word.eq_ignore_ascii_case(b"BLOCK") && !self.random.one_in(4) {
                *word = b"LEASE".to_vec();
            }
        }
        command
    }

    /// Whether the client might not get an answer.
    fn may_wait(command: &Args) -> bool {
        let says = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"BLOCK");
        command[0].eq_ignore_ascii_case(b"QUEUE.GET") && command.iter().any(says)
    }

    fn transaction(&mut self) -> Vec<Args> {
        let mut commands = Vec::new();
        if self.random.one_in(3) {
            commands.push(vec![b"WATCH".to_vec(), key(&mut self.random)]);
        }
        commands.push(vec![b"MULTI".to_vec()]);
        for _ in 0..1 + self.random.below(6) {
            let command = match self.random.one_in(5) {
                true => by_hand(&mut self.random),
                false => self.command(),
            };
            commands.push(command);
        }
        let end: &[u8] = match self.random.one_in(8) {
            true => b"DISCARD",
            false => b"EXEC",
        };
        commands.push(vec![end.to_vec()]);
        commands
    }

    /// Says these at once and looks at their replies.
    #[track_caller]
    fn say(&mut self, client: usize, commands: &[Args]) -> Vec<Value> {
        let mut bytes = Vec::new();
        for command in commands {
            self.recent.push(client, command);
            bytes.extend(resp::encode(command));
        }
        let raw = &mut self.clients[client];
        raw.send(&bytes);
        let mut replies = Vec::new();
        for command in commands {
            let value = look_at(command, &raw.read());
            self.said += 1;
            self.refused += u64::from(matches!(value, Value::ServerError(_)));
            replies.push(value);
        }
        replies
    }

    #[track_caller]
    fn say_and_learn(&mut self, client: usize, mut commands: Vec<Args>) {
        commands.retain(|command| !Fuzz::may_wait(command));
        let replies = self.say(client, &commands);
        for (command, reply) in commands.iter().zip(&replies) {
            if !matches!(reply, Value::ServerError(_)) {
                let name = command[0].to_ascii_lowercase();
                self.accepted.extend(String::from_utf8(name));
                self.workload.learn(command, reply);
            }
        }
    }

    /// A key becomes a copy of another, as a migration would do it.
    #[track_caller]
    fn copy_by_dump(&mut self, client: usize) {
        let [from, to] = [(); 2].map(|()| key(&mut self.random));
        let dump = self.say(client, &[vec![b"DUMP".to_vec(), from]]);
        if let Value::BulkString(dump) = &dump[0] {
            let restore = [&b"RESTORE"[..], &to, b"0", dump, b"REPLACE"];
            self.say(client, &[restore.map(<[u8]>::to_vec).to_vec()]);
        }
    }

    /// Another client waits for a queue, perhaps in odd words.
    #[track_caller]
    fn wait(&mut self, server: &Server) {
        if self.waiters.len() == WAITERS {
            return self.end_a_wait();
        }
        let mut command = self
            .workload
            .fill("QUEUE.GET <queue> <worker> BLOCK <wait>");
        match self.random.below(3) {
            0 => break_it(&mut command, &mut self.random),
            1 => command[4] = b"0".to_vec(),
            _ => {}
        }
        let mut raw = Raw::connect(server);
        let id = raw.value(&["CLIENT", "ID"]).int();
        self.recent.push(10 + self.waiters.len(), &command);
        raw.send_args(&command);
        self.waiters.push((raw, id));
    }

    /// One of those who wait is killed, is let go or hangs up, or perhaps has been answered.
    #[track_caller]
    fn end_a_wait(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let (waiter, id) = self
            .waiters
            .swap_remove(self.random.below(self.waiters.len()));
        let id = id.to_string();
        let words = match self.random.below(4) {
            0 => vec!["CLIENT", "KILL", "ID", &id],
            1 => vec!["CLIENT", "UNBLOCK", &id, "TIMEOUT"],
            2 => vec!["CLIENT", "UNBLOCK", &id, "ERROR"],
            _ => return drop(waiter),
        };
        let command: Args = words.into_iter().map(Vec::from).collect();
        self.say(0, &[command]);
    }

    /// Ends what was begun and takes away what no check could mend.
    #[track_caller]
    pub fn heal(&mut self, server: &Server) {
        self.waiters.clear();
        let con = &mut self.admin;
        for (name, value) in &self.settings {
            cmd!(con, "CONFIG SET", name, value).text();
        }
        cmd!(con, "CONFIG SET notify-keyspace-events Exd").text();
        cmd!(con, "DEBUG SET-ACTIVE-EXPIRE 1").text();
        heal(con);
        if self.random.one_in(3) {
            let mut other = server.connection_to_db(1);
            cmd!(other, "FLUSHDB SYNC").text();
        }
    }
}

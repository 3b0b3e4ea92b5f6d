//! Whatever is said to a master, its replicas hold the same: after every command, in transactions
//! and in scripts, of several clients at once, through full copies in the middle, and at the end of a
//! chain.

use std::thread;

use redis::{Connection, Value};

use super::*;
use crate::consistency::assert_users_consistent;
use crate::survival::size::size;
use crate::workload::{run, shown, Args, Workload};

/// What other hands do to the data, and what else is said seldom.
const SELDOM: &[&str] = &[
    "SREM devices:online <device>",
    "SREM devices:outofsync <device>",
    "ZREM devices:offline <device>",
    "SADD devices:online <device>",
    "DEVICE.REMOVE stranger BLOCK 1h",
    r#"DEVICE.SHADOW.UPDATE <device> {"state":null}"#,
    r#"DEVICE.SHADOW.UPDATE <device> {"state":{"desired":null}}"#,
    r#"DEVICE.SHADOW.UPDATE <device> {"state":{"reported":null}} NAME <shadow>"#,
];

/// Runs commands in a row, each as `<number of words> <word> ...`.
const SCRIPT: &str = r#"
local replies, at = {}, 1
while at <= #ARGV do
    local words = tonumber(ARGV[at])
    replies[#replies + 1] = redis.pcall(unpack(ARGV, at + 1, at + words))
    at = at + words + 1
end
return replies
"#;

/// A client that says all commands: one by one, in transactions and in scripts.
pub struct Speaker(pub Workload);

impl Speaker {
    pub fn new(seed: u64) -> Speaker {
        Speaker(Workload::new(seed))
    }

    /// Says so many commands, or a few more.
    #[track_caller]
    pub fn run(&mut self, con: &mut Connection, commands: usize) {
        let mut said = 0;
        while said < commands {
            said += self.turn(con);
        }
    }

    /// Says one command or several together; gives how many.
    #[track_caller]
    pub fn turn(&mut self, con: &mut Connection) -> usize {
        let random = &mut self.0.random;
        let together = 1 + random.below(4);
        match random.below(12) {
            0 => {
                let commands = self.commands(together);
                let replies = transaction(con, &commands);
                self.learn(&commands, &replies)
            }
            1 => {
                let commands = self.commands(together);
                let replies = script(con, &commands);
                self.learn(&commands, &replies)
            }
            2 => {
                let form = *random.pick(SELDOM);
                let command = self.0.fill(form);
                // Some are refused: of unknown devices.
                let _ = run(con, &command);
                1
            }
            _ => {
                self.0.run(con, 1);
                1
            }
        }
    }

    fn commands(&mut self, count: usize) -> Vec<Args> {
        (0..count).map(|_| self.0.command()).collect()
    }

    #[track_caller]
    fn learn(&mut self, commands: &[Args], replies: &[Value]) -> usize {
        assert_eq!(commands.len(), replies.len());
        for (command, reply) in commands.iter().zip(replies) {
            if !matches!(reply, Value::ServerError(_)) {
                self.0.learn(command, reply);
            }
        }
        commands.len()
    }
}

#[track_caller]
fn transaction(con: &mut Connection, commands: &[Args]) -> Vec<Value> {
    cmd!(con, "MULTI").text();
    for command in commands {
        let queued = run(con, command);
        assert!(queued.is_ok(), "{}: {queued:?}", shown(command));
    }
    cmd!(con, "EXEC").items()
}

#[track_caller]
fn script(con: &mut Connection, commands: &[Args]) -> Vec<Value> {
    let mut eval: Args = ["EVAL", SCRIPT, "0"].map(|word| word.into()).to_vec();
    for command in commands {
        eval.push(command.len().to_string().into_bytes());
        eval.extend_from_slice(command);
    }
    run(con, &eval).items()
}

/// A master on which much happens by itself too.
#[track_caller]
fn lively() -> Server {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 300").text();
    cmd!(con, "CONFIG SET devicestate.reports-maxlen 500").text();
    server
}

/// So many clients say so many commands each.
#[track_caller]
fn talk(server: &Server, speakers: &mut [Speaker], commands: usize) {
    thread::scope(|scope| {
        for speaker in speakers {
            let mut con = server.connection();
            scope.spawn(move || speaker.run(&mut con, commands));
        }
    });
}

/// Until nothing happens by itself any more, for ten seconds at least.
#[track_caller]
pub fn wait_for_quiet(con: &mut Connection) {
    for throttle in ["window", "bucket"] {
        for n in 0..4 {
            cmd!(con, "DEL", format!("{throttle}-{n}")).int();
        }
    }
    wait_for("the deaths", SOON, || {
        let online = cmd!(con, "SMEMBERS devices:online").texts();
        online.iter().all(|id| match cmd!(con, "DEVICE.WHY", id) {
            Ok(why) => {
                let deadline = why.fields()["deadline"].clone();
                deadline.is_nil() || deadline.int() > now_ms() + 10_000
            }
            Err(_) => true,
        })
    });
    let mut before = snapshot(con);
    wait_for("three hundred milliseconds without a change", SOON, || {
        let start = now_ms();
        wait_for("they pass", SOON, || now_ms() > start + 300);
        let after = snapshot(con);
        let is_quiet = before == after;
        before = after;
        is_quiet
    });
}

/// Asserts what holds on every master after any workload, once it is quiet.
#[track_caller]
pub fn assert_sound(server: &Server) {
    let mut con = server.connection();
    wait_for_quiet(&mut con);
    crate::check::check(&mut con, "REPAIR");
    assert_consistent(&mut con);
    assert_users_consistent(&mut con);
    assert_told_once(&mut con);
}

#[test]
fn a_replica_holds_the_same_after_any_workload() {
    for seed in 0..size(2, 20) {
        let master = lively();
        let replica = replica_of(&master);
        let mut speakers = [4 * seed, 4 * seed + 1, 4 * seed + 2].map(Speaker::new);
        for turn in 0..4 {
            // By one alone the sequence is the same in every run; by several at once it is not.
            let clients = if turn == 0 { 1 } else { speakers.len() };
            talk(
                &master,
                &mut speakers[..clients],
                size(600, 2_000) / clients,
            );
            assert_same(&master, &replica);
        }
        assert_sound(&master);
        assert_same(&master, &replica);
        let mut copy = replica.connection();
        assert_eq!(info_number(&mut copy, "went_offline"), 0, "seed {seed}");
        assert_eq!(info_number(&mut copy, "timed_out"), 0, "seed {seed}");
    }
}

/// How often a replica has been given the whole data set.
#[track_caller]
fn full_copies(con: &mut Connection) -> i64 {
    let stats = cmd!(con, "INFO stats").text();
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix("sync_full:"));
    line.and_then(|count| count.parse().ok()).expect("a number")
}

#[test]
fn full_copies_in_the_middle_bring_the_same() {
    for seed in 0..size(1, 5) {
        for diskless in ["yes", "no"] {
            let master = lively();
            let mut con = master.connection();
            cmd!(con, "CONFIG SET repl-diskless-sync", diskless).text();
            // Enough for what two clients say while the replica connects again.
            cmd!(con, "CONFIG SET repl-backlog-size 64mb").text();
            let is_over = Over::default();
            let (master, is_over) = (&master, &is_over);
            let replica = thread::scope(|scope| {
                let _set = is_over.on_drop();
                for client in 0..2 {
                    let mut speaker = Speaker::new(100 + 2 * seed + client);
                    let mut con = master.connection();
                    scope.spawn(move || {
                        while !is_over.is_set() {
                            speaker.turn(&mut con);
                        }
                    });
                }
                let replica = replica_of(master);
                for copies in 2..=3 {
                    // It can't go on where it was, as there is no such history any more.
                    cmd!(con, "DEBUG CHANGE-REPL-ID").text();
                    cmd!(con, "CLIENT KILL TYPE replica").int();
                    wait_for("another full copy", SOON, || {
                        full_copies(&mut con) == copies
                    });
                    wait_for_sync(master, &replica);
                }
                // And once it can.
                cmd!(con, "CLIENT KILL TYPE replica").int();
                wait_for_sync(master, &replica);
                is_over.set();
                replica
            });
            assert_eq!(full_copies(&mut con), 3);
            assert_same(master, &replica);
            assert_sound(master);
            assert_same(master, &replica);
        }
    }
}

#[test]
fn the_end_of_a_chain_holds_the_same_and_can_be_promoted() {
    for seed in 0..size(1, 5) {
        let mut master = lively();
        let middle = replica_of(&master);
        let end = replica_of(&middle);
        let mut speakers = [200 + 2 * seed, 201 + 2 * seed].map(Speaker::new);
        talk(&master, &mut speakers, 1_000);
        assert_same(&master, &middle);
        assert_same(&middle, &end);
        master.kill_hard();
        let mut con = middle.connection();
        cmd!(con, "REPLICAOF NO ONE").text();
        cmd!(con, "CONFIG SET devicestate.restart-grace 0").text();
        cmd!(con, "CONFIG SET devicestate.heartbeat-timeout 300").text();
        talk(&middle, &mut speakers, 1_000);
        assert_sound(&middle);
        assert_same(&middle, &end);
        assert_eq!(info_number(&mut end.connection(), "went_offline"), 0);
    }
}

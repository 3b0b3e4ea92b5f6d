//! `scripts/run`: it starts all of it, says what is wrong in one line, and leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::ports::free_port;
use crate::support::processes::signal;
use crate::support::*;

/// Within this the script is ready. It builds first, which is nothing after `scripts/test`, but
/// minutes where nothing is built yet.
const READY: Duration = Duration::from_secs(900);

/// Within this a process that was told to end is gone.
const SOON: Duration = Duration::from_secs(30);

/// A run of the script on ports and in a folder of its own.
struct Run {
    script: Process,
    redis_port: u16,
    data: TempDir,
}

impl Run {
    fn start(redis_port: u16, mqtt_port: u16, more: &[&str]) -> Run {
        let data = tempfile::tempdir().expect("a temporary folder");
        let folder = data.path().join("data of a run");
        let mut command = script();
        command.args(["--no-install", "--redis-port", &redis_port.to_string()]);
        command
            .args(["--mqtt-port", &mqtt_port.to_string(), "--data"])
            .arg(folder)
            .args(more);
        Run {
            script: Process::spawn("scripts/run", command),
            redis_port,
            data,
        }
    }

    /// A run with three devices that has said that all is ready.
    fn ready() -> Run {
        let mut run = Run::start(free_port(), free_port(), &["--devices", "3"]);
        run.script.wait_for_line_within("all is ready", READY);
        run
    }

    /// The processes that the script started and that run now.
    fn parts(&self) -> Vec<Proc> {
        let all = Proc::all();
        let mut found: Vec<Proc> = Vec::new();
        let mut parents = vec![self.script.pid()];
        while let Some(parent) = parents.pop() {
            for child in all.iter().filter(|proc| proc.parent == parent) {
                parents.push(child.id);
                found.push(child.clone());
            }
        }
        found
    }

    /// One of them by the name of its program.
    fn part(&self, name: &str) -> Proc {
        let parts = self.parts();
        match parts.iter().find(|part| part.name == name) {
            Some(part) => part.clone(),
            None => panic!("no {name} among {parts:?}"),
        }
    }
}

/// The script, free to be interrupted even where the tests run in the background of a shell, which
/// makes that ignored.
fn script() -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let target = test
        .ancestors()
        .nth(3)
        .expect("target/<profile>/deps/<test>");
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/run"));
    // Where the tests were built, not where else somebody may have built.
    command.env("CARGO_TARGET_DIR", target);
    // cargo tells its tests of which package they are. To a build it is a change of what `ring` was
    // built with, after which half of the bridge is built anew, now and by the next build outside.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&*name);
        }
    }
    command
}

/// A process of this machine, as /proc/<id>/stat shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Proc {
    id: u32,
    name: String,
    parent: u32,
    /// With the id, this tells a process from all others that ever were.
    started: u64,
}

impl Proc {
    /// All processes that run; those that have ended and wait to be noticed are left out.
    fn all() -> Vec<Proc> {
        let entries = fs::read_dir("/proc").expect("read /proc").flatten();
        entries
            .filter_map(|entry| Proc::read(&entry.path().join("stat")))
            .collect()
    }

    /// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
    fn read(stat: &Path) -> Option<Proc> {
        let text = fs::read_to_string(stat).ok()?;
        let (id, rest) = text.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let proc = Proc {
            id: id.parse().ok()?,
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        };
        (fields[0] != "Z").then_some(proc)
    }

    fn runs(&self) -> bool {
        let now = Proc::read(Path::new(&format!("/proc/{}/stat", self.id)));
        now.is_some_and(|now| now.started == self.started)
    }
}

fn wait_until_gone(parts: &[Proc]) {
    wait_for(&format!("all of {parts:?} are gone"), SOON, || {
        !parts.iter().any(Proc::runs)
    });
}

#[test]
fn a_run_gets_ready_and_leaves_nothing_behind_after_ctrl_c() {
    let mut run = Run::ready();
    let client = redis::Client::open(("127.0.0.1", run.redis_port)).expect("an address");
    let mut con = client
        .get_connection()
        .expect("connect to the server of the run");
    wait_for("three devices are online", SOON, || {
        cmd!(con, "DEVICE.COUNT", "ONLINE").int() == 3
    });
    // Nobody else's machine can reach it.
    assert_eq!(
        cmd!(con, "CONFIG GET", "bind").fields()["bind"].text(),
        "127.0.0.1"
    );
    let parts = run.parts();
    for name in ["redis-server", "mosquitto"] {
        run.part(name);
    }
    assert!(
        parts
            .iter()
            .filter(|part| part.name.starts_with("devicestate-"))
            .count()
            == 2
    );

    run.script.signal("INT");
    let status = run.script.wait_for_exit();
    assert!(
        matches!(status.code(), Some(0 | 130)),
        "{status}: {}",
        run.script.output()
    );
    // By the time the script has ended, not some time later.
    let left: Vec<&Proc> = parts.iter().filter(|part| part.runs()).collect();
    assert!(left.is_empty(), "still there: {left:?}");
    let output = run.script.output_at_exit();
    assert!(
        output.contains("stopping fleet bridge mosquitto redis"),
        "{output}"
    );
}

#[test]
fn a_run_keeps_its_data_for_the_next_one() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let start = || {
        let mut command = script();
        command
            .args(["--no-install", "--no-fleet", "--data"])
            .arg(data.path());
        let port = free_port();
        command.args(["--redis-port", &port.to_string()]);
        command.args(["--mqtt-port", &free_port().to_string()]);
        let mut script = Process::spawn("scripts/run", command);
        script.wait_for_line_within("all is ready", READY);
        let client = redis::Client::open(("127.0.0.1", port)).expect("an address");
        (
            script,
            client
                .get_connection()
                .expect("connect to the server of the run"),
        )
    };
    let (mut script, mut con) = start();
    assert_eq!(cmd!(con, "DEVICE.REGISTER", "kept", "sensor").int(), 1);

    // Two at once would write the same files.
    let mut second = self::script();
    second.args(["--no-install", "--redis-port", &free_port().to_string()]);
    second
        .args(["--mqtt-port", &free_port().to_string(), "--data"])
        .arg(data.path());
    let mut second = Process::spawn("scripts/run", second);
    let output = second.output_at_exit();
    assert_eq!(second.wait_for_exit().code(), Some(1), "{output}");
    assert!(
        output.contains("in use by another run") && output.contains("--data"),
        "{output}"
    );

    script.terminate();
    let (mut script, mut con) = start();
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 1);
    script.terminate();
}

#[test]
fn a_part_that_dies_is_named_and_ends_the_run() {
    for (program, name) in [("mosquitto", "mosquitto"), ("redis-server", "redis")] {
        let mut run = Run::ready();
        let parts = run.parts();
        let part = run.part(program);
        signal(part.id, "KILL");
        let output = run.script.output_at_exit();
        assert_eq!(run.script.wait_for_exit().code(), Some(1), "{output}");
        let line = output
            .lines()
            .find(|line| line.contains("died"))
            .unwrap_or_default();
        assert!(
            line.contains(name) && line.contains(&format!("{name}.log")),
            "{output}"
        );
        wait_until_gone(&parts);
    }
}

#[test]
fn a_run_that_is_ended_while_it_starts_leaves_nothing_behind() {
    for step in [
        "cargo build",
        "starting redis",
        "starting mosquitto",
        "starting the bridge",
    ] {
        let mut run = Run::start(free_port(), free_port(), &["--devices", "3"]);
        run.script.wait_for_line_within(step, READY);
        let parts = run.parts();
        run.script.signal("TERM");
        let status = run.script.wait_for_exit();
        assert_eq!(
            status.code(),
            Some(143),
            "at {step}: {}",
            run.script.output()
        );
        wait_until_gone(&parts);
        assert!(run.parts().is_empty());
    }
}

#[test]
fn a_run_that_is_killed_outright_leaves_nothing_behind() {
    let mut run = Run::ready();
    let parts = run.parts();
    run.script.kill_hard();
    wait_until_gone(&parts);
}

#[test]
fn a_busy_port_is_one_line_and_nothing_is_started() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let busy = listener.local_addr().expect("its address").port();
    for flag in ["--redis-port", "--mqtt-port"] {
        let (redis, mqtt) = match flag {
            "--redis-port" => (busy, free_port()),
            _ => (free_port(), busy),
        };
        let mut run = Run::start(redis, mqtt, &[]);
        let output = run.script.output_at_exit();
        assert_eq!(run.script.wait_for_exit().code(), Some(1), "{output}");
        assert_eq!(output.lines().count(), 1, "{output}");
        assert!(
            output.contains(&busy.to_string()) && output.contains(flag),
            "{output}"
        );
        let left = fs::read_dir(run.data.path())
            .expect("read the folder")
            .count();
        assert_eq!(left, 0, "a data folder was made");
    }
}

#[test]
fn a_wrong_flag_is_one_line() {
    for (args, names) in [
        (vec!["--devices", "many"], "--devices"),
        (vec!["--devices", "-1"], "--devices"),
        (vec!["--devices="], "--devices"),
        (vec!["--redis-port", "65536"], "--redis-port"),
        (vec!["--mqtt-port"], "--mqtt-port"),
        (
            vec!["--redis-port", "7000", "--mqtt-port=7000"],
            "--mqtt-port",
        ),
        (vec!["--data", ""], "--data"),
        (vec!["--no-such-flag"], "--no-such-flag"),
        (vec!["redis"], "redis"),
    ] {
        let mut command = script();
        command.args(&args);
        let mut script = Process::spawn("scripts/run", command);
        let output = script.output_at_exit();
        assert_eq!(script.wait_for_exit().code(), Some(2), "{args:?}: {output}");
        assert_eq!(output.lines().count(), 1, "{args:?}: {output}");
        assert!(output.contains(names), "{args:?}: {output}");
    }
}

#[test]
fn help_names_every_flag() {
    let mut command = script();
    command.arg("--help");
    let mut script = Process::spawn("scripts/run", command);
    let output = script.output_at_exit();
    assert!(script.wait_for_exit().success());
    for flag in [
        "--redis-port",
        "--mqtt-port",
        "--devices",
        "--no-fleet",
        "--data",
        "--no-install",
    ] {
        assert!(output.contains(flag), "{flag} is not in:\n{output}");
    }
}

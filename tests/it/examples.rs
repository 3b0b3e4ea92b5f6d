//! The clients of `examples/`: their demos against a real server, what they print, and what they
//! leave there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use redis::Connection;
use serde_json::json;

use crate::support::*;

/// What both demos print on a server that is new. Each waits for what it says, or fails.
const PRINTED: &[&str] = &[
    "register: the lamp is new",
    "heartbeat: online, version 1",
    "presence: online, heartbeat",
    r#"desired: to do {"level":80,"power":"on"}"#,
    r#"delta: power {"desired":"on","reported":"off"}"#,
    r#"heartbeat: to do {"level":80,"power":"on"}"#,
    "heartbeat: done",
    "heartbeats: stopped",
    "offline: said",
    "presence: offline, switched off",
    "report: version 5",
    r#"shadow: {"desired":{"level":80,"power":"on"},"reported":{"level":80,"power":"on","signal":-61}}"#,
    "refused: VERSIONCONFLICT VERSION: 4 is not the current version, which is 5",
    "event: comes again after a crash",
    "event: registered, lamp",
    "event: online, heartbeat",
    r#"event: delta, {"level":80,"power":"on"}"#,
    "event: delta, {}",
    "event: offline, switched off",
    "all seen",
];

/// One of the demos.
struct Demo {
    name: &'static str,
    lamp: &'static str,
    group: &'static str,
    command: fn() -> Command,
}

const REDIS_PY: Demo = Demo {
    name: "examples/redis-py/demo.py",
    lamp: "demo-py-lamp",
    group: "demo-py",
    command: python,
};

const IOREDIS: Demo = Demo {
    name: "examples/ioredis/demo.js",
    lamp: "demo-js-lamp",
    group: "demo-js",
    command: node,
};

impl Demo {
    /// Runs it to its end, which has to come with `status`, and gives the lines it printed.
    #[track_caller]
    fn run(&self, server: &Server, status: i32) -> Vec<String> {
        let mut command = (self.command)();
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(self.name))
            .env("REDIS_URL", server.url());
        let mut demo = Process::spawn(self.name, command);
        let output = demo.output_at_exit();
        assert_eq!(demo.wait_for_exit().code(), Some(status), "{output}");
        output.lines().map(str::to_owned).collect()
    }

    /// What is on the server after it.
    #[track_caller]
    fn check_what_it_left(&self, con: &mut Connection) {
        let device = cmd!(con, "DEVICE.GET", self.lamp).text_fields();
        assert_eq!(device["device_type"], "lamp");
        assert_eq!(device["status"], "offline");
        assert_eq!(device["metadata"], r#"{"room":"hall"}"#);

        let shadow = cmd!(con, "DEVICE.SHADOW.GET", self.lamp).json();
        assert_eq!(shadow["version"], 5);
        assert_eq!(
            shadow["state"],
            json!({
                "desired": {"level": 80, "power": "on"},
                "reported": {"level": 80, "power": "on", "signal": -61},
            })
        );

        // The group has had all of it, and owes nothing.
        let groups = cmd!(con, "XINFO", "GROUPS", "devices:events").items();
        let mut groups = groups.iter().map(Reply::fields);
        let group = groups.find(|group| group["name"].text() == self.group);
        let group = group.expect("the group of the demo");
        assert_eq!(group["pending"].int(), 0);
        assert_eq!(group["consumers"].int(), 1);
        let last = stream(con, "devices:events").0.pop().expect("an event");
        assert_eq!(group["last-delivered-id"].text(), last.id);
        assert_eq!((last.kind(), last.device()), ("offline", self.lamp));
    }
}

/// A Python that has redis-py; `scripts/lib/clients.sh` looks in the same places.
fn python() -> Command {
    let has_redis = |python: &&str| {
        let mut look = Command::new(python);
        look.args(["-c", "import redis"]).stderr(Stdio::null());
        look.status().is_ok_and(|status| status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has_redis);
    let python = python.expect("no python3 has redis-py: scripts/test installs it");
    let mut command = Command::new(python);
    // Leave no __pycache__ among the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Node.js with the ioredis that `scripts/test` has put into `target/`, or a user beside the demo.
fn node() -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = test
        .ancestors()
        .chain([root])
        .map(|dir| dir.join("examples/ioredis/node_modules"));
    let modules: Option<PathBuf> = folders.find(|modules| modules.join("ioredis").is_dir());
    let modules = modules.expect("no ioredis: scripts/test installs it, if npm reaches a registry");
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules);
    command
}

#[track_caller]
fn sees_all_it_waits_for(demo: &Demo) {
    let server = Server::start();
    let mut con = server.connection();
    assert_eq!(demo.run(&server, 0), PRINTED);
    demo.check_what_it_left(&mut con);
    assert_eq!(cmd!(con, "DEVICE.COUNT").int(), 1);

    // Others have been busy meanwhile, and it is run again where it was run before.
    cmd!(con, "DEVICE.HEARTBEAT", "somebody").value();
    cmd!(con, "DEVICE.OFFLINE", "somebody").value();
    let mut again: Vec<&str> = PRINTED.to_vec();
    again.insert(14, "event: removed, lamp");
    assert_eq!(demo.run(&server, 0), again);
    demo.check_what_it_left(&mut con);
}

#[test]
fn redis_py_sees_all_it_waits_for() {
    sees_all_it_waits_for(&REDIS_PY);
}

/// `scripts/test` sets this where no npm registry can be reached, and says last what it left out.
fn is_left_out(demo: &Demo) -> bool {
    demo.name == IOREDIS.name && std::env::var_os("DEVICESTATE_WITHOUT_IOREDIS").is_some()
}

#[test]
fn ioredis_sees_all_it_waits_for() {
    if !is_left_out(&IOREDIS) {
        sees_all_it_waits_for(&IOREDIS);
    }
}

#[test]
fn without_the_module_the_demos_fail_and_say_why() {
    let server = Server::builder().without_module().start();
    for demo in [REDIS_PY, IOREDIS] {
        if is_left_out(&demo) {
            continue;
        }
        let output = demo.run(&server, 1).join("\n");
        assert!(output.contains("unknown command"), "{output}");
    }
}

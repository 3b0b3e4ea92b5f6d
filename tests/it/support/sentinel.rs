//! Sentinels that watch a master of the test's own and replace it soon.

use std::fs;
use std::process::Command;
use std::time::Duration;

use redis::{Client, Connection, RedisResult, Value};
use tempfile::TempDir;

use super::client::{cmd, Reply};
use super::ports::free_port;
use super::processes::Process;
use super::server::{program, Server};
use super::wait::wait_for;

/// The name under which Sentinels know the master.
const MASTER: &str = "fleet";
const LIMIT: Duration = Duration::from_secs(60);

/// Everything sooner than a Sentinel does it, in milliseconds: looking at servers, telling each
/// other, and waiting before a master that came back is made a replica. Pings stay as they are: what
/// a replica said longer than five of them ago does not count, and it is asked once a second.
const SOON: &[(&str, u64)] = &[
    ("info-period", 300),
    ("ask-period", 100),
    ("publish-period", 250),
    ("min-link-reconnect-period", 200),
    ("slave-reconf-timeout", 1_000),
    // They go on, however busy the machine is.
    ("tilt-trigger", 20_000),
];

/// Three Sentinels, of which two must agree.
pub struct Sentinels {
    all: Vec<Sentinel>,
    replicas: usize,
}

struct Sentinel {
    port: u16,
    _process: Process,
    _dir: TempDir,
}

impl Sentinels {
    /// They find the master's replicas by themselves; returns when all know all of them, and each
    /// other.
    #[track_caller]
    pub fn watch(master: &Server, replicas: usize) -> Sentinels {
        let all = (0..3).map(|_| Sentinel::start(master.port())).collect();
        let sentinels = Sentinels { all, replicas };
        for sentinel in &sentinels.all {
            let what = "a Sentinel answers";
            let mut con = wait_for(what, LIMIT, || connect(sentinel.port).ok());
            for (name, ms) in SOON {
                cmd!(con, "SENTINEL DEBUG", *name, *ms).text();
            }
        }
        sentinels.wait_until_settled();
        sentinels
    }

    /// Waits until all of them say that the same server is the master, that its replicas follow,
    /// and that they know each other. Gives the master's port.
    #[track_caller]
    pub fn wait_until_settled(&self) -> u16 {
        wait_for("the Sentinels agree about the master", LIMIT, || {
            let settled = |sentinel: &Sentinel| sentinel.settled_master(self.replicas);
            let mut masters = self.all.iter().map(settled);
            let first = masters.next().flatten();
            first.filter(|_| masters.all(|master| master == first))
        })
    }

    /// What tells clients the port of the master, as far as any Sentinel knows it.
    pub fn finder(&self) -> impl Fn() -> Option<u16> + Clone + Send + 'static {
        let ports: Vec<u16> = self.all.iter().map(|sentinel| sentinel.port).collect();
        let ask = |port: &u16| -> RedisResult<u16> {
            let address = cmd!(connect(*port)?, "SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)?;
            Ok(address.at(1).int() as u16)
        };
        move || ports.iter().find_map(|port| ask(port).ok())
    }
}

impl Sentinel {
    #[track_caller]
    fn start(master: u16) -> Sentinel {
        let (dir, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let path = dir.path().display();
        let file = dir.path().join("sentinel.conf");
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {path}\nlogfile {path}/sentinel.log\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 2000\n\
             sentinel parallel-syncs {MASTER} 2\n"
        );
        fs::write(&file, settings).expect("write sentinel.conf");
        let mut command = Command::new(program());
        command.arg(&file).arg("--sentinel");
        Sentinel {
            port,
            _process: Process::spawn("a Sentinel", command),
            _dir: dir,
        }
    }

    /// The port of the master, if nothing is about to change.
    fn settled_master(&self, replicas: usize) -> Option<u16> {
        let mut con = connect(self.port).ok()?;
        let known = cmd!(con, "SENTINEL MASTER", MASTER).ok()?.text_fields();
        let found = cmd!(con, "SENTINEL REPLICAS", MASTER).ok()?.items();
        let follows = |replica: &Value| {
            let replica = replica.text_fields();
            replica["flags"] == "slave"
                && replica["master-link-status"] == "ok"
                && replica["master-port"] == known["port"]
        };
        let is_settled = known["flags"] == "master"
            && known["num-other-sentinels"] == "2"
            && found.len() == replicas
            && found.iter().all(follows);
        is_settled.then(|| known["port"].parse().ok()).flatten()
    }
}

fn connect(port: u16) -> RedisResult<Connection> {
    let client = Client::open(format!("redis://127.0.0.1:{port}"))?;
    let con = client.get_connection_with_timeout(Duration::from_secs(1))?;
    con.set_read_timeout(Some(Duration::from_secs(1)))?;
    Ok(con)
}

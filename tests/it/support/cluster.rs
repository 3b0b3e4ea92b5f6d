//! Clusters of real servers, and a client that follows their redirections.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use devicestate_core::slot::{self, Slot};
use redis::{Connection, RedisResult, Value};

use super::client::{cmd, command, Reply, Run};
use super::server::{Builder, Server};
use super::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

/// Some primaries, each with as many replicas.
pub struct Cluster {
    /// Primaries first, at the start.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts all nodes, shares the slots evenly, and waits until every node agrees.
    #[track_caller]
    pub fn start(
        primaries: usize,
        replicas_of_each: usize,
        builder: impl Fn() -> Builder,
    ) -> Cluster {
        let count = primaries * (1 + replicas_of_each);
        let cluster = Cluster {
            nodes: (0..count).map(|_| node(builder())).collect(),
        };
        for (at, node) in cluster.nodes.iter().enumerate() {
            let mut con = node.connection();
            cmd!(con, "CLUSTER SET-CONFIG-EPOCH", at + 1).text();
            if at < primaries {
                let first = slot::COUNT * at / primaries;
                let last = slot::COUNT * (at + 1) / primaries - 1;
                cmd!(con, "CLUSTER ADDSLOTSRANGE", first, last).text();
            }
        }
        cluster.wait_until_whole();
        for at in primaries..count {
            let mut con = cluster.nodes[at].connection();
            let primary = id_of(&cluster.nodes[at % primaries]);
            cmd!(con, "CLUSTER REPLICATE", primary).text();
        }
        for node in &cluster.nodes[primaries..] {
            let mut con = node.connection();
            wait_for("a replica follows", LIMIT, || {
                let info = cmd!(con, "INFO", "replication").text();
                info.contains("role:slave") && info.contains("master_link_status:up")
            });
        }
        cluster.wait_until_whole();
        cluster
    }

    /// Starts one more primary, without a slot, and waits until all nodes know it.
    #[track_caller]
    pub fn join(&mut self, builder: impl Fn() -> Builder) {
        let node = node(builder());
        self.nodes.push(node);
        self.wait_until_whole();
    }

    #[track_caller]
    fn wait_until_whole(&self) {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let mut met: Option<Instant> = None;
        wait_for("all nodes know each other and all slots", LIMIT, || {
            // Nodes that shake hands for too long give up.
            let is_time = met.is_none_or(|at| at.elapsed() > Duration::from_secs(3));
            let mut is_whole = true;
            for node in &self.nodes {
                let mut con = node.connection();
                let info = cmd!(con, "CLUSTER INFO").text();
                is_whole &= info.contains("cluster_state:ok") && info.contains(&known);
                if is_time && !info.contains(&known) {
                    cmd!(con, "CLUSTER MEET", "127.0.0.1", self.nodes[0].port()).text();
                    met = Some(Instant::now());
                }
            }
            is_whole
        });
    }

    /// Waits until each node that runs says that all slots are served.
    #[track_caller]
    pub fn wait_until_up(&self) {
        wait_for("all slots are served", LIMIT, || {
            let mut runs = self.nodes.iter().filter(|node| node.runs());
            runs.all(|node| {
                cmd!(node.connection(), "CLUSTER INFO")
                    .text()
                    .contains("cluster_state:ok")
            })
        });
    }

    /// Waits until all replicas have what was written so far.
    #[track_caller]
    pub fn wait_until_replicated(&self) {
        for node in self.primaries() {
            let mut con = node.connection();
            wait_for("the replicas have everything", LIMIT, || {
                let role = cmd!(con, "ROLE");
                let replicas = role.at(2).items();
                replicas
                    .iter()
                    .all(|one| one.at(2).int() == role.at(1).int())
            });
        }
    }

    /// The nodes that are primaries now.
    pub fn primaries(&self) -> Vec<&Server> {
        let runs = self.nodes.iter().filter(|node| node.runs());
        let is_primary = |node: &&Server| cmd!(node.connection(), "ROLE").at(0).text() == "master";
        runs.filter(is_primary).collect()
    }

    /// Has a replica take over from its primary, which works.
    #[track_caller]
    pub fn fail_over_to(&self, replica: &Server) {
        let mut con = replica.connection();
        let is_primary = |con: &mut Connection| cmd!(con, "ROLE").at(0).text() == "master";
        // The server gives up after five seconds, on a busy machine.
        wait_for("the replica is a primary", LIMIT, || {
            cmd!(con, "CLUSTER FAILOVER").text();
            let start = Instant::now();
            while !is_primary(&mut con) && start.elapsed() < Duration::from_secs(6) {
                thread::sleep(Duration::from_millis(20));
            }
            is_primary(&mut con)
        });
    }

    /// Moves so many slots from one node to another as an operator does it, key by key.
    #[track_caller]
    pub fn reshard(&self, from: &Server, to: &Server, slots: usize) {
        let at = format!("127.0.0.1:{}", from.port());
        // Otherwise it moves nothing.
        wait_for("all nodes agree about the slots", LIMIT, || {
            redis_cli_cluster(&["check", &at]).status.success()
        });
        let (from, to, slots) = (id_of(from), id_of(to), slots.to_string());
        let nodes = ["--cluster-from", &from, "--cluster-to", &to];
        let extent = ["--cluster-slots", &slots, "--cluster-yes"];
        let output = redis_cli_cluster(&[&["reshard", &at], &nodes[..], &extent[..]].concat());
        assert!(
            output.status.success(),
            "the slots did not move:\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A client of all nodes.
    pub fn client(&self) -> ClusterClient {
        ClusterClient {
            ports: HashMap::new(),
            connections: HashMap::new(),
            nodes: self.nodes.iter().map(Server::port).collect(),
            outlives_failover: false,
            redirected: BTreeMap::new(),
        }
    }
}

fn redis_cli_cluster(arguments: &[&str]) -> Output {
    let mut redis_cli = Command::new("redis-cli");
    redis_cli.arg("--cluster").args(arguments);
    redis_cli
        .stdin(Stdio::null())
        .output()
        .expect("run redis-cli")
}

/// Moves these keys of a slot that is on its way.
#[track_caller]
pub fn move_keys(from: &Server, to: &Server, keys: &[String]) {
    let mut migrate = command("MIGRATE");
    migrate.arg("127.0.0.1").arg(to.port()).arg("");
    migrate.arg(0).arg(5_000).arg("KEYS").arg(keys);
    assert_eq!(from.connection().run(&migrate).text(), "OK");
}

/// Whether the server can move slots in one step: Valkey from 9 on.
#[track_caller]
pub fn moves_slots_whole(server: &Server) -> bool {
    let found = cmd!(server.connection(), "COMMAND INFO", "cluster|migrateslots");
    !found.at(0).is_nil()
}

/// Whether the server has its replicas set a slot before it does: Valkey from 8 on.
#[track_caller]
pub fn waits_for_replicas(server: &Server) -> bool {
    let info = cmd!(server.connection(), "INFO", "server").text();
    info.contains("valkey_version:")
}

/// The node's name in the cluster.
#[track_caller]
pub fn id_of(node: &Server) -> String {
    cmd!(node.connection(), "CLUSTER MYID").text()
}

fn node(builder: Builder) -> Server {
    let builder = builder
        .config("cluster-enabled", "yes")
        .config("cluster-config-file", "nodes.conf");
    builder.config("cluster-node-timeout", 2_000).start()
}

/// Sends each command to where its key is, as cluster clients do.
pub struct ClusterClient {
    ports: HashMap<Slot, u16>,
    connections: HashMap<u16, Connection>,
    nodes: Vec<u16>,
    /// Goes on where a node is gone or the cluster is down for a moment.
    pub outlives_failover: bool,
    /// How often it was sent elsewhere, or told to wait, by the error's code.
    pub redirected: BTreeMap<String, u64>,
}

impl ClusterClient {
    /// The reply, or an error that is no redirection. `words` begin with the command's name; the first one
    /// behind it is the key.
    pub fn call(&mut self, words: &[&str]) -> RedisResult<Value> {
        let slot = Slot::of(words[1].as_bytes());
        let home = |client: &ClusterClient| *client.ports.get(&slot).unwrap_or(&client.nodes[0]);
        let (mut port, mut is_asking) = (home(self), false);
        for _ in 0..10_000 {
            let error = match self.send(port, is_asking, words) {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let code = error.code().unwrap_or("no answer").to_owned();
            let target = error
                .detail()
                .and_then(|detail| detail.rsplit(':').next()?.parse().ok());
            *self.redirected.entry(code.clone()).or_default() += 1;
            match (code.as_str(), target) {
                ("MOVED", Some(target)) => {
                    self.ports.insert(slot, target);
                    (port, is_asking) = (target, false);
                }
                ("ASK", Some(target)) => (port, is_asking) = (target, true),
                ("TRYAGAIN", _) => {
                    thread::sleep(Duration::from_millis(2));
                    (port, is_asking) = (home(self), false);
                }
                (_, _) if self.outlives_failover => {
                    self.give_up(port);
                    thread::sleep(Duration::from_millis(5));
                    (port, is_asking) = (home(self), false);
                }
                _ => return Err(error),
            }
        }
        panic!("{words:?} was sent round and round: {:?}", self.redirected);
    }

    /// Asks other nodes from now on for the slots that were there.
    fn give_up(&mut self, port: u16) {
        self.connections.remove(&port);
        self.ports.retain(|_, home| *home != port);
        if self.nodes[0] == port {
            self.nodes.rotate_left(1);
        }
    }

    fn send(&mut self, port: u16, is_asking: bool, words: &[&str]) -> RedisResult<Value> {
        let con = match self.connections.entry(port) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let con = redis::Client::open(("127.0.0.1", port))?.get_connection()?;
                con.set_read_timeout(Some(Duration::from_secs(10)))?;
                entry.insert(con)
            }
        };
        if is_asking {
            cmd!(con, "ASKING")?;
        }
        let mut command = command(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        con.run(&command)
    }
}

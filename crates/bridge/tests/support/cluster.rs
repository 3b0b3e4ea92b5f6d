//! A cluster of real servers: three primaries and a replica of each.

use super::server::Server;
use super::{wait_until, PATIENCE};
use redis::{Connection, FromRedisValue, RedisError, RedisResult, Value};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;

pub struct Cluster {
    /// Primaries first, at the start; then their replicas, in the same order.
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start() -> Cluster {
        Cluster::start_with(&[])
    }

    /// With lines of redis.conf of its own.
    pub fn start_with(lines: &[&str]) -> Cluster {
        Cluster::start_each(|| lines.iter().map(|line| (*line).to_owned()).collect())
    }

    /// With lines of redis.conf for each node.
    pub fn start_each(lines: impl Fn() -> Vec<String>) -> Cluster {
        let nodes: Vec<Server> = (0..2 * PRIMARIES).map(|_| node(&lines())).collect();
        for (at, node) in nodes.iter().enumerate() {
            let epoch = (at + 1).to_string();
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
            if at < PRIMARIES {
                let first = (SLOTS * at / PRIMARIES).to_string();
                let last = (SLOTS * (at + 1) / PRIMARIES - 1).to_string();
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
            }
            meet(node, &nodes[0]);
        }
        let cluster = Cluster { nodes };
        cluster.wait_until_whole();
        for at in PRIMARIES..2 * PRIMARIES {
            let primary = id_of(&cluster.nodes[at - PRIMARIES]);
            cluster.nodes[at].command(&["CLUSTER", "REPLICATE", &primary]);
        }
        for primary in &cluster.nodes[..PRIMARIES] {
            wait_until("the replica is in step", || {
                matches!(primary.ask(&["WAIT", "1", "1000"]), Ok(Value::Int(1)))
            });
        }
        cluster.wait_until_whole();
        wait_until("everybody knows the replicas", || {
            let nodes = cluster.nodes.iter();
            nodes.clone().all(|node| {
                let known: String = node.query(&["CLUSTER", "NODES"]);
                known.matches("slave").count() == PRIMARIES
            })
        });
        cluster
    }

    /// One more primary, the last of the nodes, without a slot.
    pub fn join(&mut self) {
        let node = node(&[]);
        meet(&node, &self.nodes[0]);
        self.nodes.push(node);
        self.wait_until_whole();
    }

    fn wait_until_whole(&self) {
        let known = format!("cluster_known_nodes:{}\r", self.nodes.len());
        let mut met = Instant::now();
        wait_until("all nodes know each other and all slots", || {
            // Nodes that shake hands for too long give up.
            let again = met.elapsed() > Duration::from_secs(3);
            if again {
                met = Instant::now();
            }
            let mut is_whole = true;
            for node in &self.nodes {
                let info: String = node.query(&["CLUSTER", "INFO"]);
                is_whole &= info.contains("cluster_state:ok") && info.contains(&known);
                if again && !info.contains(&known) {
                    meet(node, &self.nodes[0]);
                }
            }
            is_whole
        });
    }

    /// Nodes do not list a replica before it has told them how far it has come.
    pub fn wait_until_replicas_are_listed(&self) {
        wait_until("all nodes list the replicas", || {
            self.nodes.iter().all(|node| {
                let slots: Vec<Vec<Value>> = node.query(&["CLUSTER", "SLOTS"]);
                slots.iter().all(|range| range.len() == 4)
            })
        });
    }

    /// Two of its nodes lead to the others.
    pub fn url(&self) -> String {
        let ports = [self.nodes[0].port, self.nodes[1].port];
        format!(
            "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
            ports[0], ports[1]
        )
    }

    /// The nodes that are primaries now.
    pub fn primaries(&self) -> Vec<&Server> {
        let nodes = self.nodes.iter();
        let is_primary = |node: &&Server| {
            let role = node.ask(&["ROLE"]);
            role.is_ok_and(|role| format!("{role:?}").contains("master"))
        };
        nodes.filter(is_primary).collect()
    }

    /// Moves so many slots, key by key, as an operator does it.
    #[track_caller]
    pub fn reshard(&self, from: &Server, to: &Server, slots: usize) {
        let at = format!("127.0.0.1:{}", from.port);
        wait_until("all nodes agree", || {
            let mut check = Command::new("redis-cli");
            check.args(["--cluster", "check", &at]).stdin(Stdio::null());
            check.output().is_ok_and(|found| found.status.success())
        });
        let output = Command::new("redis-cli")
            .args(["--cluster", "reshard", &at])
            .args(["--cluster-from", &id_of(from), "--cluster-to", &id_of(to)])
            .args(["--cluster-slots", &slots.to_string(), "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("redis-cli must be installed");
        assert!(
            output.status.success(),
            "the slots did not move:\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Kills a primary, and waits until its replica has taken its place.
    pub fn fail_over(&mut self, primary: usize) {
        self.nodes[primary].kill();
        let replica = &self.nodes[primary + PRIMARIES];
        wait_until("the replica is the primary", || {
            let role = replica.ask(&["ROLE"]);
            let info = replica.ask(&["CLUSTER", "INFO"]);
            role.is_ok_and(|role| format!("{role:?}").contains("master"))
                && info.is_ok_and(|info| format!("{info:?}").contains("cluster_state:ok"))
        });
    }

    /// Runs a command on the node that has its key, whose answer must not be an error.
    #[track_caller]
    pub fn query<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let end = Instant::now() + PATIENCE;
        let (mut port, mut asking) = (self.nodes[0].port, false);
        loop {
            let error = match call(port, asking, words) {
                Ok(answer) => {
                    return redis::from_redis_value(answer)
                        .unwrap_or_else(|error| panic!("{words:?}: {error}"))
                }
                Err(error) => error,
            };
            assert!(Instant::now() < end, "{words:?}: {error}");
            (port, asking) = match (error.code(), target(&error)) {
                (Some("MOVED"), Some(target)) => (target, false),
                (Some("ASK"), Some(target)) => (target, true),
                (Some("TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "READONLY") | None, _) => {
                    std::thread::sleep(Duration::from_millis(5));
                    let next = self.nodes.iter().position(|node| node.port == port);
                    let next = next.map_or(0, |at| (at + 1) % self.nodes.len());
                    (self.nodes[next].port, false)
                }
                _ => panic!("{words:?}: {error}"),
            };
        }
    }

    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Value {
        self.query(words)
    }
}

fn node(lines: &[String]) -> Server {
    let mut all = vec![
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        "cluster-node-timeout 1000",
        "cluster-replica-validity-factor 0",
        "repl-diskless-sync-delay 0",
        "repl-ping-replica-period 1",
    ];
    all.extend(lines.iter().map(String::as_str));
    Server::start_with(&all)
}

fn meet(node: &Server, other: &Server) {
    // Such as "07c37... 127.0.0.1:30004@31004 myself,master ...": by TLS it has another port.
    let known: String = other.query(&["CLUSTER", "NODES"]);
    let mine = known.lines().find(|line| line.contains("myself"));
    let address = mine.and_then(|line| line.split([' ', ',']).nth(1)).unwrap();
    let (_, ports) = address.rsplit_once(':').unwrap();
    let (port, bus) = ports.split_once('@').unwrap();
    node.command(&["CLUSTER", "MEET", "127.0.0.1", port, bus]);
}

/// The node's name in the cluster.
pub fn id_of(node: &Server) -> String {
    node.query(&["CLUSTER", "MYID"])
}

fn call(port: u16, asking: bool, words: &[&str]) -> RedisResult<Value> {
    let client = redis::Client::open(("127.0.0.1", port))?;
    let mut connection: Connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    if asking {
        redis::cmd("ASKING").exec(&mut connection)?;
    }
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query(&mut connection)
}

fn target(error: &RedisError) -> Option<u16> {
    error.detail()?.rsplit(':').next()?.parse().ok()
}

//! The way to Redis: to one server, or to all primaries of a cluster. Who sends commands need not know
//! which.

pub mod address;
mod cluster;
mod discovery;
mod node;
mod server;
mod topology;
mod trouble;
mod unit;
mod wait;

pub use server::Server;
pub use trouble::{describe, Trouble};

use crate::config::RedisConfig;
use crate::work::Work;
use cluster::Cluster;
use node::Node;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisResult, Value};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use topology::{Place, Topology};
use unit::Unit;
use wait::Wait;

/// How to reach the server, or the cluster.
#[derive(Debug, Clone)]
pub struct Target {
    server: Server,
    connect_timeout: Duration,
    response_timeout: Duration,
    wait: Option<Wait>,
    name: String,
}

impl Target {
    /// `name` is what the connections are called in `CLIENT LIST`, before a number that is never the
    /// same.
    pub fn new(config: &RedisConfig, server: &Server, name: String) -> Target {
        Target {
            server: server.clone(),
            connect_timeout: config.connect_timeout.0,
            response_timeout: config.response_timeout.0,
            wait: Wait::new(config.wait_replicas, config.response_timeout.0),
            name,
        }
    }

    /// The same, to this server.
    fn of(&self, server: Server) -> Target {
        Target {
            server,
            ..self.clone()
        }
    }

    /// A new connection to the server, without the fence.
    pub async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout));
        let client = self.server.client().await?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    /// The nodes of the cluster, if it is one.
    pub async fn nodes(&self) -> Result<Option<Nodes>, Trouble> {
        let Some(seeds) = self.server.seeds() else {
            return Ok(None);
        };
        let mut cluster = Cluster::new(self, seeds.clone());
        let topology = Box::pin(cluster.fresh_topology()).await?;
        let targets = |places: &BTreeSet<Place>| {
            let targets = places.iter().map(|place| {
                let server = seeds.node(&place.host, place.port)?;
                Ok(self.of(server))
            });
            let targets: RedisResult<Vec<Target>> = targets.collect();
            targets.map_err(|error| Trouble::of(&error))
        };
        Ok(Some(Nodes {
            primaries: targets(&topology.primaries())?,
            replicas: targets(topology.replicas())?,
            orphans: topology.orphans(),
        }))
    }

    pub fn server(&self) -> &Server {
        &self.server
    }
}

/// Each node of a cluster.
pub struct Nodes {
    pub primaries: Vec<Target>,
    pub replicas: Vec<Target>,
    /// How many slots no primary has.
    pub orphans: usize,
}

/// Connections are made when they are needed, and again after they were given up.
pub struct Link {
    way: Way,
}

enum Way {
    Server(Box<Node>),
    Cluster(Box<Cluster>),
}

/// What became of one work.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The node that it was sent to, where there are several.
    pub node: Option<Arc<str>>,
    pub answers: Result<Answers, Trouble>,
}

/// One for each command, or one error for all.
pub type Answers = Vec<RedisResult<Value>>;

impl Default for Reply {
    fn default() -> Reply {
        Reply {
            node: None,
            answers: Ok(Answers::new()),
        }
    }
}

/// A server that answers for its own devices: the only one, or a primary of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Primary(Option<Place>);

/// Which primary has which devices, to be compared with what it is later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout(Option<Topology>);

impl Link {
    /// Not connected yet.
    pub fn new(target: &Target) -> Link {
        let way = match target.server.seeds() {
            None => Way::Server(Box::new(Node::new(target.clone()))),
            Some(seeds) => Way::Cluster(Box::new(Cluster::new(target, seeds.clone()))),
        };
        Link { way }
    }

    /// Whether it is connected to all that it leads to.
    pub fn is_open(&self) -> bool {
        match &self.way {
            Way::Server(node) => node.is_open(),
            Way::Cluster(cluster) => cluster.is_open(),
        }
    }

    /// Whether it leads to more than one server, so that some of them may work while others do not.
    pub fn is_cluster(&self) -> bool {
        matches!(self.way, Way::Cluster(_))
    }

    /// Connects where it is not connected, ends the connections before at the servers, and makes sure
    /// that commands are answered.
    pub async fn open(&mut self) -> Result<(), Trouble> {
        match &mut self.way {
            Way::Server(node) => node.open().await,
            Way::Cluster(cluster) => Box::pin(cluster.open()).await,
        }
    }

    /// Has it connect anew, to wherever the next commands belong. Trouble does that by itself; this is for
    /// answers that another connection may not get.
    pub fn give_up(&mut self) {
        match &mut self.way {
            Way::Server(node) => node.give_up(),
            Way::Cluster(cluster) => cluster.give_up(),
        }
    }

    pub async fn ping(&mut self) -> Result<(), Trouble> {
        match &mut self.way {
            Way::Server(node) => node.ping().await,
            Way::Cluster(cluster) => Box::pin(cluster.ping()).await,
        }
    }

    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Trouble> {
        let answer = self.ask(std::slice::from_ref(command)).await?.pop();
        let answer = answer.ok_or_else(Trouble::no_answer)?;
        let answer = answer.and_then(|value| Ok(redis::from_redis_value(value)?));
        answer.map_err(|error| Trouble::of(&error))
    }

    /// Sends all works at once. The replies come in the same order, with one answer for each command of a
    /// work, which may have none; for a transaction that was not run, one error for all of it. Trouble
    /// means that nothing is known about the work.
    pub async fn send<'w>(&mut self, works: impl Iterator<Item = &'w Work> + Clone) -> Vec<Reply> {
        let units: Vec<Unit<'w>> = works.map(|work| Unit::of(&work.commands)).collect();
        let node = match &mut self.way {
            Way::Cluster(cluster) => return Box::pin(cluster.exchange(&units, true)).await,
            Way::Server(node) => node,
        };
        let mut pipeline = Pipeline::new();
        units.iter().for_each(|unit| unit.add_to(&mut pipeline));
        let (mut answers, trouble) = match node.run_and_wait(pipeline).await {
            Ok(answers) => (answers.into_iter(), None),
            Err(trouble) => (Vec::new().into_iter(), Some(trouble)),
        };
        let replies = units.into_iter().map(|unit| Reply {
            node: None,
            answers: match &trouble {
                None => Ok(unit.take(&mut answers)),
                Some(trouble) => Err(trouble.clone()),
            },
        });
        replies.collect()
    }

    /// Sends these commands at once; one answer for each. Trouble means that the answers of some are not
    /// known.
    pub async fn ask(&mut self, commands: &[Cmd]) -> Result<Answers, Trouble> {
        match &mut self.way {
            Way::Server(node) => node.run(pipeline(commands)).await,
            Way::Cluster(_) => self.ask_each(commands).await.into_iter().collect(),
        }
    }

    /// As [`Link::ask`], where the others count even if the answer to one is not known.
    pub async fn ask_each(&mut self, commands: &[Cmd]) -> Vec<Result<RedisResult<Value>, Trouble>> {
        let units: Vec<Unit<'_>> = commands.chunks(1).map(Unit::of).collect();
        let replies = match &mut self.way {
            Way::Cluster(cluster) => Box::pin(cluster.exchange(&units, false)).await,
            Way::Server(node) => {
                return match node.run(pipeline(commands)).await {
                    Ok(answers) => answers.into_iter().map(Ok).collect(),
                    Err(trouble) => vec![Err(trouble); commands.len()],
                }
            }
        };
        let answer = |reply: Reply| {
            let answer = reply.answers?.pop();
            answer.ok_or_else(Trouble::no_answer)
        };
        replies.into_iter().map(answer).collect()
    }

    /// The server, or the primaries of the cluster as they are now.
    pub async fn primaries(&mut self) -> Result<Vec<Primary>, Trouble> {
        match &mut self.way {
            Way::Server(_) => Ok(vec![Primary(None)]),
            Way::Cluster(cluster) => {
                let places = Box::pin(cluster.primaries()).await?.into_iter();
                Ok(places.map(|place| Primary(Some(place))).collect())
            }
        }
    }

    /// Reads anew who has what.
    pub async fn layout(&mut self) -> Result<Layout, Trouble> {
        match &mut self.way {
            Way::Server(_) => Ok(Layout(None)),
            Way::Cluster(cluster) => {
                let topology = Box::pin(cluster.fresh_topology()).await?;
                Ok(Layout(Some(topology.clone())))
            }
        }
    }

    /// As [`Link::ask`], of one primary, whoever has the keys.
    pub async fn ask_at(
        &mut self,
        primary: &Primary,
        commands: &[Cmd],
    ) -> Result<Answers, Trouble> {
        match (&mut self.way, primary) {
            (Way::Cluster(cluster), Primary(Some(place))) => {
                Box::pin(cluster.ask_at(place, pipeline(commands))).await
            }
            _ => self.ask(commands).await,
        }
    }
}

fn pipeline(commands: &[Cmd]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    for command in commands {
        pipeline.add_command(command.clone());
    }
    pipeline
}

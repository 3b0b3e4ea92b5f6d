//! All primaries of a cluster, a connection to each.
//!
//! A pipeline is split by the nodes that have the keys, the parts are sent at the same time, and the
//! answers come back in the order of what was asked. The client crate has a connection for clusters of
//! its own, but it sends commands again by itself, over connections that it does not show. That would
//! break the fence of [`super::node`], and the order of a device's messages.

use super::node::Node;
use super::server::Seeds;
use super::topology::{Place, Topology};
use super::unit::Unit;
use super::{Answers, Reply, Target, Trouble};
use devicestate_core::slot::Slot;
use futures_util::future::join_all;
use redis::{Pipeline, RedisError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a command is sent elsewhere, as servers say, before it has to wait.
const REDIRECTIONS: usize = 5;
/// Who asks for the primaries is told what was known so long ago, at most.
const FRESH: Duration = Duration::from_secs(1);

pub struct Cluster {
    target: Target,
    pub(super) seeds: Arc<Seeds>,
    /// All that were ever heard of: what was sent to them has to be ended if they come back.
    pub(super) nodes: BTreeMap<Place, Node>,
    pub(super) topology: Option<Topology>,
    pub(super) read_at: Instant,
    /// Whether something has happened that it does not explain.
    pub(super) stale: bool,
}

/// Where a unit goes.
#[derive(Debug, Clone)]
enum Way {
    /// To the primary that has the slot, as far as is known.
    Home,
    /// To the node that the slot is on its way to.
    Ask(Place),
}

impl Cluster {
    pub fn new(target: &Target, seeds: Arc<Seeds>) -> Cluster {
        Cluster {
            target: target.clone(),
            seeds,
            nodes: BTreeMap::new(),
            topology: None,
            read_at: Instant::now(),
            stale: true,
        }
    }

    /// Whether there is a connection to each primary.
    pub fn is_open(&self) -> bool {
        let is_open = |place: &Place| self.nodes.get(place).is_some_and(Node::is_open);
        let topology = self.topology.as_ref().filter(|_| !self.stale);
        topology.is_some_and(|topology| topology.primaries().iter().all(is_open))
    }

    pub async fn open(&mut self) -> Result<(), Trouble> {
        let primaries = self.topology().await?.primaries();
        self.on_each(&primaries, async |node| node.open().await)
            .await
    }

    pub async fn ping(&mut self) -> Result<(), Trouble> {
        let primaries = self.topology().await?.primaries();
        self.on_each(&primaries, async |node| node.ping().await)
            .await
    }

    /// The first trouble of all is told.
    async fn on_each(
        &mut self,
        places: &BTreeSet<Place>,
        work: impl AsyncFn(&mut Node) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        for place in places {
            self.node(place)?;
        }
        let nodes = self.nodes.iter_mut();
        let work = &work;
        let working =
            nodes
                .filter(|(place, _)| places.contains(place))
                .map(|(place, node)| async move {
                    let done = work(node).await;
                    done.map_err(|trouble| trouble.at(place))
                });
        let done: Result<(), Trouble> = join_all(working).await.into_iter().collect();
        self.stale |= done.is_err();
        done
    }

    /// What is in doubt is connected anew.
    pub fn give_up(&mut self) {
        self.stale = true;
        let doubtful = self.nodes.values_mut().filter(|node| node.is_doubtful());
        doubtful.for_each(Node::give_up);
    }

    /// The primaries, as they are now.
    pub async fn primaries(&mut self) -> Result<BTreeSet<Place>, Trouble> {
        self.stale |= self.read_at.elapsed() >= FRESH;
        Ok(self.topology().await?.primaries())
    }

    pub async fn fresh_topology(&mut self) -> Result<&Topology, Trouble> {
        self.stale = true;
        self.topology().await
    }

    async fn topology(&mut self) -> Result<&Topology, Trouble> {
        if self.stale || self.topology.is_none() {
            self.read_topology().await?;
        }
        self.topology.as_ref().ok_or_else(Trouble::no_answer)
    }

    /// Sends these to one node, whoever has the keys.
    pub async fn ask_at(&mut self, place: &Place, pipeline: Pipeline) -> Result<Answers, Trouble> {
        let answers = self.node(place)?.run(pipeline).await;
        self.stale |= answers.is_err();
        answers.map_err(|trouble| trouble.at(place))
    }

    /// Sends all units to where their keys are. Replies come in the same order.
    pub async fn exchange(&mut self, units: &[Unit<'_>], wait: bool) -> Vec<Reply> {
        let mut replies: Vec<Reply> = units.iter().map(|_| Reply::default()).collect();
        let asked = units.iter().enumerate();
        let mut left: Vec<(usize, Way)> = asked
            .filter(|(_, unit)| !unit.is_empty())
            .map(|(number, _)| (number, Way::Home))
            .collect();
        for _ in 0..=REDIRECTIONS {
            if left.is_empty() {
                break;
            }
            let parts = match self.split(&left, units, &mut replies).await {
                Ok(parts) => parts,
                Err(trouble) => {
                    for (number, _) in left {
                        replies[number].answers = Err(trouble.clone());
                    }
                    break;
                }
            };
            left.clear();
            for (place, part, answers) in self.send(parts, units, wait).await {
                let node: Arc<str> = place.to_string().into();
                let answers = match answers {
                    Ok(answers) => answers.into_iter().map(Ok).collect(),
                    Err(trouble) => {
                        self.stale = true;
                        vec![Err(trouble.at(&place)); part.len()]
                    }
                };
                for ((number, _), answers) in part.into_iter().zip(answers) {
                    if let Some(way) = self.redirected(&answers, &place) {
                        left.push((number, way));
                    }
                    replies[number] = Reply {
                        node: Some(node.clone()),
                        answers,
                    };
                }
            }
            // In the order in which they came.
            left.sort_unstable_by_key(|(number, _)| *number);
        }
        replies
    }

    /// Which units go to which node. Those that nobody is there for are answered.
    async fn split(
        &mut self,
        left: &[(usize, Way)],
        units: &[Unit<'_>],
        replies: &mut [Reply],
    ) -> Result<BTreeMap<Place, Part>, Trouble> {
        let topology = self.topology().await?;
        let mut parts: BTreeMap<Place, Part> = BTreeMap::new();
        let mut orphaned = false;
        for (number, way) in left {
            let (place, asking) = match way {
                Way::Ask(place) => (Some(place), true),
                Way::Home => (
                    units[*number].slot().and_then(|slot| topology.owner(slot)),
                    false,
                ),
            };
            match place {
                Some(place) => {
                    let part = parts.entry(place.clone()).or_default();
                    part.push((*number, asking));
                }
                None => {
                    orphaned = true;
                    replies[*number].answers = Err(Trouble::no_primary());
                }
            }
        }
        self.stale |= orphaned;
        for place in parts.keys() {
            self.node(place)?;
        }
        Ok(parts)
    }

    /// Sends the parts at the same time.
    async fn send(
        &mut self,
        mut parts: BTreeMap<Place, Part>,
        units: &[Unit<'_>],
        wait: bool,
    ) -> Vec<(Place, Part, Result<Vec<Answers>, Trouble>)> {
        let nodes = self.nodes.iter_mut();
        let sending = nodes
            .filter_map(|(place, node)| Some((parts.remove(place)?, place, node)))
            .map(|(part, place, node)| async move {
                let answers = send_part(node, &part, units, wait).await;
                (place.clone(), part, answers)
            });
        join_all(sending).await
    }

    /// Where the answers of a unit send it.
    fn redirected(&mut self, answers: &Result<Answers, Trouble>, asked: &Place) -> Option<Way> {
        let errors = || answers.iter().flatten().filter_map(|a| a.as_ref().err());
        // It may be cut off from the others, which know better who has the slot.
        self.stale |= errors().any(|error| error.code() == Some("CLUSTERDOWN"));
        let (code, place, slot) = errors()
            .filter_map(|error| redirection(error, asked))
            .next()?;
        if code == "ASK" {
            return Some(Way::Ask(place));
        }
        // It is read anew before anything else is sent. A node that has not heard of the change yet may
        // be the one that is asked; the next redirection mends that.
        self.stale = true;
        if let Some(topology) = &mut self.topology {
            topology.set_owner(slot, place);
        }
        Some(Way::Home)
    }

    pub(super) fn node(&mut self, place: &Place) -> Result<&mut Node, Trouble> {
        if !self.nodes.contains_key(place) {
            let server = self.seeds.node(&place.host, place.port);
            let server = server.map_err(|error| Trouble::of(&error).at(place))?;
            let node = Node::new(self.target.of(server));
            self.nodes.insert(place.clone(), node);
        }
        self.nodes.get_mut(place).ok_or_else(Trouble::no_answer)
    }
}

/// Numbers of units, and whether each has to say that it was sent there by another node.
type Part = Vec<(usize, bool)>;

async fn send_part(
    node: &mut Node,
    part: &Part,
    units: &[Unit<'_>],
    wait: bool,
) -> Result<Vec<Answers>, Trouble> {
    let mut pipeline = Pipeline::new();
    for (number, asking) in part {
        if *asking {
            pipeline.cmd("ASKING");
        }
        units[*number].add_to(&mut pipeline);
    }
    let answers = match wait {
        true => node.run_and_wait(pipeline).await?,
        false => node.run(pipeline).await?,
    };
    let mut answers = answers.into_iter();
    let taken = part.iter().map(|(number, asking)| {
        if *asking {
            answers.next();
        }
        units[*number].take(&mut answers)
    });
    Ok(taken.collect())
}

fn redirection<'e>(error: &'e RedisError, asked: &Place) -> Option<(&'e str, Place, Slot)> {
    let (address, slot) = error.redirect_node()?;
    let place = Place::of_redirection(address, asked)?;
    Some((error.code()?, place, Slot::new(slot.into())?))
}

//! How a cluster is found: any node that works tells who has which slots.

use super::cluster::Cluster;
use super::node::Node;
use super::topology::{Place, Topology};
use super::Trouble;
use redis::Pipeline;
use std::collections::BTreeSet;
use std::time::Instant;
use tracing::debug;

impl Cluster {
    /// Asks one node after the other, those that work first.
    pub(super) async fn read_topology(&mut self) -> Result<(), Trouble> {
        let (mut open, closed): (Vec<_>, Vec<_>) =
            self.nodes.iter().partition(|(_, node)| node.is_open());
        open.sort_by_key(|(_, node)| node.is_doubtful());
        let seeds = self.seeds.addresses.iter();
        let seeds = seeds.map(|(host, port)| Place::new(host, *port));
        // The names in the settings may lead further than addresses of nodes that were there once.
        let place = |(place, _): (&Place, &Node)| place.clone();
        let open = open.into_iter().map(place);
        let closed = closed.into_iter().map(place);
        let places: Vec<Place> = open.chain(seeds).chain(closed).collect();
        let mut asked = BTreeSet::new();
        let mut first = None;
        for place in places {
            if !asked.insert(place.clone()) {
                continue;
            }
            match self.read_topology_of(&place).await {
                Ok(topology) => {
                    self.adopt(topology);
                    return Ok(());
                }
                Err(trouble) => first.get_or_insert(trouble.at(&place)),
            };
        }
        Err(first.unwrap_or_else(Trouble::no_answer))
    }

    async fn read_topology_of(&mut self, place: &Place) -> Result<Topology, Trouble> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("CLUSTER").arg("SLOTS");
        let answer = self.node(place)?.run(pipeline).await?.pop();
        let answer = answer.ok_or_else(Trouble::no_answer)?;
        let answer = answer.map_err(|error| Trouble::of(&error))?;
        let topology = Topology::parse(&answer, place).ok_or_else(Trouble::no_answer)?;
        match topology.primaries().is_empty() {
            true => Err(Trouble::no_primary()),
            false => Ok(topology),
        }
    }

    fn adopt(&mut self, topology: Topology) {
        let primaries = topology.primaries();
        if self.topology.as_ref().map(Topology::primaries).as_ref() != Some(&primaries) {
            let places: Vec<String> = primaries.iter().map(Place::to_string).collect();
            debug!("the primaries are {}", places.join(", "));
        }
        for (place, node) in &mut self.nodes {
            if !primaries.contains(place) {
                node.give_up();
            }
        }
        self.topology = Some(topology);
        self.read_at = Instant::now();
        self.stale = false;
    }
}

use super::register;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The nodes of a cluster, as they come to be known.
pub struct Nodes {
    waits: Family<[(&'static str, String); 1], Counter>,
}

impl Nodes {
    pub fn register(registry: &mut Registry) -> Nodes {
        Nodes {
            waits: register(
                registry,
                "redis_node_waits",
                "Times a worker had to wait for this node of a cluster",
                Family::default(),
            ),
        }
    }

    pub fn waits(&self, node: &str) {
        self.waits.get_or_create(&[("node", node.to_owned())]).inc();
    }
}

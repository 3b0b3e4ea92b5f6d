//! What has happened since the start, and how things stand. `/metrics` shows it to Prometheus, and
//! the last line of the log sums it up: both read the same numbers.
//!
//! A part of the bridge that has numbers of its own keeps them in a struct like [`Messages`]: its
//! `register` gives each a name and a help text, and the struct is a field of [`Metrics`].

mod nodes;
mod per_profile;

pub use nodes::Nodes;
pub use per_profile::{PerProfile, NONE};

use crate::probes::{MQTT, REDIS};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{exponential_buckets, Histogram};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::sync::atomic::AtomicU64;

/// The content type of what [`Metrics::encode`] writes.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One label, such as `peer="redis"`.
pub type Label = [(&'static str, &'static str); 1];

/// A gauge of seconds.
pub type Seconds = Gauge<f64, AtomicU64>;

/// All numbers of the program.
pub struct Metrics {
    registry: Registry,
    pub messages: Messages,
    pub held: Held,
    pub connections: Connections,
    pub nodes: Nodes,
    pub pipelines: Pipelines,
    pub publications: Publications,
    pub events: Events,
}

impl Metrics {
    /// `profiles` are the names of those that are in use.
    pub fn new(profiles: &[&'static str]) -> Metrics {
        let mut registry = Registry::with_prefix("devicestate_bridge");
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        Metrics {
            messages: Messages::register(&mut registry, profiles),
            held: Held::register(&mut registry),
            connections: Connections::register(&mut registry),
            nodes: Nodes::register(&mut registry),
            pipelines: Pipelines::register(&mut registry),
            publications: Publications::register(&mut registry),
            events: Events::register(&mut registry),
            registry,
        }
    }

    /// Everything, in the text format of OpenMetrics.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

/// Registers a metric and gives it back.
pub fn register<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Registers one metric for each value of a label, all of them from the start: what appears only
/// when it changes has no rate at that moment.
pub fn register_each<M: Default + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    (label, values): (&'static str, [&'static str; 2]),
) -> Family<Label, M>
where
    Family<Label, M>: Metric,
{
    let family = register(registry, name, help, Family::<Label, M>::default());
    for value in values {
        drop(family.get_or_create(&[(label, value)]));
    }
    family
}

/// What became of the messages of devices.
pub struct Messages {
    /// Taken from the broker; redelivered ones again.
    pub received: PerProfile,
    /// Redis confirmed their commands.
    pub applied: PerProfile,
    /// They are in a queue for the processors.
    pub queued: PerProfile,
    pub refused: PerProfile,
    /// Their commands were refused, and their devices told so.
    pub answered_no: PerProfile,
    /// Refused ones that are in the stream of dead letters.
    pub dead: PerProfile,
    /// Refused ones that the stream of dead letters did not take.
    pub lost: PerProfile,
    /// QoS 0, and no room.
    pub dropped: PerProfile,
    /// Their commands were sent once more, each time.
    pub retried: PerProfile,
    /// By the broker, for whichever client.
    pub broker_dropped: Counter,
}

impl Messages {
    fn register(registry: &mut Registry, profiles: &[&'static str]) -> Messages {
        let mut of = |name, help| PerProfile::register(registry, name, help, profiles);
        Messages {
            received: of(
                "messages_received",
                "Messages taken from the broker, redelivered ones again",
            ),
            applied: of(
                "messages_applied",
                "Messages whose commands Redis confirmed",
            ),
            queued: of(
                "messages_queued",
                "Messages that were put into a queue for the processors",
            ),
            refused: of("messages_refused", "Messages that can never succeed"),
            answered_no: of(
                "messages_answered_no",
                "Messages whose commands were refused, and whose device was told so",
            ),
            dead: of(
                "dead_letters",
                "Refused messages that were put to the dead letters",
            ),
            lost: of(
                "dead_letters_failed",
                "Refused messages that the stream of dead letters did not take",
            ),
            dropped: of(
                "messages_dropped",
                "QoS 0 messages that found no room in qos0_buffer",
            ),
            retried: of(
                "messages_retried",
                "Messages whose commands were sent once more, each time",
            ),
            broker_dropped: register(
                registry,
                "broker_messages_dropped",
                "Messages that the broker dropped because a queue was full, of whichever client",
                Counter::default(),
            ),
        }
    }
}

/// What the bridge holds now.
pub struct Held {
    pub unacknowledged: Gauge,
    pub waiting: Gauge,
    /// Bytes, by `qos`.
    pub used: Family<Label, Gauge>,
    /// Bytes, by `qos`: the settings.
    pub limit: Family<Label, Gauge>,
    pub lag: Seconds,
}

impl Held {
    fn register(registry: &mut Registry) -> Held {
        Held {
            unacknowledged: register(
                registry,
                "messages_unacknowledged",
                "QoS 1 messages that the broker waits for",
                Gauge::default(),
            ),
            waiting: register(
                registry,
                "messages_waiting",
                "Messages that wait for Redis",
                Gauge::default(),
            ),
            used: register_each(
                registry,
                "buffer_used_bytes",
                "Memory that messages take while they wait for Redis",
                ("qos", ["0", "1"]),
            ),
            limit: register_each(
                registry,
                "buffer_limit_bytes",
                "How much it may be: the settings qos0_buffer and qos1_buffer",
                ("qos", ["0", "1"]),
            ),
            lag: register(
                registry,
                "lag_seconds",
                "Age of the oldest QoS 1 message that Redis has not confirmed",
                Seconds::default(),
            ),
        }
    }
}

/// The broker and Redis.
pub struct Connections {
    /// By `peer`.
    pub up: Family<Label, Gauge>,
    pub ready: Gauge,
    /// By `peer`.
    pub reconnects: Family<Label, Counter>,
    pub sessions_lost: Counter,
}

impl Connections {
    /// One more connection to a peer that had one before.
    pub fn again(&self, peer: &'static str) {
        self.reconnects.get_or_create(&[("peer", peer)]).inc();
    }

    fn register(registry: &mut Registry) -> Connections {
        Connections {
            up: register_each(
                registry,
                "up",
                "1 while the peer does what it is there for, else 0",
                ("peer", [MQTT, REDIS]),
            ),
            ready: register(
                registry,
                "ready",
                "1 while /readyz answers 200, else 0",
                Gauge::default(),
            ),
            reconnects: register_each(
                registry,
                "reconnects",
                "Connections made after the first",
                ("peer", [MQTT, REDIS]),
            ),
            sessions_lost: register(
                registry,
                "sessions_lost",
                "Times the broker had forgotten the session, and what it kept in it",
                Counter::default(),
            ),
        }
    }
}

/// What goes to Redis in one piece.
pub struct Pipelines {
    pub messages: Histogram,
    pub round_trip: Histogram,
}

impl Pipelines {
    fn register(registry: &mut Registry) -> Pipelines {
        Pipelines {
            messages: register(
                registry,
                "redis_batch_messages",
                "Messages whose commands go to Redis in one pipeline",
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            round_trip: register(
                registry,
                "redis_round_trip_seconds",
                "Time until Redis has answered a pipeline",
                Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            ),
        }
    }
}

/// Messages to devices.
pub struct Publications {
    pub published: Counter,
    pub refused: Counter,
    pub answers_dropped: Counter,
}

impl Publications {
    fn register(registry: &mut Registry) -> Publications {
        let mut counter = |name, help| register(registry, name, help, Counter::default());
        Publications {
            published: counter(
                "published",
                "Messages to devices that the broker has confirmed",
            ),
            refused: counter(
                "publish_refused",
                "Messages to devices that the broker did not take",
            ),
            answers_dropped: counter(
                "answers_dropped",
                "Answers to devices that found no room while the broker was away",
            ),
        }
    }
}

/// The events that messages to devices follow from.
pub struct Events {
    pub up: Gauge,
    pub read: Counter,
    pub resyncs: Counter,
}

impl Events {
    fn register(registry: &mut Registry) -> Events {
        Events {
            up: register(
                registry,
                "events_up",
                "1 while the bridge follows the events of devices, else 0",
                Gauge::default(),
            ),
            read: register(
                registry,
                "events",
                "Events of devices that were read, those that came again, too",
                Counter::default(),
            ),
            resyncs: register(
                registry,
                "resyncs",
                "Walks over all devices, because events were missed",
                Counter::default(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/operation.md: a name there is a metric, and a metric has its name there.
    #[test]
    fn the_page_for_operators_has_every_metric() {
        let page = include_str!("../../../docs/operation.md");
        let metrics = Metrics::new(&["native"]);
        metrics.nodes.waits("10.0.0.1:6379");
        let metrics = metrics.encode().unwrap();
        let names: Vec<String> = metrics
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        for name in &names {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
        let in_a_name = |c: char| c == '_' || c.is_ascii_lowercase();
        for (at, _) in page.match_indices("devicestate_bridge_") {
            let name = page[at..].split(|c| !in_a_name(c)).next().unwrap();
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn the_page_names_types_and_helps_and_begins_at_zero() {
        let metrics = Metrics::new(&["native"]);
        metrics.messages.received.add("native", 2);
        let page = metrics.encode().unwrap();
        for line in [
            "# HELP devicestate_bridge_messages_received Messages taken from the broker, redelivered \
             ones again.",
            "# TYPE devicestate_bridge_messages_received counter",
            "devicestate_bridge_messages_received_total{profile=\"native\"} 2",
            "devicestate_bridge_messages_received_total{profile=\"none\"} 0",
            "devicestate_bridge_lag_seconds 0.0",
            concat!(
                "devicestate_bridge_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "# TYPE devicestate_bridge_redis_round_trip_seconds histogram",
            "# EOF",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} in {page}");
        }
    }
}

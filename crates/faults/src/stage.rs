//! What every scenario stands on: Redis, Mosquitto, the bridge and the devices, and the verdict at
//! the end. A scenario adds the fault.

use crate::bridge::{Bridge, Settings};
use crate::broker::Broker;
use crate::devices::{self, Acknowledged, Fleet, Load};
use crate::failure::{Failure, Result};
use crate::oracle::{Findings, Oracle};
use crate::proxy::Proxy;
use crate::redis_server::Redis;
use crate::wait;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Nothing was applied for this long: what is missing now does not come any more.
const STILLNESS: Duration = Duration::from_secs(20);
/// After this long it is worth a look at what is missing.
const PAUSE: Duration = Duration::from_secs(2);

/// What a run was asked for.
pub struct Context {
    pub bridge: PathBuf,
    pub module: PathBuf,
    /// For configuration, data and logs.
    pub folder: PathBuf,
    pub devices: usize,
    pub messages: usize,
}

impl Context {
    pub fn load(&self) -> Load {
        Load {
            devices: self.devices,
            reports: self.messages.div_ceil(self.devices),
            numbered: true,
            fiftieth: None,
        }
    }
}

/// How a scenario's stage differs from the usual one.
#[derive(Default)]
pub struct Setup {
    /// `appendfsync` of Redis; `everysec` if it is not given.
    pub appendfsync: Option<&'static str>,
    /// More lines of mosquitto.conf.
    pub broker: &'static str,
    /// More lines of the bridge's tables.
    pub mqtt: &'static str,
    pub redis: &'static str,
    /// Whether a proxy stands between the bridge and the broker, or Redis.
    pub broker_proxy: bool,
    pub redis_proxy: bool,
    /// So many retained reports are there before the bridge subscribes.
    pub retained: usize,
    /// Flags of each bridge; none: one bridge without flags.
    pub bridges: Vec<Vec<String>>,
}

pub struct Stage {
    pub redis: Redis,
    pub broker: Broker,
    pub bridges: Vec<Bridge>,
    pub to_broker: Option<Proxy>,
    pub to_redis: Option<Proxy>,
    load: Load,
    /// How many messages have to be refused.
    poison: usize,
    fleet: Option<Fleet>,
    excuses: Vec<(Instant, Instant)>,
    /// Whether the broker may have had no subscriber for a while.
    unheard: bool,
    complaints: Vec<String>,
    started: Instant,
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Tally {
    pub messages: usize,
    pub findings: Findings,
    pub seconds: f64,
    /// What else was not as it should be.
    pub complaints: Vec<String>,
}

impl Tally {
    pub fn passed(&self) -> bool {
        self.complaints.is_empty()
    }
}

impl Stage {
    /// Starts everything, and the devices.
    pub fn start(context: &Context, setup: Setup, load: Load) -> Result<Stage> {
        let mut stage = Stage::set(context, setup, load)?;
        stage.start_devices();
        Ok(stage)
    }

    /// Starts everything but the devices.
    pub fn set(context: &Context, setup: Setup, load: Load) -> Result<Stage> {
        fs::create_dir_all(&context.folder)?;
        let appendfsync = setup.appendfsync.unwrap_or("everysec");
        let redis = Redis::start(&context.folder, &context.module, appendfsync)?;
        let broker = Broker::start(&context.folder, setup.broker)?;
        devices::publish_retained(broker.port, setup.retained)?;
        let proxy = |wanted, port| match wanted {
            true => Proxy::start(port).map(Some),
            false => Ok(None),
        };
        let to_broker = proxy(setup.broker_proxy, broker.port)?;
        let to_redis = proxy(setup.redis_proxy, redis.port)?;
        let settings = Settings {
            broker_port: to_broker.as_ref().map_or(broker.port, |proxy| proxy.port),
            redis_port: to_redis.as_ref().map_or(redis.port, |proxy| proxy.port),
            mqtt: setup.mqtt.to_owned(),
            redis: setup.redis.to_owned(),
        };
        let flags = match setup.bridges {
            flags if flags.is_empty() => vec![Vec::new()],
            flags => flags,
        };
        let mut bridges = Vec::new();
        for (number, flags) in flags.iter().enumerate() {
            let name = format!("bridge-{number}");
            let mut bridge =
                Bridge::start(&context.bridge, &context.folder, &name, &settings, flags)?;
            bridge.wait_until_ready()?;
            bridges.push(bridge);
        }
        Ok(Stage {
            redis,
            broker,
            bridges,
            to_broker,
            to_redis,
            load,
            poison: load.others() + setup.retained,
            fleet: None,
            excuses: Vec::new(),
            unheard: false,
            complaints: Vec::new(),
            started: Instant::now(),
        })
    }

    pub fn start_devices(&mut self) {
        self.fleet = Some(Fleet::start(self.broker.port, self.load));
    }

    /// The only bridge, or the first.
    pub fn bridge(&mut self) -> Result<&mut Bridge> {
        let first = self.bridges.first_mut();
        first.ok_or_else(|| Failure::new("there is no bridge"))
    }

    /// Waits until Redis has applied `part` of `whole` of all reports.
    pub fn until_applied(&self, part: usize, whole: usize) -> Result<()> {
        let wanted = self.load.reports() * part / whole;
        wait::until_count("reports applied", wanted, || self.redis.applied())
    }

    /// Waits until the broker has acknowledged `part` of `whole` of all reports.
    pub fn until_acknowledged(&self, part: usize, whole: usize) -> Result<()> {
        let wanted = self.load.reports() * part / whole;
        wait::until_count("reports acknowledged", wanted, || Ok(self.acknowledged()))
    }

    pub fn acknowledged(&self) -> usize {
        self.fleet.as_ref().map_or(0, Fleet::acknowledged)
    }

    /// What was acknowledged in this time may be lost.
    pub fn excuse(&mut self, from: Instant, to: Instant) {
        self.excuses.push((from, to));
    }

    /// What the broker acknowledged while nobody was subscribed may be lost, too.
    pub fn excuse_unheard(&mut self) {
        self.unheard = true;
    }

    /// Notes something that is not as it should be.
    pub fn expect(&mut self, holds: bool, complaint: impl Into<String>) {
        if !holds {
            self.complaints.push(complaint.into());
        }
    }

    /// Waits until all is applied, or nothing comes any more; stops the bridges; judges.
    pub fn finish(mut self) -> Result<Tally> {
        let fleet = self.fleet.take();
        let acknowledged = fleet.map_or(Ok(Vec::new()), Fleet::join)?;
        let mut oracle = Oracle::new(&self.load);
        let mut connection = self.redis.connection()?;
        let excuses = std::mem::take(&mut self.excuses);
        let unheard = self.unheard;
        let excused = |ack: &Acknowledged| {
            let mut excuses = excuses.iter();
            (unheard && !ack.heard) || excuses.any(|(from, to)| (*from..=*to).contains(&ack.at))
        };
        let mut news = Instant::now();
        while oracle.applied() < acknowledged.len() && news.elapsed() < STILLNESS {
            if oracle.read(&mut connection)? > 0 {
                news = Instant::now();
            } else if news.elapsed() > PAUSE {
                // Perhaps what is missing is excused.
                let findings = oracle.judge(&acknowledged, excused, &mut connection)?;
                if findings.lost == 0 {
                    break;
                }
            }
            sleep(Duration::from_millis(10));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        for bridge in &mut self.bridges {
            bridge.stop()?;
        }
        oracle.read(&mut connection)?;
        let findings = oracle.judge(&acknowledged, excused, &mut connection)?;
        self.check(&findings, &oracle)?;
        Ok(Tally {
            messages: self.load.reports() + self.poison,
            findings,
            seconds,
            complaints: self.complaints,
        })
    }

    fn check(&mut self, findings: &Findings, oracle: &Oracle) -> Result<()> {
        let sent = self.load.reports();
        let letters = self.redis.dead_letters()?;
        let (mut refused, mut left) = (0, 0);
        for bridge in &self.bridges {
            let summary = bridge.summary()?;
            refused += summary.refused;
            left += summary.left;
        }
        for (count, wanted, what) in [
            (findings.acknowledged, sent, "reports acknowledged"),
            (findings.lost, 0, "reports lost"),
            (findings.twice, 0, "reports applied twice"),
            (findings.disordered, 0, "reports applied out of order"),
            (
                findings.wrong_state,
                0,
                "devices whose state is not their last report",
            ),
            (oracle.strangers, 0, "reports applied that no device sent"),
            (refused, self.poison, "messages refused"),
            (letters, self.poison, "dead letters"),
            (left, 0, "messages left to the broker by the last stop"),
        ] {
            self.expect(count == wanted, format!("{count} {what}, not {wanted}"));
        }
        Ok(())
    }
}

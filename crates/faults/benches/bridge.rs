//! How many QoS 1 messages a second go through Mosquitto and the bridge into Redis, beside a bare
//! subscriber: the same client with the same settings, which acknowledges and throws away.
//!
//! Both run as a process of their own, in turns, with the same load. Live: devices publish as fast as
//! the broker acknowledges. Backlog: the messages are in the broker's session already, so that nobody
//! publishes meanwhile.

use devicestate_faults::bridge::{Bridge, Settings};
use devicestate_faults::broker::Broker;
use devicestate_faults::built;
use devicestate_faults::devices::{Fleet, Load};
use devicestate_faults::failure::{Failure, Result};
use devicestate_faults::process::Process;
use devicestate_faults::redis_server::Redis;
use devicestate_faults::wait;
use devicestate_report::{server_version, Cell, Column, Machine, Progress, Report, Spread, Table};
use rumqttc::{
    AckMode, AsyncClient, BrokerSessionResumePolicy, Event, Incoming, ManualAck, MqttOptions,
    PubAck, QoS,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const DEVICES: usize = 200;
/// The bare subscriber is this program with this word before the broker's port.
const BARE: &str = "bare-subscriber";
/// What a subscriber writes when it has subscribed, and when it has all.
const READY: &str = "bare subscriber ready";
/// The ticks of `/proc/<pid>/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.as_slice() {
        [word, port] if word == BARE => bare(port),
        words => bench(words.iter().any(|word| word == "--quick")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench bridge: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Which side consumes the messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Bare,
    Bridge,
}

/// Whether devices publish meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Live,
    Backlog,
}

struct Figure {
    messages_per_second: f64,
    /// Processor time of the consumer for a message.
    microseconds: f64,
    /// The most memory it ever had.
    mebibytes: f64,
}

fn bench(quick: bool) -> Result<()> {
    let (rounds, messages) = if quick { (1, 5_000) } else { (5, 200_000) };
    let build = built::folder()?;
    let place = Place {
        bridge: built::file(&build, "devicestate-bridge")?,
        module: built::file(&build, "libdevicestate.so")?,
        folder: build
            .join("faults")
            .join(format!("bench-{}", std::process::id())),
        messages,
    };
    let mut report = Report::new("bridge", quick, place.machine()?);
    println!("{}", report.machine.line());
    report.setting("broker", broker_version()?);
    report.setting("devices", DEVICES);
    report.setting("messages", messages);
    report.setting("rounds", rounds);
    let mut progress = Progress::start("bridge", 2 * rounds);
    for (way, id, title) in [
        (Way::Live, "live", "the devices publish meanwhile"),
        (
            Way::Backlog,
            "backlog",
            "the session holds all of it already",
        ),
    ] {
        let (mut bare, mut bridge) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            // Who is first changes, because the machine does.
            let sides = match round % 2 {
                0 => [Side::Bare, Side::Bridge],
                _ => [Side::Bridge, Side::Bare],
            };
            for side in sides {
                let figure = place.run(side, way)?;
                match side {
                    Side::Bare => bare.push(figure),
                    Side::Bridge => bridge.push(figure),
                }
            }
            progress.round(title);
        }
        report.table(table(id, title, &bridge, &bare));
    }
    drop(progress);
    report.finish();
    Ok(())
}

fn table(id: &str, title: &str, bridge: &[Figure], bare: &[Figure]) -> Table {
    let mut table = Table::new(id, title, "consumer")
        .column(Column::new("rate", "", "messages/s").whole())
        .column(Column::new("us", "processor time", "us a message"))
        .column(Column::new("memory", "most memory", "MiB"))
        .column(Column::ratio("bridge_ratio", "bridge/row"))
        .bars("rate");
    let all = |figures: &[Figure], value: fn(&Figure) -> f64| -> Vec<f64> {
        figures.iter().map(value).collect()
    };
    let rate = |figure: &Figure| figure.messages_per_second;
    let ratio = Spread::of_ratios(&all(bridge, rate), &all(bare, rate));
    for (id, name, figures, ratio) in [
        ("bridge", "the bridge, into Redis", bridge, None),
        ("bare", "a bare subscriber", bare, Cell::of(&ratio)),
    ] {
        let cell = |value| Cell::of(&Spread::new(all(figures, value)));
        let cells = [
            cell(rate),
            cell(|figure| figure.microseconds),
            cell(|figure| figure.mebibytes),
            ratio,
        ];
        table.row(id, name, cells);
    }
    table
}

/// Such as `2.0.11`.
fn broker_version() -> Result<String> {
    let output = Command::new("mosquitto").arg("-h").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("mosquitto version "));
    version.map_or_else(
        || Err(Failure::new("mosquitto does not tell its version")),
        |version| Ok(version.to_owned()),
    )
}

struct Place {
    bridge: PathBuf,
    module: PathBuf,
    folder: PathBuf,
    messages: usize,
}

impl Place {
    /// Nothing is pinned: devices, broker, consumer and Redis share the cores.
    fn machine(&self) -> Result<Machine> {
        let machine = Machine::here();
        fs::create_dir_all(&self.folder)?;
        let redis = Redis::start(&self.folder, &self.module, "everysec")?;
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query(&mut redis.connection()?)?;
        drop(redis);
        fs::remove_dir_all(&self.folder)?;
        Ok(Machine {
            server: server_version(&info),
            ..machine
        })
    }

    /// One run, on servers of its own.
    fn run(&self, side: Side, way: Way) -> Result<Figure> {
        fs::create_dir_all(&self.folder)?;
        let broker = Broker::start(&self.folder, "")?;
        let redis = Redis::start(&self.folder, &self.module, "everysec")?;
        // The stream of reports is for the scenarios' oracle; it is off unless it is asked for.
        redis.run("CONFIG SET devicestate.reports-maxlen 0")?;
        let load = Load {
            devices: DEVICES,
            reports: self.messages / DEVICES,
            numbered: true,
            fiftieth: None,
        };
        let mut consumer = self.consumer(side, &broker, &redis)?;
        if way == Way::Backlog {
            // The session is there, and collects.
            consumer.stop()?;
            Fleet::start(broker.port, load).join()?;
        }
        let started = Instant::now();
        let fleet = match way {
            Way::Live => Some(Fleet::start(broker.port, load)),
            Way::Backlog => {
                consumer.start()?;
                None
            }
        };
        consumer.wait_for(load.reports(), &redis)?;
        let seconds = started.elapsed().as_secs_f64();
        let figure = consumer.figure(load.reports(), seconds)?;
        fleet.map_or(Ok(Vec::new()), Fleet::join)?;
        consumer.stop()?;
        drop((broker, redis));
        fs::remove_dir_all(&self.folder)?;
        Ok(figure)
    }

    fn consumer(&self, side: Side, broker: &Broker, redis: &Redis) -> Result<Consumer> {
        Ok(match side {
            Side::Bare => Consumer::Bare(Bare::start(&self.folder, broker.port)?),
            Side::Bridge => {
                let settings = Settings {
                    broker_port: broker.port,
                    redis_port: redis.port,
                    mqtt: String::new(),
                    redis: String::new(),
                };
                let mut bridge =
                    Bridge::start(&self.bridge, &self.folder, "bridge", &settings, &[])?;
                bridge.wait_until_ready()?;
                Consumer::Bridge(bridge)
            }
        })
    }
}

enum Consumer {
    Bare(Bare),
    Bridge(Bridge),
}

impl Consumer {
    fn start(&mut self) -> Result<()> {
        match self {
            Consumer::Bare(bare) => bare.resume(),
            Consumer::Bridge(bridge) => bridge.resume(),
        }
    }

    fn stop(&mut self) -> Result<()> {
        match self {
            Consumer::Bare(bare) => bare.stop(),
            Consumer::Bridge(bridge) => bridge.stop(),
        }
    }

    fn wait_for(&self, messages: usize, redis: &Redis) -> Result<()> {
        match self {
            Consumer::Bare(bare) => {
                wait::until_count("messages acknowledged", messages, || bare.acknowledged())
            }
            Consumer::Bridge(_) => {
                wait::until_count("reports applied", messages, || redis.reports())
            }
        }
    }

    fn figure(&self, messages: usize, seconds: f64) -> Result<Figure> {
        let id = match self {
            Consumer::Bare(bare) => bare.process.as_ref().map(Process::id),
            Consumer::Bridge(bridge) => bridge.id(),
        };
        let id = id.ok_or_else(|| Failure::new("the consumer does not run"))?;
        Ok(Figure {
            messages_per_second: messages as f64 / seconds,
            microseconds: processor_seconds(id)? * 1e6 / messages as f64,
            mebibytes: most_memory(id)?,
        })
    }
}

/// User and system time of a process, in seconds.
fn processor_seconds(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in parentheses, may hold spaces. utime and stime are the 12th and 13th field after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(11).take(2);
    let ticks: f64 = fields.filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS_PER_SECOND)
}

/// The most resident memory that a process ever had, in MiB.
fn most_memory(id: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kibibytes.unwrap_or(f64::NAN) / 1024.0)
}

/// The bare subscriber, as a process.
struct Bare {
    broker_port: u16,
    log: PathBuf,
    process: Option<Process>,
}

impl Bare {
    fn start(folder: &Path, broker_port: u16) -> Result<Bare> {
        let mut bare = Bare {
            broker_port,
            log: folder.join("bare.log"),
            process: None,
        };
        bare.resume()?;
        wait::until("the bare subscriber is ready", || {
            Ok(fs::read_to_string(&bare.log)?.contains(READY))
        })?;
        Ok(bare)
    }

    fn resume(&mut self) -> Result<()> {
        fs::write(&self.log, "")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(BARE).arg(self.broker_port.to_string());
        self.process = Some(Process::start("the bare subscriber", command, &self.log)?);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::kill)
    }

    /// It writes how many, now and then.
    fn acknowledged(&self) -> Result<usize> {
        let log = fs::read_to_string(&self.log)?;
        let last = log.lines().rev().find_map(|line| line.parse().ok());
        Ok(last.unwrap_or(0))
    }
}

/// Subscribes as the bridge does, acknowledges, and throws away.
fn bare(port: &str) -> Result<()> {
    let port = port.parse().map_err(|_| Failure::new("no port"))?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(subscribe(port))
}

async fn subscribe(port: u16) -> Result<()> {
    let mut options = MqttOptions::new("bare", ("127.0.0.1".to_owned(), port));
    options
        .set_clean_start(false)
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_session_expiry_interval(Some(3600))
        .set_receive_maximum(Some(1000))
        .set_unlimited_incoming_packet_size()
        .set_keep_alive(30)
        .set_ack_mode(AckMode::Manual)
        .set_read_batch_size(128);
    let (client, mut events) = AsyncClient::builder(options)
        .unbounded()
        .try_build()
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut acknowledged = 0_usize;
    loop {
        let event = events.poll().await;
        match event.map_err(|error| Failure::new(error.to_string()))? {
            Event::Incoming(Incoming::ConnAck(answer)) if !answer.session_present => client
                .try_subscribe("devices/+/reported", QoS::AtLeastOnce)
                .map_err(|error| Failure::new(error.to_string()))?,
            Event::Incoming(Incoming::SubAck(_)) => println!("{READY}"),
            Event::Incoming(Incoming::Publish(publish)) => {
                let ack = ManualAck::PubAck(PubAck::new(publish.pkid, None));
                client
                    .try_manual_ack(ack)
                    .map_err(|error| Failure::new(error.to_string()))?;
                acknowledged += 1;
                if acknowledged.is_multiple_of(1000) {
                    println!("{acknowledged}");
                }
            }
            _ => {}
        }
    }
}

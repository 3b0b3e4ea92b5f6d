//! The command line, and what it means.

use std::time::Duration;

use clap::Parser;
use percent_encoding::percent_decode_str;

use crate::broker::Broker;
use crate::pace::Pacer;
use crate::plan::{Outline, Plan, Share};
use crate::resp::Server;

/// A fleet of simulated devices that beat, report, and fail on purpose.
#[derive(Debug, Parser)]
#[command(name = "devicestate-fleet", version, max_term_width = 100)]
pub struct Flags {
    /// Number of devices
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub devices: u32,

    /// MQTT broker: every device has its own connection to it
    #[arg(long, value_name = "URL", default_value = "mqtt://127.0.0.1:1883")]
    pub mqtt: String,

    /// Redis or Valkey server instead: beats go straight to it
    #[arg(long, value_name = "URL", conflicts_with = "mqtt")]
    pub redis: Option<String>,

    /// How long the run takes; without it: until Ctrl-C or SIGTERM
    #[arg(long, value_name = "TIME", value_parser = positive)]
    pub duration: Option<u64>,

    /// Time between two beats of a device; 0: as fast as they are acknowledged
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub interval: u64,

    /// Presence timeout of the devices; 0: none [default: 3 intervals]
    #[arg(long, value_name = "TIME", value_parser = presence_timeout)]
    pub timeout: Option<u64>,

    /// One beat in K reports values; 0: none does
    #[arg(long, value_name = "K", default_value_t = 3)]
    pub report_every: u64,

    /// Devices that stop beating but stay connected: 10% or a number
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub silent: Share,

    /// Devices that say goodbye and disconnect
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub goodbye: Share,

    /// Devices whose connection breaks off
    #[arg(long, value_name = "SHARE", default_value = "0")]
    pub cut: Share,

    /// When the first of these may end [default: a third of the run, or 3 intervals]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub silent_after: Option<u64>,

    /// First part of the device ids
    #[arg(long, value_name = "TEXT", default_value = "sim-", value_parser = id_prefix)]
    pub id_prefix: String,

    /// Number of the first device
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub first: u32,

    /// Seed of all that is random
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,

    /// First part of the MQTT topics
    #[arg(long, value_name = "TOPIC", default_value = "devices", value_parser = topic_prefix,
          conflicts_with = "redis")]
    pub prefix: String,

    /// New MQTT connections per second; 0: no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 200,
        conflicts_with = "redis"
    )]
    pub connect_rate: u32,

    /// MQTT keep-alive: a ping after so long without a packet
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = keep_alive,
          conflicts_with = "redis")]
    pub keep_alive: u16,

    /// Connections to Redis
    #[arg(long, value_name = "N", default_value_t = 4, requires = "redis",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub connections: u32,

    /// Commands in one pipeline to Redis, at most
    #[arg(long, value_name = "N", default_value_t = 256, requires = "redis",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pipeline: u32,

    /// Register the devices as this type first
    #[arg(long = "type", value_name = "TYPE", requires = "redis")]
    pub device_type: Option<String>,
}

/// Where the beats go.
pub enum Target {
    Mqtt(Broker),
    Redis(Server),
}

impl Flags {
    /// Milliseconds. Three intervals, and with interval 0 a minute.
    pub fn timeout_ms(&self) -> u64 {
        self.timeout.unwrap_or(match self.interval {
            0 => 60_000,
            interval => (interval * 3).clamp(MIN_TIMEOUT, TEN_YEARS),
        })
    }

    /// The window in which silent, goodbye and cut devices end, in milliseconds of the run. It ends
    /// halfway between its start and the end of the run, so that time is left to notice.
    fn ends(&self) -> Result<(u64, u64), String> {
        let some_intervals = if self.interval == 0 {
            10_000
        } else {
            self.interval * 3
        };
        let from = self.silent_after.unwrap_or(match self.duration {
            Some(duration) => duration / 3,
            None => some_intervals,
        });
        match self.duration {
            Some(duration) if from >= duration => Err(format!(
                "--silent-after: {from} ms is not before the end (--duration)"
            )),
            Some(duration) => Ok((from, from + (duration - from) / 2)),
            None => Ok((from, from + some_intervals)),
        }
    }

    pub fn plan(&self) -> Result<Plan, String> {
        let (ends_from_ms, ends_to_ms) = self.ends()?;
        Plan::new(Outline {
            devices: self.devices,
            id_prefix: self.id_prefix.clone(),
            first: self.first,
            interval_ms: self.interval,
            report_every: self.report_every,
            silent: self.silent,
            goodbye: self.goodbye,
            cut: self.cut,
            ends_from_ms,
            ends_to_ms,
            seed: self.seed,
        })
    }

    pub fn target(&self) -> Result<Target, String> {
        if let Some(url) = &self.redis {
            let client = redis::Client::open(url.as_str()).map_err(|e| format!("--redis: {e}"))?;
            return Ok(Target::Redis(Server {
                client,
                connections: self.connections,
                pipeline: self.pipeline as usize,
                device_type: self.device_type.clone(),
            }));
        }
        let (host, port, login) = broker(&self.mqtt).map_err(|e| format!("--mqtt: {e}"))?;
        Ok(Target::Mqtt(Broker {
            host,
            port,
            login,
            prefix: self.prefix.clone(),
            keep_alive_s: self.keep_alive,
            pacer: Pacer::new(self.connect_rate),
        }))
    }
}

/// A broker's host, port, and user name with password.
type Address = (String, u16, Option<(String, String)>);

/// Reads `mqtt://[user[:password]@]host[:port]`; user and password percent-encoded.
fn broker(url: &str) -> Result<Address, String> {
    let rest = url
        .strip_prefix("mqtt://")
        .ok_or("the URL must begin with mqtt://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err("user and password must be UTF-8"),
    };
    let login = match login {
        None => None,
        Some(login) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            Some((decode(user)?, decode(password)?))
        }
    };
    // An IPv6 address stands in brackets: its colons are no port.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (
            host,
            port.parse().map_err(|_| format!("{port} is no port"))?,
        ),
        _ => (rest, 1883),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    if host.is_empty() || host.contains(['/', '?', '#']) {
        return Err("the URL must be mqtt://[user[:password]@]host[:port]".into());
    }
    Ok((host.to_string(), port, login))
}

/// Limits of a presence timeout: those of DEVICE.HEARTBEAT TIMEOUT.
const MIN_TIMEOUT: u64 = 100;
const TEN_YEARS: u64 = 10 * 365 * 86_400_000;

/// Milliseconds of a duration: a whole number of them, or a number with a unit (`250ms`, `90s`,
/// `10m`, `1h`, `7d`), at most ten years.
fn time(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let ms = number.parse::<u64>().ok().filter(|_| factor > 0);
    let ms = ms.ok_or("give milliseconds, or a number with a unit: 250ms, 90s, 10m, 1h, 7d")?;
    let ms = ms.saturating_mul(factor);
    if ms > TEN_YEARS {
        return Err("that is more than ten years".into());
    }
    Ok(ms)
}

fn positive(text: &str) -> Result<u64, String> {
    match time(text)? {
        0 => Err("it must be more than 0".into()),
        ms => Ok(ms),
    }
}

fn presence_timeout(text: &str) -> Result<u64, String> {
    match time(text)? {
        ms if ms == 0 || ms >= MIN_TIMEOUT => Ok(ms),
        _ => Err("it is 0 (none), or 100ms to 10 years".into()),
    }
}

/// Whole seconds, as MQTT counts them.
fn keep_alive(text: &str) -> Result<u16, String> {
    let seconds = Duration::from_millis(time(text)?).as_secs();
    match u16::try_from(seconds) {
        Ok(seconds) if seconds > 0 => Ok(seconds),
        _ => Err("it is 1s to 65535s".into()),
    }
}

fn id_prefix(text: &str) -> Result<String, String> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '{' || c == '}';
    if text.contains(wrong) {
        return Err("a device id has no white space, control character, { or }".into());
    }
    if text.len() > 200 {
        return Err("it has at most 200 bytes".into());
    }
    Ok(text.into())
}

fn topic_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.ends_with('/') || text.contains(['+', '#', '\0']) {
        return Err("it is a topic without wildcards and without / at its end".into());
    }
    if text.len() > 1_000 {
        return Err("it has at most 1000 bytes".into());
    }
    Ok(text.into())
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;

//! The command line: what is to be done, with which settings.
//!
//! The flags are the same for all subcommands, and may stand before or after them. Without a
//! subcommand the bridge runs.

use crate::config::{Address, Config, LogFormat, LogLevel, ProfileName};
use crate::process;
use crate::profile::aws_shadow::AwsShadow;
use crate::profile::native::{Native, Routes};
use crate::profile::{Profile, Profiles};
use crate::replay::Choice;
use crate::serve::Plan;
use crate::text::one_line;
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};

/// Carries what devices say over MQTT into devicestate.
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Carries messages until it is told to stop; this is what happens without a subcommand
    Run,
    /// Applies what the bridge has put into queues (queue.enabled), beside any number of others
    Process(process::Flags),
    /// Tries whether broker, server and permissions are as the bridge needs them; changes nothing
    Check,
    /// Takes this instance out of its group: carries what the broker has kept for it, and ends its
    /// session
    Leave,
    /// Tries dead letters again, with the configuration as it is now
    Replay(Choice),
}

#[derive(Args)]
pub struct Flags {
    /// The configuration file (TOML); see devicestate-bridge.toml.example
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server with the devicestate module, e.g. redis://127.0.0.1:6379
    #[arg(long, global = true, value_name = "URL")]
    redis: Option<String>,
    /// The broker, e.g. mqtt://127.0.0.1:1883
    #[arg(long, global = true, value_name = "URL")]
    mqtt: Option<String>,
    /// Devices publish below this: <prefix>/<id>/heartbeat
    #[arg(long, global = true)]
    prefix: Option<String>,
    /// The name under which the broker keeps this bridge's messages, before the instance
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// Which of several bridges this one is, counted from 0
    #[arg(long, global = true, value_name = "N")]
    instance: Option<u16>,
    /// The least important lines to show
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<LogLevel>,
    /// What the lines of the log look like
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Where metrics and probes are served, e.g. 127.0.0.1:9464
    #[arg(long, global = true, value_name = "ADDRESS")]
    http: Option<String>,
}

impl Flags {
    /// Reads the configuration file, lets the flags win over it, and checks everything.
    pub fn settings(self) -> Result<(Config, Plan), String> {
        let folder = self.config.as_deref().and_then(Path::parent);
        let folder = folder.unwrap_or(Path::new("")).to_owned();
        let mut config = self.config()?;
        config.anchor(&folder);
        let peers = config.check(|name| std::env::var(name).ok())?;
        let (profiles, warnings) = profiles(&config, &folder)?;
        let plan = Plan {
            peers,
            profiles,
            warnings,
        };
        Ok((config, plan))
    }

    fn config(self) -> Result<Config, String> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(file) => {
                let shown = one_line(&file.to_string_lossy());
                let toml = std::fs::read_to_string(file).map_err(|e| format!("{shown}: {e}"))?;
                Config::from_toml(&toml).map_err(|reason| format!("{shown}: {reason}"))?
            }
        };
        if let Some(url) = self.redis {
            config.redis.url = Address(url);
        }
        if let Some(url) = self.mqtt {
            config.mqtt.url = Address(url);
        }
        if let Some(prefix) = self.prefix {
            config.mqtt.prefix = prefix;
        }
        if let Some(client_id) = self.client_id {
            config.mqtt.base_client_id = client_id;
        }
        if let Some(instance) = self.instance {
            config.mqtt.instance = instance;
        }
        if let Some(log) = self.log {
            config.log = log;
        }
        if let Some(log_format) = self.log_format {
            config.log_format = log_format;
        }
        if let Some(address) = self.http {
            config.http.listen = address;
        }
        Ok(config)
    }
}

/// The profiles that are named, and the warnings to log. Relative paths are counted from `folder`.
fn profiles(config: &Config, folder: &Path) -> Result<(Profiles, Vec<String>), String> {
    let max_payload = config.mqtt.max_payload;
    let mut profiles: Vec<Box<dyn Profile>> = Vec::new();
    let mut warnings = Vec::new();
    for name in &config.profiles {
        match name {
            ProfileName::Native => {
                let (routes, more) = Routes::load(&config.mqtt.prefix, &config.protobuf, folder)?;
                warnings.extend(more);
                profiles.push(Box::new(Native::new(routes, max_payload)));
            }
            ProfileName::AwsShadow => {
                let aws_shadow = AwsShadow::new(config.aws_shadow.clone(), max_payload);
                profiles.push(Box::new(aws_shadow));
            }
        }
    }
    if !config.protobuf.rule.is_empty() && !config.profiles.contains(&ProfileName::Native) {
        return Err("protobuf.rule is for the profile native, which profiles does not name".into());
    }
    Ok((Profiles::new(profiles), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Cli {
        Cli::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_after_the_subcommand() {
        for line in [
            "devicestate-bridge --prefix a/b",
            "devicestate-bridge run --prefix a/b",
            "devicestate-bridge --prefix a/b run",
        ] {
            let cli = parse(line);
            assert_eq!(cli.command.unwrap_or(Command::Run), Command::Run);
            assert_eq!(cli.flags.config().unwrap().mqtt.prefix, "a/b", "{line}");
        }
        assert!(Cli::try_parse_from(["devicestate-bridge", "walk"]).is_err());
    }

    #[test]
    fn the_units_of_systemd_start_a_bridge() {
        let worker = |name: &str| process::Flags {
            queues: None,
            worker: Some(name.to_owned()),
        };
        for (unit, command, instance) in [
            (
                include_str!("../../../packaging/systemd/devicestate-bridge.service"),
                None,
                None,
            ),
            (
                include_str!("../../../packaging/systemd/devicestate-bridge@.service"),
                None,
                Some(3),
            ),
            (
                include_str!("../../../packaging/systemd/devicestate-processor@.service"),
                Some(Command::Process(worker("host-3"))),
                None,
            ),
        ] {
            let start = unit
                .lines()
                .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"));
            let start = start.unwrap().replace("%i", "3").replace("%H", "host");
            let cli = parse(&start.replace("$DEVICESTATE_BRIDGE_FLAGS", "--http 127.0.0.1:9464"));
            assert_eq!(cli.command, command);
            assert_eq!(cli.flags.instance, instance);
            let file = cli.flags.config.unwrap();
            assert_eq!(file, Path::new("/etc/devicestate/bridge.toml"));
        }
    }
}

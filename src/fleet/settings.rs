//! The settings, each beside its default and its bounds. `redis.conf.example` explains them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};

use devicestate_core::duration;

use crate::store::settings::Setting;

/// Ten years: the longest timeout, in milliseconds.
pub const MAX_TIMEOUT_MS: u64 = 10 * 365 * 86_400_000;
/// The shortest timeout that is not "none", in milliseconds.
pub const MIN_TIMEOUT_MS: u64 = 100;
/// Whether a device may have this timeout, in milliseconds; 0: none.
pub fn is_timeout(ms: u64) -> bool {
    ms == 0 || (MIN_TIMEOUT_MS..=MAX_TIMEOUT_MS).contains(&ms)
}

/// The longest history of a device.
pub const MAX_HISTORY: u64 = 1_000_000;

/// Milliseconds of silence after which a device is offline; 0: never.
pub static HEARTBEAT_TIMEOUT: Number =
    Number::duration("heartbeat-timeout", 60_000, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS)
        .or_zero()
        .on_change(super::look_at_all);
/// Whether a heartbeat of an unknown device registers it.
pub static AUTO_REGISTER: Switch = Switch::new("auto-register", true);
/// How many devices may be registered; 0: any number.
pub static MAX_DEVICES: Number = Number::count("max-devices", 0, 0, u32::MAX as u64);
/// Whether `device:heartbeat:<id>` exists while a device is online.
pub static HEARTBEAT_KEYS: Switch =
    Switch::new("heartbeat-keys", true).on_change(super::look_at_all);
/// Whether shadows keep a timestamp for each leaf.
pub static SHADOW_METADATA: Switch = Switch::new("shadow-metadata", true);
/// About how many entries the history of a device keeps; 0: none is written.
pub static HISTORY_MAXLEN: Number = Number::count("history-maxlen", 16, 0, MAX_HISTORY);
/// Whether presence goes into the history too.
pub static HISTORY_PRESENCE: Switch = Switch::new("history-presence", false);
/// The longest queue of a device's commands that can be asked for.
pub const MAX_COMMANDS: u64 = 100_000;
/// How many commands of a device may wait.
pub static COMMANDS_MAXLEN: Number = Number::count("commands-maxlen", 1_000, 1, MAX_COMMANDS);
/// About how many entries `devices:events` keeps.
pub static EVENTS_MAXLEN: Number = Number::count("events-maxlen", 1_000_000, 1, u32::MAX as u64);
/// About how many entries `devices:reports` keeps; 0: none is written.
pub static REPORTS_MAXLEN: Number = Number::count("reports-maxlen", 0, 0, u32::MAX as u64);
/// Where presence is published; empty: nowhere.
pub static PRESENCE_CHANNEL: Text = Text::new("presence-channel", "devices:presence");
/// Where applied reports are published; empty: nowhere.
pub static STATUS_CHANNEL: Text = Text::new("status-channel", "devices:status");
/// Where alerts are published; empty: nowhere.
pub static ALERT_CHANNEL: Text = Text::new("alert-channel", "devices:alerts");
/// How long a notification waits for company, in milliseconds, unless it says otherwise.
pub static ALERT_WAIT: Number = Number::duration("alert-wait", 10_800_000, 0, MAX_TIMEOUT_MS);
/// From this severity on a notification waits for nobody.
pub static ALERT_URGENT_SEVERITY: Number = Number::count(
    "alert-urgent-severity",
    3,
    0,
    devicestate_core::alert::MAX_SEVERITY as u64 + 1,
);
/// The largest merged document, in bytes of JSON.
pub static MAX_DOCUMENT_BYTES: Number =
    Number::count("max-document-bytes", 65_536, 64, 16 * 1024 * 1024);
/// How deeply documents may nest.
pub static MAX_DOCUMENT_DEPTH: Number = Number::count("max-document-depth", 16, 1, 100);
/// The same as a number of levels.
pub fn max_document_depth() -> usize {
    usize::try_from(MAX_DOCUMENT_DEPTH.value()).unwrap_or(16)
}

/// Nobody goes offline for at least this long after a restart or a promotion.
pub static RESTART_GRACE: Number =
    Number::duration("restart-grace", 30_000, 0, MAX_TIMEOUT_MS).on_change(super::look_at_all);
/// How long the sweeper may work before clients get their turn, in microseconds.
pub static SWEEP_BUDGET_US: Number = Number::count("sweep-budget-us", 2_000, 100, 100_000);
/// Replicas and the append-only file get a device's `last_seen` at most once in so many milliseconds,
/// as long as nothing else of it changes; 0: every time.
pub static LAST_SEEN_INTERVAL: Number =
    Number::duration("last-seen-interval", 0, 0, MAX_TIMEOUT_MS);
/// Goes before every key of ours except those of queues and throttles.
pub static KEY_PREFIX: Text = Text::fixed("key-prefix");

/// All of them, in the order of the documentation.
pub static ALL: [&dyn Setting; 21] = [
    &HEARTBEAT_TIMEOUT,
    &AUTO_REGISTER,
    &MAX_DEVICES,
    &HEARTBEAT_KEYS,
    &SHADOW_METADATA,
    &HISTORY_MAXLEN,
    &HISTORY_PRESENCE,
    &COMMANDS_MAXLEN,
    &EVENTS_MAXLEN,
    &REPORTS_MAXLEN,
    &PRESENCE_CHANNEL,
    &STATUS_CHANNEL,
    &ALERT_CHANNEL,
    &MAX_DOCUMENT_BYTES,
    &MAX_DOCUMENT_DEPTH,
    &RESTART_GRACE,
    &SWEEP_BUDGET_US,
    &LAST_SEEN_INTERVAL,
    &ALERT_WAIT,
    &ALERT_URGENT_SEVERITY,
    &KEY_PREFIX,
];

/// A number, or a duration in milliseconds (which may then be given with a unit).
pub struct Number {
    name: &'static str,
    min: u64,
    max: u64,
    /// 0 is allowed too, though below `min`.
    or_zero: bool,
    is_duration: bool,
    default: u64,
    value: AtomicU64,
    on_change: fn(),
}

impl Number {
    const fn count(name: &'static str, default: u64, min: u64, max: u64) -> Number {
        let value = AtomicU64::new(default);
        Number {
            name,
            min,
            max,
            or_zero: false,
            is_duration: false,
            default,
            value,
            on_change: || {},
        }
    }

    const fn duration(name: &'static str, default: u64, min: u64, max: u64) -> Number {
        Number {
            is_duration: true,
            ..Number::count(name, default, min, max)
        }
    }

    const fn or_zero(self) -> Number {
        Number {
            or_zero: true,
            ..self
        }
    }

    const fn on_change(self, on_change: fn()) -> Number {
        Number { on_change, ..self }
    }

    pub fn value(&self) -> u64 {
        self.value.load(Relaxed)
    }
}

impl Setting for Number {
    fn name(&self) -> &'static str {
        self.name
    }

    fn set(&self, value: &[u8]) -> Result<(), String> {
        let parsed = if self.is_duration {
            duration::parse(value).map_err(|error| format!("{} {error}", self.name))?
        } else {
            crate::store::parse_u64(value)
                .ok_or_else(|| format!("{} is not a whole number", self.name))?
        };
        let is_zero = self.or_zero && parsed == 0;
        if !is_zero && !(self.min..=self.max).contains(&parsed) {
            let zero = if self.or_zero { "0 or " } else { "" };
            let unit = if self.is_duration { " ms" } else { "" };
            return Err(format!(
                "{} must be {zero}between {} and {}{unit}",
                self.name, self.min, self.max
            ));
        }
        self.value.store(parsed, Relaxed);
        (self.on_change)();
        Ok(())
    }

    fn reset(&self) {
        self.value.store(self.default, Relaxed);
    }

    fn get(&self) -> String {
        self.value().to_string()
    }

    fn is_fixed(&self) -> bool {
        false
    }
}

/// `yes` or `no`.
pub struct Switch {
    name: &'static str,
    default: bool,
    value: AtomicBool,
    on_change: fn(),
}

impl Switch {
    const fn new(name: &'static str, default: bool) -> Switch {
        Switch {
            name,
            default,
            value: AtomicBool::new(default),
            on_change: || {},
        }
    }

    const fn on_change(self, on_change: fn()) -> Switch {
        Switch { on_change, ..self }
    }

    pub fn is_on(&self) -> bool {
        self.value.load(Relaxed)
    }
}

impl Setting for Switch {
    fn name(&self) -> &'static str {
        self.name
    }

    fn set(&self, value: &[u8]) -> Result<(), String> {
        let on = match value.to_ascii_lowercase().as_slice() {
            b"yes" => true,
            b"no" => false,
            _ => return Err(format!("{} must be yes or no", self.name)),
        };
        self.value.store(on, Relaxed);
        (self.on_change)();
        Ok(())
    }

    fn reset(&self) {
        self.value.store(self.default, Relaxed);
    }

    fn get(&self) -> String {
        if self.is_on() { "yes" } else { "no" }.to_owned()
    }

    fn is_fixed(&self) -> bool {
        false
    }
}

/// The name of a channel, or the prefix of keys: no white space, no control character, no braces.
pub struct Text {
    name: &'static str,
    default: &'static str,
    fixed: bool,
    /// `None`: the default.
    value: RwLock<Option<String>>,
}

impl Text {
    const fn new(name: &'static str, default: &'static str) -> Text {
        Text {
            name,
            default,
            fixed: false,
            value: RwLock::new(None),
        }
    }

    /// Empty by default, and set only at load.
    const fn fixed(name: &'static str) -> Text {
        Text {
            name,
            default: "",
            fixed: true,
            value: RwLock::new(None),
        }
    }

    pub fn with<T>(&self, read: impl FnOnce(&str) -> T) -> T {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        read(value.as_deref().unwrap_or(self.default))
    }
}

impl Setting for Text {
    fn name(&self) -> &'static str {
        self.name
    }

    fn set(&self, value: &[u8]) -> Result<(), String> {
        let text = match value {
            b"" => "",
            _ => devicestate_core::name::check(value)
                .map_err(|why| format!("{} is no good name: {why}", self.name))?,
        };
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        Ok(())
    }

    fn reset(&self) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn get(&self) -> String {
        self.with(str::to_owned)
    }

    fn is_fixed(&self) -> bool {
        self.fixed
    }
}

//! A device as its hash tells it: the truth about it.

use devicestate_core::digits::parse_i64;
use devicestate_core::name;
use devicestate_core::presence::Online;
use devicestate_core::recipe;
use devicestate_core::session::Stored;

use super::fields::field;
use super::settings::{self, MAX_TIMEOUT_MS};
use super::{Error, Fleet, Known, Result};
use crate::store::{parse_u64, text, Ctx, HashKey, KeyType, RString};

/// What every step needs; the rest is read where it is needed.
pub struct Device {
    pub id: String,
    /// The hash's key.
    pub key: RString,
    /// The id as a key of its own, which is what clients declare and watch.
    pub id_key: RString,
    pub device_type: String,
    pub online: bool,
    /// The last sign of life; 0: never.
    pub last_seen: u64,
    /// Whether the hash held it just as this number is written, when it was read.
    pub last_seen_is_stored: bool,
    /// Since when the status is what it is.
    pub since: u64,
    /// The device's own timeout.
    pub timeout: Option<u64>,
    pub session: Stored,
    pub version: u64,
    /// Written by the plain recipe and not adopted yet.
    pub from_recipe: bool,
}

/// See [`Device::find`].
pub enum Found {
    Device(Box<Device>),
    Nothing,
    /// A hash whose `device_id` is another, or whose id is none.
    Foreign,
}

impl Found {
    pub fn device(self) -> Option<Device> {
        match self {
            Found::Device(device) => Some(*device),
            _ => None,
        }
    }
}

impl Device {
    /// Reads a device; `None` when it is unknown. A hash that is no device of this id is an error.
    pub fn load(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Option<Device>> {
        match Device::find(ctx, fleet, id)? {
            Found::Device(device) => Ok(Some(*device)),
            Found::Nothing => Ok(None),
            Found::Foreign => Err(Error::foreign(fleet.keys.state(id).bytes())),
        }
    }

    /// Reads a device that must be there.
    pub fn registered(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Device> {
        Device::load(ctx, fleet, id)?.ok_or_else(|| Error::no_device(id, "is not registered"))
    }

    /// What there is under a device's key.
    pub fn find(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Found> {
        if name::check(id.as_bytes()).is_err() {
            return Ok(Found::Foreign);
        }
        let key = fleet.keys.state(id);
        let hash = match ctx.open_hash(&key) {
            Err(found) => return Err(Error::wrong_type(key.bytes(), found, KeyType::Hash)),
            Ok(None) => return Ok(Found::Nothing),
            Ok(Some(hash)) => hash,
        };
        let blank = Device::blank(id, key);
        let device = blank.read(fleet, &hash).map(Box::new);
        Ok(device.map_or(Found::Foreign, Found::Device))
    }

    /// Reads of an online device only what is not `noted` of it; `None` where it has to be read as a
    /// whole. (It was seen since it came online, so when that was does not count any more.)
    pub(super) fn find_known(
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        id: &str,
        noted: Known,
    ) -> Option<Box<Device>> {
        let (version, _) = noted.get()?;
        if !noted.has_no_session() {
            return None;
        }
        let f = &fleet.fields;
        let key = fleet.keys.state(id);
        let hash = ctx.open_hash(&key).ok()??;
        let [last_seen, device_type] = hash.get2([&f.last_seen, &f.device_type]);
        let timeout = match noted.has_no_timeout() {
            true => None,
            false => hash.get(&f.timeout),
        };
        drop(hash);
        let mut device = Device::blank(id, key);
        device.read_last_seen(last_seen?.bytes());
        device.since = device.last_seen;
        device.device_type = text(device_type?.bytes())?.to_owned();
        device.timeout = timeout.and_then(|timeout| own_timeout(timeout.bytes()));
        device.online = true;
        device.version = version;
        device.from_recipe = false;
        Some(Box::new(device))
    }

    /// Before anything of it is read.
    fn blank(id: &str, key: RString) -> Device {
        Device {
            id: id.to_owned(),
            key,
            id_key: RString::new(id.as_bytes()),
            device_type: String::new(),
            online: false,
            last_seen: 0,
            last_seen_is_stored: false,
            since: 0,
            timeout: None,
            session: Stored::default(),
            version: 0,
            from_recipe: true,
        }
    }

    /// `None` when the hash says that it is another device. Other hands may have written anything.
    fn read(mut self, fleet: &Fleet, hash: &HashKey<'_>) -> Option<Device> {
        let (mut is_it, mut device_type) = (false, None);
        hash.read(&fleet.fields.of_device(), |name, value| {
            let number = || parse_u64(value);
            match name {
                field::DEVICE_ID => is_it = value == self.id.as_bytes(),
                field::DEVICE_TYPE => device_type = text(value).map(str::to_owned),
                field::STATUS => self.online = value == ONLINE,
                field::LAST_SEEN => self.read_last_seen(value),
                field::STATUS_SINCE => self.since = number().unwrap_or(0),
                field::TIMEOUT => self.timeout = own_timeout(value),
                field::SESSION => self.session.session = number(),
                field::SEQ => self.session.seq = number(),
                field::VERSION => {
                    self.from_recipe = false;
                    self.version = number().unwrap_or(0);
                }
                _ => {}
            }
        });
        self.device_type = device_type.unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
        is_it.then_some(self)
    }

    fn read_last_seen(&mut self, value: &[u8]) {
        self.last_seen = recipe::time_ms(value).unwrap_or(0);
        let canonical = parse_i64(value).and_then(|ms| u64::try_from(ms).ok());
        self.last_seen_is_stored = canonical == Some(self.last_seen);
    }

    /// The timeout that counts, in milliseconds (0: none), and where it comes from.
    pub fn effective_timeout(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> (u64, TimeoutSource) {
        if let Some(timeout) = self.timeout {
            fleet.shorten_timeout(timeout);
            return (timeout, TimeoutSource::Device);
        }
        match fleet.types.timeout(ctx, fleet, self.device_type.as_bytes()) {
            Some(timeout) => (timeout, TimeoutSource::Type),
            None => (settings::HEARTBEAT_TIMEOUT.value(), TimeoutSource::Default),
        }
    }

    /// What presence is decided from while the device is online.
    pub fn as_online(&self, ctx: &Ctx<'_>, fleet: &Fleet) -> Online {
        let (timeout, _) = self.effective_timeout(ctx, fleet);
        Online {
            last_seen: self.last_seen,
            since: self.since,
            timeout,
        }
    }

    pub fn status(&self) -> &'static str {
        status_name(self.online)
    }

    /// One field of the hash.
    pub fn field(&self, ctx: &Ctx<'_>, field: &RString) -> Option<RString> {
        ctx.open_hash(&self.key)
            .ok()
            .flatten()
            .and_then(|hash| hash.get(field))
    }

    pub fn number(&self, ctx: &Ctx<'_>, field: &RString) -> Option<u64> {
        self.field(ctx, field)?.to_u64()
    }

    pub fn text(&self, ctx: &Ctx<'_>, field: &RString) -> Option<String> {
        String::from_utf8(self.field(ctx, field)?.bytes().to_vec()).ok()
    }
}

fn own_timeout(value: &[u8]) -> Option<u64> {
    parse_u64(value).map(|ms| ms.min(MAX_TIMEOUT_MS))
}

pub const UNKNOWN_TYPE: &str = "unknown";
pub const ONLINE: &[u8] = b"online";

pub fn status_name(online: bool) -> &'static str {
    if online {
        "online"
    } else {
        "offline"
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutSource {
    Device,
    Type,
    Default,
}

impl TimeoutSource {
    pub fn name(self) -> &'static str {
        match self {
            TimeoutSource::Device => "device",
            TimeoutSource::Type => "type",
            TimeoutSource::Default => "default",
        }
    }
}

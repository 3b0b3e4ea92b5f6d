//! Indexes against hashes, both ways: `DEVICE.CHECK`, and the same once after every load.
//!
//! The hash of a device is the truth. A hash that an index lacks is added to it; an index entry
//! without a hash, or whose hash says otherwise, goes. The walk is sliced: each step looks at about
//! `count` keys and says where the next one starts.

mod position;
mod users;

use super::keys::{Index, Role};
use super::pages::score_of;
use super::presence::expect;
use super::{registry, shadow, Device, Fleet, Result};
use crate::store::{Arg, Ctx, KeyType, RString};

pub use position::Position;

/// How far a step may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Looks only.
    Look,
    /// Mends indexes.
    Repair,
    /// Mends indexes, and adopts hashes that the plain recipe wrote.
    RepairAndAdopt,
}

/// What was found, and what of it was mended.
#[derive(Debug, Default)]
pub struct Findings {
    pub checked: u64,
    /// Hashes of the plain recipe that are not adopted (yet).
    pub recipe: u64,
    pub adopted: u64,
    /// Hashes that some index lacks, or has twice or wrongly.
    pub unindexed: u64,
    /// Index entries without a hash, or whose hash says otherwise; named shadows and histories of
    /// nobody.
    pub dangling: u64,
    /// Heartbeat keys of devices that are not online.
    pub stray_heartbeats: u64,
    /// Hashes under a device's key that are no device: another `device_id`, or no valid id.
    pub foreign: u64,
    pub mended: u64,
}

impl Findings {
    /// Names and numbers, in the order of the documentation.
    pub fn fields(&self) -> [(&'static str, u64); 8] {
        [
            ("checked", self.checked),
            ("recipe", self.recipe),
            ("adopted", self.adopted),
            ("unindexed", self.unindexed),
            ("dangling", self.dangling),
            ("stray_heartbeats", self.stray_heartbeats),
            ("foreign", self.foreign),
            ("mended", self.mended),
        ]
    }

    pub fn add(&mut self, other: &Findings) {
        self.checked += other.checked;
        self.recipe += other.recipe;
        self.adopted += other.adopted;
        self.unindexed += other.unindexed;
        self.dangling += other.dangling;
        self.stray_heartbeats += other.stray_heartbeats;
        self.foreign += other.foreign;
        self.mended += other.mended;
    }
}

/// One step of the walk.
pub fn step(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    position: Position,
    count: u64,
    mode: Mode,
    now: u64,
) -> Result<(Position, Findings)> {
    let mut walk = Walk {
        ctx,
        fleet,
        count,
        mode,
        now,
        seen: 0,
        findings: Findings::default(),
    };
    let mut next = walk.step(position)?;
    while walk.seen < count && next != Position::End {
        next = walk.step(next)?;
    }
    fleet.stats.mended.add(walk.findings.mended);
    Ok((next, walk.findings))
}

/// Whether every index has a device exactly where its hash says.
pub fn is_indexed(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<bool> {
    let indexes = fleet.keys.of(&device.id);
    let member = Arg::Str(&device.id_key);
    let has = |set: &RString| -> Result<bool> {
        Ok(ctx.read(c"SISMEMBER", &[Arg::Str(set), member])?.int() == 1)
    };
    let score = ctx.read(c"ZSCORE", &[Arg::Str(&indexes.offline), member])?;
    let is_in_offline = match score.bytes() {
        Some(score) => !device.online && score_of(score) == device.last_seen as f64,
        None => device.online,
    };
    let heartbeat = match (
        ctx.key_life(&fleet.keys.heartbeat(&device.id)),
        device.timeout,
    ) {
        (Some(life), Some(own)) => life.is_some() == (own != 0),
        // Another timeout may have changed since the sweeper saw to the key.
        (life, _) => life.is_some(),
    };
    let keeps_heartbeats = super::settings::HEARTBEAT_KEYS.is_on();
    Ok(is_in_offline
        && has(&indexes.registered)?
        && has(&indexes.of_type(&device.device_type))?
        && has(&indexes.online)? == device.online
        && has(&indexes.online_of_type(&device.device_type))? == device.online
        && (heartbeat || !device.online || !keeps_heartbeats))
}

struct Walk<'a> {
    ctx: &'a Ctx<'a>,
    fleet: &'a Fleet,
    count: u64,
    mode: Mode,
    now: u64,
    /// Keys and members looked at.
    seen: u64,
    findings: Findings,
}

impl Walk<'_> {
    fn step(&mut self, position: Position) -> Result<Position> {
        match position {
            Position::Start => self.all_keys(0),
            Position::Keys(cursor) => self.all_keys(cursor),
            Position::Indexes { then, cursor, keys } => self.large_indexes(then, cursor, keys),
            Position::End => Ok(Position::End),
        }
    }

    fn repairs(&self) -> bool {
        self.mode != Mode::Look
    }

    fn all_keys(&mut self, cursor: u64) -> Result<Position> {
        let args = [cursor.into(), "COUNT".into(), self.count.into()];
        let Some(page) = self.ctx.read(c"SCAN", &args)?.into_page() else {
            return Ok(Position::End);
        };
        self.seen += page.len() as u64;
        let mut large = Vec::new();
        for key in page.iter() {
            if !self.fleet.stays_here(self.ctx, key) {
                // It is looked at where it arrives.
                continue;
            }
            match self.fleet.keys.role(key) {
                Some(Role::State(id)) => self.hash(id)?,
                Some(Role::Heartbeat(id)) => self.heartbeat_key(key, id)?,
                Some(Role::OfDevice(id) | Role::Commands(id) | Role::Alerts(id)) => {
                    self.orphan(key, id)?;
                }
                // A small index comes in one page; a large one is walked in steps of its own.
                Some(role @ (Role::OfType(_) | Role::OnlineOfType(_) | Role::Index(_))) => {
                    let next = self.index(key, &role, 0)?;
                    if next != 0 {
                        large.push(key.to_vec());
                    }
                }
                Some(Role::User(user)) => self.user(key, user)?,
                Some(Role::Rules(_) | Role::Types | Role::Definitions) | None => {}
            }
        }
        Ok(match (page.cursor, large.is_empty()) {
            (then, false) => Position::Indexes {
                then,
                cursor: 0,
                keys: large,
            },
            (0, true) => Position::End,
            (cursor, true) => Position::Keys(cursor),
        })
    }

    /// A hash under a device's key: is it in every index it should be in?
    fn hash(&mut self, id: &[u8]) -> Result<()> {
        self.findings.checked += 1;
        let (ctx, fleet) = (self.ctx, self.fleet);
        let Ok(id) = devicestate_core::name::check(id) else {
            self.findings.foreign += 1;
            return Ok(());
        };
        let found = Device::find(ctx, fleet, id).ok();
        let Some(mut device) = found.and_then(|found| found.device()) else {
            fleet.suspects.borrow_mut().insert(id.to_owned());
            self.findings.foreign += 1;
            return Ok(());
        };
        if device.from_recipe {
            if self.mode == Mode::RepairAndAdopt {
                registry::adopt_if_needed(ctx, fleet, &mut device, self.now)?;
                self.findings.adopted += 1;
            } else {
                self.findings.recipe += 1;
                if self.repairs() && device.online {
                    fleet.look_at_if_unknown(id);
                }
            }
            return Ok(());
        }
        let is_placed = is_indexed(ctx, fleet, &device)?;
        let has_delta = shadow::is_mended(ctx, fleet, &device)?;
        if !is_placed || !has_delta {
            self.findings.unindexed += 1;
        }
        if self.repairs() && !is_placed {
            registry::index(ctx, fleet, &device, self.now)?;
            ctx.touched(&device.id_key);
        }
        if self.repairs() && !has_delta {
            shadow::mend(ctx, fleet, &mut device, false, self.now)?;
        }
        if self.repairs() && !(is_placed && has_delta) {
            self.findings.mended += 1;
        }
        if device.online && self.repairs() && !fleet.deadlines.borrow().contains(&device.id) {
            fleet.schedule(ctx, &device, self.now);
        }
        Ok(())
    }

    fn heartbeat_key(&mut self, key: &[u8], id: &[u8]) -> Result<()> {
        if self
            .member(id)
            .is_some_and(|device| device.from_recipe || device.online)
        {
            return Ok(());
        }
        self.findings.stray_heartbeats += 1;
        if self.repairs() {
            self.ctx.write(c"DEL", &[key.into()])?;
            self.findings.mended += 1;
        }
        Ok(())
    }

    /// Named shadows and history go with their device. Only who asks for it gets them deleted: the
    /// background can't know whose they were.
    fn orphan(&mut self, key: &[u8], id: &[u8]) -> Result<()> {
        let is_known = std::str::from_utf8(id).is_ok_and(|id| {
            let hash = self.fleet.keys.state(id);
            self.ctx.key_type(&hash) != KeyType::Missing
        });
        let is_ours = matches!(
            self.ctx.key_type(&RString::new(key)),
            KeyType::Hash | KeyType::Stream
        );
        if is_known || !is_ours {
            return Ok(());
        }
        self.findings.dangling += 1;
        if self.mode == Mode::RepairAndAdopt {
            self.ctx.write(c"DEL", &[key.into()])?;
            self.findings.mended += 1;
        }
        Ok(())
    }

    /// The device behind an index entry. One of the plain recipe is left where its owner put it
    /// until it is adopted.
    fn member(&self, id: &[u8]) -> Option<Device> {
        let id = std::str::from_utf8(id).ok()?;
        Device::load(self.ctx, self.fleet, id).ok().flatten()
    }

    fn large_indexes(
        &mut self,
        then: u64,
        mut cursor: u64,
        mut keys: Vec<Vec<u8>>,
    ) -> Result<Position> {
        if let Some(key) = keys.last() {
            cursor = match self.fleet.keys.role(key) {
                Some(role) => self.index(key, &role, cursor)?,
                // The cursor is not one that we gave.
                None => 0,
            };
            if cursor == 0 {
                keys.pop();
            }
        }
        Ok(match (keys.is_empty(), then) {
            (false, _) => Position::Indexes { then, cursor, keys },
            (true, 0) => Position::End,
            (true, then) => Position::Keys(then),
        })
    }

    /// A page of an index; the cursor of the next one.
    fn index(&mut self, key: &[u8], role: &Role<'_>, cursor: u64) -> Result<u64> {
        let (ctx, fleet) = (self.ctx, self.fleet);
        let key = RString::new(key);
        match role {
            Role::OfType(t) => self.set_of_type(&key, cursor, |d| d.device_type.as_bytes() == *t),
            Role::OnlineOfType(t) => self.set_of_type(&key, cursor, |device| {
                device.online && device.device_type.as_bytes() == *t
            }),
            Role::Index(Index::Registered) => self.set(&key, cursor, |_| true),
            Role::Index(Index::Online) => self.set(&key, cursor, |device| device.online),
            Role::Index(Index::OutOfSync) => self.set(&key, cursor, |device| {
                shadow::outstanding(ctx, fleet, device).is_some()
            }),
            Role::Index(Index::Offline) => self.offline(&key, cursor),
            Role::Index(Index::AlertsDue) => self.users_due(&key, cursor),
            _ => Ok(0),
        }
    }

    /// What a type is called may be the name of a key that is somebody else's.
    fn set_of_type(
        &mut self,
        set: &RString,
        cursor: u64,
        belongs: impl Fn(&Device) -> bool,
    ) -> Result<u64> {
        match self.ctx.key_type(set) {
            KeyType::Set => self.set(set, cursor, belongs),
            KeyType::Missing => Ok(0),
            _ => {
                self.findings.foreign += 1;
                Ok(0)
            }
        }
    }

    /// Members of a set whose device does not belong there.
    fn set(
        &mut self,
        set: &RString,
        cursor: u64,
        belongs: impl Fn(&Device) -> bool,
    ) -> Result<u64> {
        expect(self.ctx, set, KeyType::Set)?;
        let args = [
            Arg::Str(set),
            cursor.into(),
            "COUNT".into(),
            self.count.into(),
        ];
        let Some(page) = self.ctx.read(c"SSCAN", &args)?.into_page() else {
            return Ok(0);
        };
        self.seen += page.len() as u64;
        for id in page.iter() {
            if self
                .member(id)
                .is_some_and(|device| device.from_recipe || belongs(&device))
            {
                continue;
            }
            self.findings.dangling += 1;
            if self.repairs() {
                self.ctx.write(c"SREM", &[Arg::Str(set), id.into()])?;
                self.ctx.touched(&RString::new(id));
                self.findings.mended += 1;
            }
        }
        Ok(page.cursor)
    }

    /// The same of the sorted set of those that are offline.
    fn offline(&mut self, key: &RString, cursor: u64) -> Result<u64> {
        expect(self.ctx, key, KeyType::SortedSet)?;
        let key = Arg::Str(key);
        let args = [key, cursor.into(), "COUNT".into(), self.count.into()];
        let Some(page) = self.ctx.read(c"ZSCAN", &args)?.into_page() else {
            return Ok(0);
        };
        self.seen += page.len() as u64;
        for (id, _) in page.pairs() {
            if self
                .member(id)
                .is_some_and(|device| device.from_recipe || !device.online)
            {
                continue;
            }
            self.findings.dangling += 1;
            if self.repairs() {
                self.ctx.write(c"ZREM", &[key, id.into()])?;
                self.ctx.touched(&RString::new(id));
                self.findings.mended += 1;
            }
        }
        Ok(page.cursor)
    }
}

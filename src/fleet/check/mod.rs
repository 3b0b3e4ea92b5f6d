//! Indexes against hashes, both ways: `DEVICE.CHECK`, and the same once after every load.
//!
//! The hash of a device is the truth. A hash that an index lacks is added to it; an index entry
//! without a hash, or whose hash says otherwise, goes. The walk is sliced: each step looks at about
//! `count` keys and says where the next one starts.

mod position;
mod users;

use super::keys::Role;
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
    let keys = &fleet.keys;
    let member = Arg::Str(&device.id_key);
    let has = |set: &RString| -> Result<bool> {
        Ok(ctx.read(c"SISMEMBER", &[Arg::Str(set), member])?.int() == 1)
    };
    let score = ctx.read(c"ZSCORE", &[Arg::Str(&keys.offline), member])?;
    let is_in_offline = match score.bytes() {
        Some(score) => !device.online && score_of(score) == device.last_seen as f64,
        None => device.online,
    };
    let heartbeat = match (ctx.key_life(&keys.heartbeat(&device.id)), device.timeout) {
        (Some(life), Some(own)) => life.is_some() == (own != 0),
        // Another timeout may have changed since the sweeper saw to the key.
        (life, _) => life.is_some(),
    };
    let keeps_heartbeats = super::settings::HEARTBEAT_KEYS.is_on();
    Ok(is_in_offline
        && has(&keys.registered)?
        && has(&keys.of_type(&device.device_type))?
        && has(&keys.online)? == device.online
        && has(&keys.online_of_type(&device.device_type))? == device.online
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
        let keys = &self.fleet.keys;
        Ok(match position {
            Position::Start => self.all_keys(0)?,
            Position::Keys(cursor) => self.all_keys(cursor)?,
            Position::Types { then, cursor, sets } => self.sets_of_types(then, cursor, sets)?,
            Position::Registered(cursor) => match self.set(&keys.registered, cursor, |_| true)? {
                0 => Position::Online(0),
                cursor => Position::Registered(cursor),
            },
            Position::Online(cursor) => {
                match self.set(&keys.online, cursor, |device| device.online)? {
                    0 => Position::Offline(0),
                    cursor => Position::Online(cursor),
                }
            }
            Position::OutOfSync(cursor) => self.out_of_sync(cursor)?,
            Position::Users(cursor) => match self.users_due(cursor)? {
                0 => Position::End,
                cursor => Position::Users(cursor),
            },
            Position::Offline(cursor) => match self.offline(cursor)? {
                0 => Position::OutOfSync(0),
                cursor => Position::Offline(cursor),
            },
            Position::End => Position::End,
        })
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
            match self.fleet.keys.role(key) {
                Some(Role::State(id)) => self.hash(id)?,
                Some(Role::Heartbeat(id)) => self.heartbeat_key(key, id)?,
                Some(Role::OfDevice(id) | Role::Commands(id) | Role::Alerts(id)) => {
                    self.orphan(key, id)?;
                }
                // A small set comes in one page; a large one is walked in steps of its own.
                Some(Role::OfType(_) | Role::OnlineOfType(_)) => {
                    let next = self.set_of_type(key, 0)?;
                    if next != 0 {
                        large.push(key.to_vec());
                    }
                }
                Some(Role::User(user)) => self.user(user)?,
                Some(Role::Rules(_)) | None => {}
            }
        }
        Ok(match (page.cursor, large.is_empty()) {
            (then, false) => Position::Types {
                then,
                cursor: 0,
                sets: large,
            },
            (0, true) => Position::Registered(0),
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

    fn sets_of_types(
        &mut self,
        then: u64,
        mut cursor: u64,
        mut sets: Vec<Vec<u8>>,
    ) -> Result<Position> {
        if let Some(key) = sets.last() {
            cursor = self.set_of_type(key, cursor)?;
            if cursor == 0 {
                sets.pop();
            }
        }
        Ok(match (sets.is_empty(), then) {
            (false, _) => Position::Types { then, cursor, sets },
            (true, 0) => Position::Registered(0),
            (true, then) => Position::Keys(then),
        })
    }

    /// A page of the set of a type; the cursor of the next one.
    fn set_of_type(&mut self, key: &[u8], cursor: u64) -> Result<u64> {
        let set = RString::new(key);
        match self.ctx.key_type(&set) {
            KeyType::Set => {}
            KeyType::Missing => return Ok(0),
            _ => {
                self.findings.foreign += 1;
                return Ok(0);
            }
        }
        match self.fleet.keys.role(key) {
            Some(Role::OfType(t)) => {
                self.set(&set, cursor, |device| device.device_type.as_bytes() == t)
            }
            Some(Role::OnlineOfType(t)) => self.set(&set, cursor, |device| {
                device.online && device.device_type.as_bytes() == t
            }),
            _ => Ok(0),
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

    fn out_of_sync(&mut self, cursor: u64) -> Result<Position> {
        let set = &self.fleet.keys.out_of_sync;
        let (ctx, fleet) = (self.ctx, self.fleet);
        let belongs = |device: &Device| shadow::outstanding(ctx, fleet, device).is_some();
        Ok(match self.set(set, cursor, belongs)? {
            0 => Position::Users(0),
            cursor => Position::OutOfSync(cursor),
        })
    }

    fn offline(&mut self, cursor: u64) -> Result<u64> {
        expect(self.ctx, &self.fleet.keys.offline, KeyType::SortedSet)?;
        let key = Arg::Str(&self.fleet.keys.offline);
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

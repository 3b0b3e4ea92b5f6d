//! Shadows of a device: where they are stored, and what stands there. What a change does to one is
//! in `update` and `prepared`, who hears of it in `tell`.
//!
//! The classic shadow is part of the device's own hash, named ones are in `device:shadows:<id>`. A
//! shadow exists while it has a reported document, maybe an empty one. Its delta is stored beside
//! it while it is not empty, so that a heartbeat can answer it unparsed.

mod delete;
mod mend;
mod prepared;
mod read;
mod tell;
mod update;

use devicestate_core::shadow::delta::delta;
use devicestate_core::shadow::document::Document;
use devicestate_core::shadow::times::Times;

use super::fields::{deleted_field, ShadowFields};
use super::{Device, Error, Fleet, Result};
use crate::store::{lossy_text, Ctx, HashKey, KeyType, RString};

pub use delete::delete;
pub use mend::{is_mended, mend};
pub use prepared::prepare;
pub use read::{document, names, sides};
pub use update::{change, report, Fence, Patch, Update};

/// Which shadow of a device; `None`: the classic one.
pub type Name<'a> = Option<&'a str>;

/// Where a shadow is stored.
struct Place<'a> {
    name: Name<'a>,
    key: RString,
    fields: FieldNames<'a>,
}

/// Those of the classic shadow are made once, those of a named one for each command.
enum FieldNames<'a> {
    Classic(&'a ShadowFields),
    Named(Box<ShadowFields>),
}

impl<'a> Place<'a> {
    fn new(fleet: &'a Fleet, id: &str, name: Name<'a>) -> Place<'a> {
        let (key, fields) = match name {
            None => (
                fleet.keys.state(id),
                FieldNames::Classic(&fleet.fields.shadow),
            ),
            Some(name) => (
                fleet.keys.shadows(id),
                FieldNames::Named(Box::new(ShadowFields::named(name))),
            ),
        };
        Place { name, key, fields }
    }

    fn fields(&self) -> &ShadowFields {
        match &self.fields {
            FieldNames::Classic(fields) => fields,
            FieldNames::Named(fields) => fields,
        }
    }

    fn open<'c>(&self, ctx: &'c Ctx<'_>) -> Result<Option<HashKey<'c>>> {
        ctx.open_hash(&self.key)
            .map_err(|found| Error::wrong_type(self.key.bytes(), found, KeyType::Hash))
    }
}

/// A shadow as it is stored.
#[derive(Default)]
struct Stored {
    exists: bool,
    /// Of one that was deleted: the version it had then. 0: there never was one.
    version: u64,
    desired: Section,
    reported: Section,
    /// As it was told last; empty: in sync.
    delta: String,
}

/// One of the two documents as text.
#[derive(Default)]
struct Section {
    text: Option<RString>,
    /// When each leaf was written.
    meta: Option<RString>,
}

impl Section {
    fn read(hash: &HashKey<'_>, text: &RString, meta: &RString) -> Section {
        let text = hash.get(text).filter(|text| !text.bytes().is_empty());
        Section {
            meta: text.as_ref().and_then(|_| hash.get(meta)),
            text,
        }
    }

    fn bytes(&self) -> &[u8] {
        self.text.as_ref().map_or(b"", |text| text.bytes())
    }

    /// The document; `None` when other hands wrote what is no JSON object.
    fn parse(&self) -> Option<Document<'_>> {
        match self.bytes() {
            b"" => Some(Document::default()),
            text => Document::parse(text),
        }
    }

    /// The same, where what is no JSON object counts as empty.
    fn document(&self) -> Document<'_> {
        self.parse().unwrap_or_default()
    }

    fn times(&self, document: &Document<'_>) -> Times {
        let meta = self.meta.as_ref().map_or(&b""[..], |meta| meta.bytes());
        Times::decode(meta, document.leaves())
    }
}

impl Stored {
    /// Reads the shadow; `device` is `None` for one that is not registered yet. There is no hash of
    /// its own then, but one of named shadows may have been left, or put there.
    fn read(ctx: &Ctx<'_>, device: Option<&Device>, place: &Place<'_>) -> Result<Stored> {
        if device.is_none() && place.name.is_none() {
            return Ok(Stored::default());
        }
        let Some(hash) = place.open(ctx)? else {
            return Ok(Stored::default());
        };
        let f = place.fields();
        let mut stored = Stored {
            exists: false,
            version: 0,
            desired: Section::read(&hash, &f.desired, &f.desired_meta),
            reported: Section::read(&hash, &f.reported, &f.reported_meta),
            delta: hash.get(&f.delta).map_or_else(String::new, delta_of_field),
        };
        stored.exists = stored.reported.text.is_some() || stored.desired.text.is_some();
        let number = |field| hash.get(field).and_then(|version| version.to_u64());
        stored.version = match (place.name, device) {
            (Some(_), _) if stored.exists => number(&f.version).unwrap_or(0),
            (Some(name), _) => number(&deleted_field(name)).unwrap_or(0),
            (None, Some(device)) if device.from_recipe => stored.version_of_recipe(),
            (None, device) => device.map_or(0, |device| device.version),
        };
        Ok(stored)
    }

    /// What the plain recipe wrote has no version: a shadow that holds something gets its first.
    fn version_of_recipe(&self) -> u64 {
        let is_empty = |section: &Section| matches!(section.bytes(), b"" | b"{}");
        u64::from(!is_empty(&self.desired) || !is_empty(&self.reported))
    }

    /// What the two documents amount to, whatever stands in the delta's field.
    fn delta_of_documents(&self) -> String {
        delta(&self.desired.document(), &self.reported.document())
    }
}

/// The stored delta. Who has the field counts as out of sync, so what other hands wrote into it is
/// never taken for none: it differs from any delta, and is mended.
fn delta_of_field(field: RString) -> String {
    match lossy_text(field.bytes()) {
        delta if delta.is_empty() => "{}".to_owned(),
        delta => delta.into_owned(),
    }
}

/// The outstanding delta of a device's classic shadow as JSON text, unparsed.
pub fn outstanding(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Option<RString> {
    device.field(ctx, &fleet.fields.shadow.delta)
}

/// The version of a device's classic shadow, also of one that is not adopted yet.
pub fn version(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<u64> {
    let place = Place::new(fleet, &device.id, None);
    Ok(Stored::read(ctx, Some(device), &place)?.version)
}

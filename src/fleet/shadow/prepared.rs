//! A change of a shadow that is merged and checked whole before anything is written.
//!
//! [`prepare`] does everything that can be refused; what it gives is then written and told. A
//! heartbeat puts its own fields between the two.

use std::borrow::Cow;

use devicestate_core::shadow::delta::delta;
use devicestate_core::shadow::document::Document;
use devicestate_core::shadow::merge::{self, Change};
use devicestate_core::shadow::times::Times;

use super::update::{Outcome, Patch, Update};
use super::{deleted_field, Name, Place, Section, Stored};
use super::{Device, Error, Fleet, Result};
use crate::fleet::presence::expect;
use crate::fleet::{history, settings};
use crate::store::{lossy_text, pair, Arg, Ctx, KeyType};

/// A change that was checked: writing it can't be refused any more.
pub struct Prepared<'a> {
    pub(super) place: Place<'a>,
    pub version: u64,
    /// The outstanding delta as JSON; empty: in sync.
    pub delta: String,
    /// Into sync, or out of it.
    pub(super) moves: bool,
    /// The device is told what is outstanding, or that nothing is any more.
    pub(super) tells_device: bool,
    reports: bool,
    /// As it was stored before.
    stored_desired: Section,
    /// There is no desired document, or nothing in it.
    desired_is_empty: bool,
    desired: Option<NewSection>,
    reported: Option<NewSection>,
    drops_delta: bool,
    drops_desired: bool,
    /// The shadow was deleted before.
    revives: bool,
}

/// A document that takes the place of the stored one.
struct NewSection {
    /// What the client sent to be merged, as JSON.
    sent: Option<String>,
    text: String,
    /// Empty: no times are kept.
    times: String,
    had_text: bool,
    had_times: bool,
    change: Option<Change>,
}

/// Merges and checks; `device` is `None` for one that is about to register.
pub fn prepare<'a>(
    ctx: &Ctx<'_>,
    fleet: &'a Fleet,
    id: &str,
    device: Option<&Device>,
    name: Name<'a>,
    update: Update,
    now: u64,
) -> Result<Prepared<'a>> {
    if ctx.flags().is_out_of_memory() {
        return Err(Error::out_of_memory());
    }
    let place = Place::new(fleet, id, name);
    let stored = Stored::read(ctx, device, &place)?;
    update.check_version(fleet, &stored)?;
    let desired = match leaves_delta(fleet, device, name, &stored, &update) {
        true => None,
        false => Some(read_section(
            &stored.desired,
            &update.desired,
            "desired",
            id,
        )?),
    };
    let reported = read_section(&stored.reported, &update.reported, "reported", id)?;
    let old_delta = match (&desired, device) {
        // The plain recipe stored none.
        (Some(desired), Some(device)) if device.from_recipe && name.is_none() => {
            delta(desired, &reported)
        }
        _ => stored.delta.clone(),
    };
    let had_delta = !stored.delta.is_empty() || !old_delta.is_empty();
    let sets_desired = update.desired.is_some();
    let reports = update.reported.is_some();
    // A shadow that is made exists from now on: it has a reported document.
    let patch = match update.reported {
        None if !stored.exists => Some(Patch::default()),
        patch => patch,
    };

    let (desired, new_desired) = match desired {
        None => (None, None),
        Some(desired) => {
            let merged = merge_section(&stored.desired, desired, update.desired, false, now);
            (Some(merged.0), merged.1)
        }
    };
    let (reported, new_reported) = merge_section(&stored.reported, reported, patch, reports, now);
    let desired_is_empty = match &desired {
        Some(desired) => desired.is_empty(),
        None => stored.desired.text.is_none(),
    };
    let size_of = |is_empty, new: &Option<NewSection>, stored: &Section| match new {
        _ if is_empty => 0,
        Some(new) => new.text.len(),
        None => stored.bytes().len(),
    };
    let size = size_of(desired_is_empty, &new_desired, &stored.desired)
        + size_of(reported.is_empty(), &new_reported, &stored.reported);
    let limit = settings::MAX_DOCUMENT_BYTES.value();
    if size as u64 > limit {
        return Err(Error::shadow_too_large(update.argument, size, limit));
    }

    let delta = match &desired {
        Some(desired) => delta(desired, &reported),
        None => old_delta.clone(),
    };
    let delta_changed = delta != old_delta;
    let prepared = Prepared {
        version: stored.version.saturating_add(1),
        tells_device: delta_changed || (sets_desired && !delta.is_empty()),
        drops_delta: delta.is_empty() && had_delta,
        revives: !stored.exists && stored.version > 0,
        moves: delta.is_empty() != old_delta.is_empty(),
        delta,
        reports,
        drops_desired: desired_is_empty && stored.desired.text.is_some(),
        desired_is_empty,
        desired: new_desired,
        reported: new_reported,
        stored_desired: stored.desired,
        place,
    };
    prepared.check_keys(ctx, fleet, id, device)?;
    Ok(prepared)
}

/// Whether a report leaves the delta as it is, since nothing that it names is desired: what sensors
/// measure, mostly. Then the desired document is not taken apart. Not where other hands may have
/// changed the hash: then the delta is made anew of what stands there.
fn leaves_delta(
    fleet: &Fleet,
    device: Option<&Device>,
    name: Name<'_>,
    stored: &Stored,
    update: &Update,
) -> bool {
    let is_ours = device
        .is_some_and(|device| name.is_none() && !device.from_recipe && fleet.knows(&device.id));
    match &update.reported {
        Some(patch) if is_ours && update.desired.is_none() && !patch.replace => {
            Document::shares_a_member(stored.desired.bytes(), &patch.document) == Some(false)
        }
        _ => false,
    }
}

/// The stored document, unless it is broken and not about to be replaced.
fn read_section<'s>(
    stored: &'s Section,
    patch: &Option<Patch>,
    name: &str,
    id: &str,
) -> Result<Document<'s>> {
    match (stored.parse(), patch) {
        (Some(document), _) => Ok(document),
        (None, Some(patch)) if !patch.replace => Err(Error::usage(format_args!(
            "the stored {name} document of device '{id}' is not a JSON object, replace it"
        ))),
        (None, _) => Ok(Document::default()),
    }
}

/// The document after a patch, and what has to be written of it; without a patch it stays. The
/// patch itself is kept as text if it `tells` anybody anything.
fn merge_section<'s>(
    stored: &Section,
    document: Document<'s>,
    patch: Option<Patch>,
    tells: bool,
    now: u64,
) -> (Document<'s>, Option<NewSection>) {
    let Some(patch) = patch else {
        return (document, None);
    };
    let keeps_times = settings::SHADOW_METADATA.is_on();
    // What is replaced may have been no document at all.
    let had_text = stored.text.is_some() && !patch.replace;
    let sent = (tells && !patch.replace).then(|| Document::of(&patch.document).text());
    let merged = if patch.replace {
        merge::replace(&document, patch.document, now)
    } else {
        let times = match keeps_times {
            true => stored.times(&document),
            false => Times::default(),
        };
        merge::merge(document, &times, patch.document, now)
    };
    let new = NewSection {
        sent,
        text: merged.document.text(),
        times: match keeps_times {
            true => merged.times.encode(),
            false => String::new(),
        },
        had_text,
        had_times: stored.meta.is_some(),
        change: merged.change,
    };
    (merged.document, Some(new))
}

impl NewSection {
    /// A patch that tells the change: what the client sent, or what its replacing amounts to.
    fn patch(&self) -> &str {
        match (&self.sent, &self.change) {
            (Some(sent), _) => sent,
            (None, Some(change)) => &change.new,
            (None, None) => "{}",
        }
    }
}

impl Prepared<'_> {
    /// A patch that tells what was reported, as JSON.
    pub(super) fn report(&self) -> Option<&str> {
        let reported = self.reported.as_ref().filter(|_| self.reports);
        reported.map(NewSection::patch)
    }

    /// The desired document as JSON, changed or not; empty: there is none.
    pub(super) fn desired_text(&self) -> Cow<'_, str> {
        match &self.desired {
            _ if self.desired_is_empty => Cow::Borrowed(""),
            Some(new) => Cow::Borrowed(&new.text),
            None => lossy_text(self.stored_desired.bytes()),
        }
    }

    pub(super) fn desired_change(&self) -> Option<&Change> {
        self.desired.as_ref()?.change.as_ref()
    }

    pub(super) fn reported_change(&self) -> Option<&Change> {
        self.reported.as_ref()?.change.as_ref()
    }

    /// Refuses keys of another type among those that will be written.
    fn check_keys(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        id: &str,
        device: Option<&Device>,
    ) -> Result<()> {
        let (keys, indexes) = (&fleet.keys, fleet.keys.of(id));
        if self.tells_device {
            expect(ctx, &indexes.events, KeyType::Stream)?;
        }
        if self.moves && self.place.name.is_none() {
            expect(ctx, &indexes.out_of_sync, KeyType::Set)?;
        }
        if self.reports && settings::REPORTS_MAXLEN.value() > 0 {
            expect(ctx, &indexes.reports, KeyType::Stream)?;
        }
        let is_change = self.desired_change().is_some() || self.reported_change().is_some();
        if is_change && history::maxlen(ctx, fleet, device) > 0 {
            expect(ctx, &keys.history(id), KeyType::Stream)?;
        }
        Ok(())
    }

    /// What goes into the hash of the shadow: fields and values. A document that is what it was is
    /// not written again.
    pub fn fields(&self) -> Vec<Arg<'_>> {
        let f = self.place.fields();
        let mut fields = vec![Arg::Str(&f.version), self.version.into()];
        for (new, field, meta, drops) in [
            (&self.reported, &f.reported, &f.reported_meta, false),
            (
                &self.desired,
                &f.desired,
                &f.desired_meta,
                self.desired_is_empty,
            ),
        ] {
            let Some(new) = new else { continue };
            if !drops && (new.change.is_some() || !new.had_text) {
                fields.extend(pair(field, new.text.as_str()));
            }
            if !new.times.is_empty() {
                fields.extend(pair(meta, new.times.as_str()));
            }
        }
        if self.tells_device && !self.delta.is_empty() {
            fields.extend(pair(&f.delta, self.delta.as_str()));
        }
        fields
    }

    /// Drops the fields that [`Prepared::fields`] leaves out.
    pub(super) fn drop_stale_fields(&self, ctx: &Ctx<'_>) -> Result<()> {
        let f = self.place.fields();
        let mut hdel = vec![Arg::Str(&self.place.key)];
        for (new, meta) in [
            (&self.reported, &f.reported_meta),
            (&self.desired, &f.desired_meta),
        ] {
            if new
                .as_ref()
                .is_some_and(|new| new.times.is_empty() && new.had_times)
            {
                hdel.push(Arg::Str(meta));
            }
        }
        if self.drops_desired {
            hdel.push(Arg::Str(&f.desired));
        }
        if self.drops_delta {
            hdel.push(Arg::Str(&f.delta));
        }
        if hdel.len() > 1 {
            ctx.write(c"HDEL", &hdel)?;
        }
        Ok(())
    }

    /// Writes the change and tells it; `more` goes into the device's own hash.
    pub(super) fn write(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: &mut Device,
        more: &[Arg<'_>],
        now: u64,
    ) -> Result<()> {
        // First what may still fail.
        self.tell_outstanding(ctx, fleet, device, now)?;
        let mut fields = self.fields();
        if self.place.name.is_none() {
            fields.extend_from_slice(more);
            device.version = self.version;
        } else if !more.is_empty() {
            ctx.hset(&device.key, more)?;
        }
        ctx.hset(&self.place.key, &fields)?;
        self.drop_stale_fields(ctx)?;
        self.drop_tombstone(ctx)?;
        self.finish(ctx, fleet, device, now)
    }

    /// A named shadow that is made anew keeps its version under another field from now on.
    fn drop_tombstone(&self, ctx: &Ctx<'_>) -> Result<()> {
        if let Some(name) = self.place.name.filter(|_| self.revives) {
            let deleted = deleted_field(name);
            ctx.write(c"HDEL", &[Arg::Str(&self.place.key), Arg::Str(&deleted)])?;
        }
        Ok(())
    }

    pub(super) fn outcome(self) -> Outcome {
        Outcome {
            applied: true,
            version: self.version,
            delta: self.delta,
        }
    }
}

//! Changing a shadow in one step: what is asked for, and who asks.

use devicestate_core::json::Object;
use devicestate_core::shadow::request::{Refusal, Request, Section as RequestSection};

use super::prepared::prepare;
use super::{Device, Error, Fleet, Result};
use super::{Name, Place, Stored};
use crate::fleet::{alerts, heartbeat, registry};
use crate::store::Ctx;

/// What is to become of a document.
#[derive(Default)]
pub struct Patch {
    pub document: Object,
    /// Takes the place of the whole document.
    pub replace: bool,
}

/// What is to become of a shadow.
#[derive(Default)]
pub struct Update {
    pub desired: Option<Patch>,
    pub reported: Option<Patch>,
    /// The version that the shadow must have.
    pub version: Option<u64>,
    /// The argument that the documents came in.
    pub argument: &'static str,
    /// By AWS's rules, a request calls the version of a shadow that does not exist 1.
    pub is_aws: bool,
}

impl Update {
    /// What an AWS request asks for.
    pub fn from_request(request: &Request) -> Update {
        let patch = |section: &RequestSection| match section {
            RequestSection::Clear => Patch {
                document: Object::new(),
                replace: true,
            },
            RequestSection::Merge(document) => Patch {
                document: document.clone(),
                replace: false,
            },
        };
        Update {
            desired: request.desired.as_ref().map(patch),
            reported: request.reported.as_ref().map(patch),
            version: request.version,
            argument: "document",
            is_aws: true,
        }
    }

    pub(super) fn check_version(&self, fleet: &Fleet, stored: &Stored) -> Result<()> {
        match self.version {
            Some(1) if self.is_aws && !stored.exists => Ok(()),
            Some(_) if self.is_aws && !stored.exists => {
                Err(Error::bad_request(&Refusal::InvalidVersion))
            }
            Some(expected) if expected != stored.version => {
                fleet.stats.conflicts.add(1);
                Err(match self.is_aws {
                    true => Error::aws_version_conflict(expected, stored.version),
                    false => Error::version_conflict(expected, stored.version),
                })
            }
            _ => Ok(()),
        }
    }
}

/// What session and sequence number a report came with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fence {
    pub session: Option<u64>,
    /// Only with a session.
    pub seq: Option<u64>,
}

/// What the caller is told.
pub struct Outcome {
    /// False when the report was ignored as stale.
    pub applied: bool,
    pub version: u64,
    /// The outstanding delta as JSON; empty: in sync.
    pub delta: String,
}

/// Sets the desired document, or both (an AWS update). An unknown device registers itself.
pub fn change(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    name: Name<'_>,
    update: Update,
    now: u64,
) -> Result<Outcome> {
    let found = Device::load(ctx, fleet, id)?;
    let reports = update.reported.is_some();
    let sighted = alerts::sight(ctx, fleet, found.as_ref(), name, update.reported.as_ref());
    let prepared = prepare(ctx, fleet, id, found.as_ref(), name, update, now)?;
    let raised = alerts::prepare(ctx, fleet, id, found.as_ref(), sighted, now)?;
    let mut device = known(ctx, fleet, id, found, now)?;
    prepared.write(ctx, fleet, &mut device, &[], now)?;
    alerts::follow(ctx, fleet, &device, raised, now)?;
    fleet.stats.reports.add(u64::from(reports));
    Ok(prepared.outcome())
}

/// Stores what a device reports without proving that it is alive: a gateway may speak for it.
pub fn report(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    name: Name<'_>,
    update: Update,
    fence: Fence,
    now: u64,
) -> Result<Outcome> {
    let found = Device::load(ctx, fleet, id)?;
    let before = found.as_ref().map(|device| device.session);
    let before = before.unwrap_or_default();
    let admitted = before
        .admits(fence.session)
        .and_then(|()| before.enter(fence.session).report(fence.seq));
    let session = match (admitted, &found) {
        (Ok(session), _) => session,
        (Err(stale), Some(device)) => {
            heartbeat::ignore(ctx, fleet, device, stale, now)?;
            let stored = Stored::read(ctx, Some(device), &Place::new(fleet, id, name))?;
            return Ok(Outcome {
                applied: false,
                version: stored.version,
                delta: stored.delta,
            });
        }
        // Nothing is stale for a device that nobody knows.
        (Err(_), None) => before,
    };
    let sighted = alerts::sight(ctx, fleet, found.as_ref(), name, update.reported.as_ref());
    let prepared = prepare(ctx, fleet, id, found.as_ref(), name, update, now)?;
    let raised = alerts::prepare(ctx, fleet, id, found.as_ref(), sighted, now)?;
    let mut device = known(ctx, fleet, id, found, now)?;
    device.session = session;
    let fields = heartbeat::session_fields(fleet, before, session);
    if !fields.is_empty() {
        fleet.know_fields(&device);
    }
    prepared.write(ctx, fleet, &mut device, &fields, now)?;
    heartbeat::drop_seq_of_older_session(ctx, fleet, &device, before)?;
    alerts::follow(ctx, fleet, &device, raised, now)?;
    fleet.stats.reports.add(1);
    Ok(prepared.outcome())
}

/// The device that was found, adopted if need be, or a new one.
fn known(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    found: Option<Device>,
    now: u64,
) -> Result<Device> {
    match found {
        Some(mut device) => {
            registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
            Ok(device)
        }
        None => registry::auto_register(ctx, fleet, id, now),
    }
}

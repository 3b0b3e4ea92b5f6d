//! Rules on presence: raised in the step of the offline transition, cleared in that of the online one.

use devicestate_core::alert::record::{Origin, State};
use devicestate_core::alert::rule::Condition;
use devicestate_core::alert::Record;
use serde_json::value::RawValue;

use super::records::Records;
use super::step::{Raised, Step};
use super::values::{notify_by, raise_by};
use crate::fleet::{Device, Fleet, Result};
use crate::store::Ctx;

/// A device is about to go offline: what its type's rules make of that, checked and ready to be
/// written. A device that is removed is missed by nobody.
pub fn gone_offline(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    reason: &str,
    now: u64,
) -> Result<Option<Step>> {
    let rules = fleet.rules.of_type(ctx, fleet, &device.device_type);
    if rules.presence.is_empty() || reason == "removed" {
        return Ok(None);
    }
    let data = serde_json::to_string(reason).ok();
    let data =
        data.and_then(|reason| RawValue::from_string(format!("{{\"reason\":{reason}}}")).ok());
    let mut step = Step::new(Records::of(fleet, &device.id));
    for (name, rule) in &rules.presence {
        let Condition::Offline { severity } = rule.condition else {
            continue;
        };
        let stored = step.records().get(ctx, name)?.record();
        let raise = raise_by(rule, severity, Origin::Presence, data.clone());
        let (record, outcome) = Record::raise(stored, &raise, now);
        let raised = Raised {
            alert: name,
            notify: notify_by(rule, record.severity),
            record,
            outcome,
        };
        step.raised(ctx, fleet, Some(device), raised, now);
    }
    step.check(ctx, fleet, Some(device))?;
    Ok(Some(step))
}

/// A device is about to come online: whatever a rule on presence raised is cleared, also when there
/// is no such rule any more.
pub fn back_online(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: &Device,
    now: u64,
) -> Result<Option<Step>> {
    let records = Records::of(fleet, &device.id);
    if !records.exist(ctx) {
        return Ok(None);
    }
    let all = records.all(ctx)?;
    let mut step = Step::new(records);
    for (alert, record) in all {
        if record.by == Origin::Presence && record.state != State::Cleared {
            step.clear(&alert, record, now);
        }
    }
    if step.is_empty() {
        return Ok(None);
    }
    step.check(ctx, fleet, Some(device))?;
    Ok(Some(step))
}

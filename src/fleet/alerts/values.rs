//! Rules on values, checked against what a device reports, in the report's own step.

use std::rc::Rc;

use devicestate_core::alert::path::Found;
use devicestate_core::alert::record::{Origin, Raise, State};
use devicestate_core::alert::rule::{Bands, Condition, Judgement, Rule};
use devicestate_core::alert::Record;
use devicestate_core::json::Object;
use serde_json::value::RawValue;

use super::records::Records;
use super::rules::OfType;
use super::step::{Notify, Raised, Step};
use super::{is_urgent, EVERY_MS};
use crate::fleet::device::UNKNOWN_TYPE;
use crate::fleet::shadow::{Name, Patch};
use crate::fleet::sweeper::Trouble;
use crate::fleet::{Device, Fleet, Result};
use crate::store::Ctx;

/// What the rules of a device's type say of a report, before it is merged: only values that it
/// carries count. Rules are about the classic shadow.
pub struct Sighted {
    rules: Rc<OfType>,
    /// Which rule, and what it says of which value.
    seen: Vec<(usize, Judgement, f64)>,
    /// The device is about to come online.
    is_returning: bool,
}

/// Looks at a report; `device` is `None` for one that is about to register.
pub fn sight(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    device: Option<&Device>,
    name: Name<'_>,
    report: Option<&Patch>,
) -> Option<Sighted> {
    let report = report.filter(|_| name.is_none())?;
    let device_type = device.map_or(UNKNOWN_TYPE, |device| &device.device_type);
    let rules = fleet.rules.of_type(ctx, fleet, device_type);
    if rules.values.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    for (index, (name, rule)) in rules.values.iter().enumerate() {
        let Condition::Value(bands) = &rule.condition else {
            continue;
        };
        match bands.path().find(&report.document) {
            Found::Missing => {}
            Found::Number(value) => seen.push((index, bands.judge(value), value)),
            Found::Other(_) => not_a_number(ctx, fleet, device_type, name, bands),
        }
    }
    (!seen.is_empty()).then_some(Sighted {
        rules,
        seen,
        is_returning: false,
    })
}

/// A rule that can't see its value must not keep a report away, nor be silent about it.
fn not_a_number(ctx: &Ctx<'_>, fleet: &Fleet, device_type: &str, name: &str, bands: &Bands) {
    fleet.stats.alert_values_unusable.add(1);
    let text = format!(
        "alert rule '{name}' of type '{device_type}': no number is reported at {}",
        bands.path().as_str()
    );
    fleet.complain(ctx, Trouble::Rules, &text);
}

/// What a report changes of the device's alerts, checked and ready to be written.
pub fn prepare(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    device: Option<&Device>,
    sighted: Option<Sighted>,
    now: u64,
) -> Result<Option<Step>> {
    match sighted {
        Some(sighted) => sighted.prepare(ctx, fleet, id, device, now),
        None => Ok(None),
    }
}

impl Sighted {
    /// The same in the step in which the device comes online, if it does.
    pub fn returning(self, is_returning: bool) -> Sighted {
        Sighted {
            is_returning,
            ..self
        }
    }

    /// The alert as it is when this step comes to it. One that a rule on presence raised, whose name now is
    /// that of a rule on a value, is cleared by the online transition before.
    fn record(&self, ctx: &Ctx<'_>, step: &Step, name: &str, now: u64) -> Result<Option<Record>> {
        let mut record = step.records().get(ctx, name)?.record();
        if let Some(record) = &mut record {
            if self.is_returning && record.by == Origin::Presence {
                record.clear(now);
            }
        }
        Ok(record)
    }

    fn prepare(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        id: &str,
        device: Option<&Device>,
        now: u64,
    ) -> Result<Option<Step>> {
        let mut step = Step::new(Records::of(fleet, id));
        for (index, judgement, value) in &self.seen {
            let Some((name, rule)) = self.rules.values.get(*index) else {
                continue;
            };
            let record = self.record(ctx, &step, name, now)?;
            match (judgement, record) {
                (Judgement::Outside { severity }, record) => {
                    let raise = raise_by(rule, *severity, Origin::Value, data_of(rule, *value));
                    let (record, outcome) = Record::raise(record, &raise, now);
                    let raised = Raised {
                        alert: name,
                        notify: notify_by(rule, record.severity),
                        record,
                        outcome,
                    };
                    step.raised(ctx, fleet, device, raised, now);
                }
                (Judgement::Inside, Some(record)) if record.state != State::Cleared => {
                    step.clear(name, record, now);
                }
                // Back inside, if not by far: no reason to tell what was held back.
                (Judgement::Within, Some(record)) if record.state == State::Held => {
                    step.clear(name, record, now);
                }
                _ => {}
            }
        }
        if step.is_empty() {
            return Ok(None);
        }
        step.check(ctx, fleet, device)?;
        Ok(Some(step))
    }
}

/// A raise as a rule asks for it.
pub fn raise_by(rule: &Rule, severity: u32, by: Origin, data: Option<Box<RawValue>>) -> Raise {
    Raise {
        severity,
        every: rule.every_ms.unwrap_or(EVERY_MS),
        hold: rule.hold_ms,
        keep: rule.keep_ms,
        data,
        by,
    }
}

/// Whom a rule tells of an alert of this severity. The `wait` of a rule is for bands that can wait:
/// what is urgent is told at once.
pub fn notify_by(rule: &Rule, severity: u32) -> Notify<'_> {
    Notify {
        users: &rule.notify,
        wait: rule.wait_ms.filter(|_| !is_urgent(severity)),
    }
}

/// `{"path":"temperature","value":91.5}`
fn data_of(rule: &Rule, value: f64) -> Option<Box<RawValue>> {
    let Condition::Value(bands) = &rule.condition else {
        return None;
    };
    let path = serde_json::to_string(bands.path().as_str()).ok()?;
    let value = match value {
        whole if whole.fract() == 0.0 && whole.abs() < 1e15 => format!("{whole:.0}"),
        value => serde_json::to_string(&value).ok()?,
    };
    RawValue::from_string(format!("{{\"path\":{path},\"value\":{value}}}")).ok()
}

/// What a rule says of a document that is stored; `None` when its value is not there.
pub fn judge_stored(rule: &Rule, document: &Object) -> Option<Judgement> {
    match &rule.condition {
        Condition::Value(bands) => match bands.path().find(document) {
            Found::Number(value) => Some(bands.judge(value)),
            Found::Missing | Found::Other(_) => None,
        },
        Condition::Offline { .. } => None,
    }
}

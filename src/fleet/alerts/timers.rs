//! What alerts do by themselves, driven by the sweeper: one that was not raised for as long as it is
//! kept clears; one that a rule held back long enough, or raised again while its clock ran, is told;
//! one that is over is forgotten.
//!
//! A second deadline index holds the devices with such alerts. It is a cache like the first one: after
//! a load or a promotion the keys are walked once (see the reconciler).

use devicestate_core::alert::record::{Due, Origin, State};
use devicestate_core::alert::rule::{Condition, Judgement, Rule};
use devicestate_core::alert::Record;

use super::records::Records;
use super::rules::OfType;
use super::step::{Notify, Raised, Step};
use super::values::{judge_stored, notify_by};
use crate::fleet::sweeper::{Trouble, BACK_OFF_MS};
use crate::fleet::{Device, Fleet, Result};
use crate::store::{monotonic_us, Ctx};

impl Fleet {
    /// Looks at the alerts that are due, until `until_us`; true when more are.
    pub(in crate::fleet) fn sweep_alerts(&self, ctx: &Ctx<'_>, now: u64, until_us: u64) -> bool {
        let mut id = String::new();
        loop {
            let due = self.alert_deadlines.borrow_mut().pop_due(now, &mut id);
            if due.is_none() {
                return false;
            }
            if let Err(error) = self.look_at_alerts(ctx, &id, now) {
                self.look_at_alerts_by(&id, now + BACK_OFF_MS);
                self.stats.back_offs.add(1);
                let text = format!("the alerts of a device can't be looked at: {error}");
                self.complain(ctx, Trouble::Alert, &text);
            }
            if monotonic_us() >= until_us {
                let next = self.alert_deadlines.borrow().next_deadline();
                return next.is_some_and(|next| next <= now);
            }
        }
    }

    /// Reads the truth about one device's alerts.
    fn look_at_alerts(&self, ctx: &Ctx<'_>, id: &str, now: u64) -> Result<()> {
        let records = Records::of(self, id);
        let all = match records.exist(ctx) {
            true => records.all(ctx)?,
            false => Vec::new(),
        };
        let device = match all.is_empty() {
            true => None,
            false => Device::load(ctx, self, id)?.filter(|device| !device.from_recipe),
        };
        self.alert_deadlines.borrow_mut().remove(id);
        let Some(device) = device else {
            return Ok(());
        };
        if !self.is_settled(ctx, id) {
            // Whoever has its slot in the end looks at them.
            self.look_at_alerts_by(id, now + BACK_OFF_MS);
            return Ok(());
        }
        let rules = self.rules.of_type(ctx, self, &device.device_type);
        let mut step = Step::new(records);
        for (alert, mut record) in all {
            if record.clamp_to(now) {
                step.records().put(ctx, self, &alert, &record)?;
            }
            match record.next(|silence| self.not_before(id, silence)) {
                Some((at, due)) if at <= now => match due {
                    Due::Lapsed => step.clear(&alert, record, now),
                    Due::Forgotten => step.drop_forgotten(&alert, record),
                    Due::Sight => match self.still_so(ctx, &device, &rules, &alert, &record) {
                        Some((severity, notify)) => {
                            let outcome = record.sight(severity, now);
                            let raised = Raised {
                                alert: &alert,
                                record,
                                outcome,
                                notify,
                            };
                            step.raised(ctx, self, Some(&device), raised, now);
                        }
                        None => step.clear(&alert, record, now),
                    },
                },
                Some(_) => step.records().schedule(self, &record),
                None => {}
            }
        }
        if step.is_empty() {
            return Ok(());
        }
        step.check(ctx, self, Some(&device))?;
        step.announce(ctx, self, now)?;
        step.write(ctx, self, &device, now)
    }

    /// What a rule raised, and nobody was told yet: if it is still so, how bad, and whom to tell.
    fn still_so<'r>(
        &self,
        ctx: &Ctx<'_>,
        device: &Device,
        rules: &'r OfType,
        alert: &str,
        record: &Record,
    ) -> Option<(u32, Notify<'r>)> {
        let (rule, severity) = match record.by {
            Origin::Presence => {
                let rule = rules.presence(alert).filter(|_| !device.online)?;
                match rule.condition {
                    Condition::Offline { severity } => (rule, severity),
                    Condition::Value(_) => return None,
                }
            }
            Origin::Value | Origin::Command => {
                let rule = rules.value(alert)?;
                match self.judge_reported(ctx, device, rule)? {
                    Judgement::Outside { severity } => (rule, severity),
                    // Inside, but not by far: if it fires it goes on.
                    Judgement::Within if record.state == State::Firing => (rule, record.severity),
                    Judgement::Within | Judgement::Inside => return None,
                }
            }
        };
        Some((severity, notify_by(rule, severity.max(record.severity))))
    }

    /// What a rule says of what the device reported last.
    fn judge_reported(&self, ctx: &Ctx<'_>, device: &Device, rule: &Rule) -> Option<Judgement> {
        let reported = device.field(ctx, &self.fields.shadow.reported)?;
        let document = devicestate_core::json::stored_object(reported.bytes())?;
        judge_stored(rule, &document)
    }
}

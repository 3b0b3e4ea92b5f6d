//! `INFO devicestate`.

use crate::fleet;
use crate::fleet::listing::{count, Filter};
use crate::store::{info, notifications_on};

/// The one section of the module.
pub struct Section;

impl info::Fill for Section {
    fn fill(section: &info::Section) {
        fleet::with(|fleet| {
            let stats = &fleet.stats;
            section.text("version", env!("CARGO_PKG_VERSION"));
            let hearing = match fleet.hearing().deaf() {
                None => "yes".to_owned(),
                Some(deaf) => format!("no ({})", deaf.name()),
            };
            section.text("hearing", &hearing);
            let (module, expired) = notifications_on();
            let yes_no = |on| if on { "yes" } else { "no" };
            section.text("notifications_module", yes_no(module));
            section.text("notifications_expired", yes_no(expired));
            section.text("checking", yes_no(fleet.is_checking()));
            for (name, online, out_of_sync) in [
                ("devices", None, false),
                ("online", Some(true), false),
                ("offline", Some(false), false),
                ("out_of_sync", None, true),
            ] {
                let filter = Filter {
                    online,
                    out_of_sync,
                    ..Filter::default()
                };
                let count = section
                    .ctx()
                    .and_then(|ctx| count(&ctx, fleet, &filter, 0).ok());
                section.int(name, count.unwrap_or(0));
            }
            for (name, value) in [
                ("deadline_index_devices", fleet.deadline_index_len() as u64),
                ("deadline_index_bytes", fleet.deadline_index_bytes() as u64),
                ("heartbeats", stats.heartbeats.get()),
                ("heartbeats_per_second", stats.heartbeats_per_second()),
                ("reports", stats.reports.get()),
                ("ignored", stats.ignored.get()),
                ("desired_changes", stats.desired.get()),
                ("deltas_told", stats.deltas.get()),
                ("version_conflicts", stats.conflicts.get()),
                ("came_online", stats.came_online.get()),
                ("went_offline", stats.went_offline.get()),
                ("timed_out", stats.timed_out.get()),
                ("registered", stats.registered.get()),
                ("removed", stats.removed.get()),
                ("adopted", stats.adopted.get()),
                ("detection_lag_last_ms", stats.lag_last.get()),
                ("detection_lag_max_ms", stats.lag_max.get()),
                ("throttle_hits", stats.hits.get()),
                ("throttle_limited", stats.limited.get()),
                ("commands", stats.commands.get()),
                ("commands_finished", stats.commands_finished.get()),
                ("alerts_new", stats.alerts_new.get()),
                ("alerts_suppressed", stats.alerts_suppressed.get()),
                ("alerts_repeated", stats.alerts_repeated.get()),
                ("alerts_escalated", stats.alerts_escalated.get()),
                ("alerts_held", stats.alerts_held.get()),
                ("alerts_resolved", stats.alerts_resolved.get()),
                ("alerts_acked", stats.alerts_acked.get()),
                ("alert_values_unusable", stats.alert_values_unusable.get()),
                ("alert_notifications", stats.notified.get()),
                ("alert_batches", stats.batches.get()),
                ("alert_batches_done", stats.batches_done.get()),
                ("alert_timers", fleet.alert_timers()),
                ("queue_added", stats.queues.added.get()),
                ("queue_delivered", stats.queues.delivered.get()),
                ("queue_redelivered", stats.queues.redelivered.get()),
                ("queue_acked", stats.queues.acked.get()),
                ("queue_nacked", stats.queues.nacked.get()),
                ("queue_dead", stats.queues.dead.get()),
                ("queue_expired", stats.queues.expired.get()),
                ("queue_refused", stats.queues.refused.get()),
                ("ticks", stats.ticks.get()),
                ("looks", stats.looks.get()),
                ("back_offs", stats.back_offs.get()),
                ("mended", stats.mended.get()),
            ] {
                section.int(name, value);
            }
        });
    }
}

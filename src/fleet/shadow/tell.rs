//! Who hears of a change of a shadow: the device, the fleet's channels and streams, its history.

use super::prepared::Prepared;
use super::Name;
use super::{Device, Fleet, Result};
use crate::fleet::events::{self, Message, LARGEST_IN_STREAM};
use crate::fleet::sweeper::Trouble;
use crate::fleet::{history, settings};
use crate::store::{Arg, Ctx};

/// What is outstanding for a device.
pub(super) struct Outstanding<'a> {
    pub name: Name<'a>,
    pub version: u64,
    /// As JSON; empty: in sync.
    pub delta: &'a str,
    /// As JSON; empty: none.
    pub desired: &'a str,
}

impl Outstanding<'_> {
    /// Into `devices:events`; the only part that may fail.
    pub fn append(&self, ctx: &Ctx<'_>, fleet: &Fleet, id: &str, now: u64) -> Result<()> {
        let mut fields: Vec<(&'static str, Arg<'_>)> = Vec::with_capacity(4);
        if let Some(name) = self.name {
            fields.push(("name", name.into()));
        }
        fields.push(("version", self.version.into()));
        for (field, document) in [("delta", self.delta), ("desired_state", self.desired)] {
            // The version of one that is left out stays.
            if document.len() <= LARGEST_IN_STREAM {
                fields.push((field, or_empty_object(document).into()));
            }
        }
        events::append(ctx, fleet, "delta", id, now, &fields)
    }

    /// On the device's own channel, unless nothing is outstanding.
    pub fn publish(&self, ctx: &Ctx<'_>, fleet: &Fleet, id: &str, now: u64) {
        fleet.stats.deltas.add(1);
        if self.delta.is_empty() {
            return;
        }
        let mut message = Message::new("state_update", id);
        if let Some(name) = self.name {
            message.text("name", name);
        }
        message.json("desired_state", or_empty_object(self.desired));
        message.json("delta", self.delta);
        message.number("version", self.version);
        message.number("timestamp", now);
        message.publish(ctx, &format!("device:{id}:commands"));
    }
}

fn or_empty_object(document: &str) -> &str {
    if document.is_empty() {
        "{}"
    } else {
        document
    }
}

impl Prepared<'_> {
    fn outstanding<'a>(&'a self, desired: &'a str) -> Outstanding<'a> {
        Outstanding {
            name: self.place.name,
            version: self.version,
            delta: &self.delta,
            desired,
        }
    }

    /// The first half of telling the device, before anything is written: it may fail.
    pub(super) fn tell_outstanding(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: &Device,
        now: u64,
    ) -> Result<()> {
        match self.tells_device {
            true => {
                let desired = self.desired_text();
                self.outstanding(&desired)
                    .append(ctx, fleet, &device.id, now)
            }
            false => Ok(()),
        }
    }

    /// Everything that follows the write of a heartbeat that carried this report. Its events come
    /// behind those of the transition, so what may fail can't be refused any more: it is logged.
    pub fn finish_heartbeat(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: &Device,
        now: u64,
    ) -> Result<()> {
        if let Err(error) = self.tell_outstanding(ctx, fleet, device, now) {
            let text = format!("a delta can't be told: {error}");
            fleet.complain(ctx, Trouble::Stream, &text);
        }
        self.drop_stale_fields(ctx)?;
        self.finish(ctx, fleet, device, now)
    }

    /// Everything that follows the write of the shadow.
    pub(super) fn finish(
        &self,
        ctx: &Ctx<'_>,
        fleet: &Fleet,
        device: &Device,
        now: u64,
    ) -> Result<()> {
        if self.place.name.is_none() {
            let is_in_sync = self.delta.is_empty();
            if self.moves {
                index(ctx, fleet, device, is_in_sync)?;
            }
            fleet.know(&device.id, self.version, is_in_sync);
        }
        let (name, version) = (self.place.name, self.version);
        for (kind, change) in [
            ("desired", self.desired_change()),
            ("reported", self.reported_change()),
        ] {
            if let Some(change) = change {
                let entry = history::Entry::Change {
                    kind,
                    name,
                    version,
                    change,
                };
                history::append(ctx, fleet, device, &entry, now);
            }
        }
        if let Some(report) = self.report() {
            self.tell_report(ctx, fleet, device, report, now);
        }
        if self.tells_device {
            let desired = self.desired_text();
            self.outstanding(&desired)
                .publish(ctx, fleet, &device.id, now);
        }
        if self.desired_change().is_some() {
            fleet.stats.desired.add(1);
            ctx.notify(c"device.desired", &device.key);
        }
        ctx.touched(&device.id_key);
        Ok(())
    }

    /// Sinks get every report, the fleet's channel those that changed something.
    fn tell_report(&self, ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, report: &str, now: u64) {
        let (name, version) = (self.place.name, self.version);
        if settings::REPORTS_MAXLEN.value() > 0 {
            events::append_report(ctx, fleet, &device.id, name, version, report, now);
        }
        if self.reported_change().is_none() {
            return;
        }
        settings::STATUS_CHANNEL.with(|channel| {
            if channel.is_empty() {
                return;
            }
            let mut message = Message::new("status", &device.id);
            if let Some(name) = name {
                message.text("name", name);
            }
            message.number("version", version);
            message.json("reported", report);
            message.number("timestamp", now);
            message.publish(ctx, channel);
        });
        ctx.notify(c"device.reported", &device.key);
    }
}

/// Puts a device into `devices:outofsync`, or takes it out.
pub(super) fn index(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device, is_in_sync: bool) -> Result<()> {
    let command = if is_in_sync { c"SREM" } else { c"SADD" };
    let set = Arg::Str(&fleet.keys.of(&device.id).out_of_sync);
    ctx.write(command, &[set, Arg::Str(&device.id_key)])?;
    Ok(())
}

//! The commands of the RESP mode.

use redis::Pipeline;

use crate::fleet::Fleet;
use crate::plan::Fate;
use crate::values::write_reported;

/// One command on its way; devices count from 0.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Register { device: u32 },
    Beat { device: u32, beat: u64 },
    Offline { device: u32, fate: Fate },
}

/// The commands of a batch, and how many of them are beats. An error in one reply does not hide the
/// others.
pub fn pipeline(
    fleet: &Fleet,
    device_type: &Option<String>,
    session: u64,
    batch: &[Step],
) -> (Pipeline, u64) {
    let mut pipeline = Pipeline::with_capacity(batch.len());
    pipeline.ignore_errors();
    let mut document = String::new();
    let mut beats = 0;
    for step in batch {
        match *step {
            Step::Register { device } => {
                pipeline
                    .cmd("DEVICE.REGISTER")
                    .arg(fleet.plan.id(device))
                    .arg(device_type);
            }
            Step::Beat { device, beat } => {
                beats += 1;
                pipeline.cmd("DEVICE.HEARTBEAT").arg(fleet.plan.id(device));
                pipeline
                    .arg("TIMEOUT")
                    .arg(fleet.timeout_ms)
                    .arg("SESSION")
                    .arg(session);
                if let Some(seq) = fleet.plan.report(device, beat) {
                    document.clear();
                    write_reported(&mut document, fleet.seed, device, beat);
                    pipeline.arg("SEQ").arg(seq).arg("REPORTED").arg(&document);
                }
            }
            Step::Offline { device, fate } => {
                let reason = if fate == Fate::Cut {
                    "connection lost"
                } else {
                    "goodbye"
                };
                pipeline.cmd("DEVICE.OFFLINE").arg(fleet.plan.id(device));
                pipeline
                    .arg("REASON")
                    .arg(reason)
                    .arg("SESSION")
                    .arg(session);
            }
        }
    }
    (pipeline, beats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Outline, Plan, Share};

    /// The arguments of each command, read from what goes over the wire.
    fn sent(batch: &[Step]) -> (Vec<Vec<String>>, u64) {
        let plan = Plan::new(Outline {
            devices: 3,
            id_prefix: "sim-".into(),
            first: 1,
            interval_ms: 1_000,
            report_every: 3,
            silent: Share::Count(0),
            goodbye: Share::Count(0),
            cut: Share::Count(0),
            ends_from_ms: 0,
            ends_to_ms: 0,
            seed: 1,
        });
        let fleet = Fleet::new(plan.unwrap(), 1, 9_000);
        let (pipeline, beats) = pipeline(&fleet, &Some("meter".into()), 77, batch);
        let wire = String::from_utf8(pipeline.get_packed_pipeline()).unwrap();
        let commands = wire.split('*').skip(1);
        let args = |command: &str| {
            let lines = command.split("\r\n").skip(1);
            lines
                .filter(|l| !l.is_empty() && !l.starts_with('$'))
                .map(String::from)
                .collect()
        };
        (commands.map(args).collect(), beats)
    }

    #[test]
    fn commands_are_as_documented() {
        let (commands, beats) = sent(&[
            Step::Register { device: 0 },
            Step::Beat { device: 0, beat: 0 },
            Step::Offline {
                device: 1,
                fate: Fate::Goodbye,
            },
            Step::Offline {
                device: 2,
                fate: Fate::Cut,
            },
        ]);
        assert_eq!(beats, 1);
        assert_eq!(commands[0], ["DEVICE.REGISTER", "sim-000001", "meter"]);
        let beat = [
            "DEVICE.HEARTBEAT",
            "sim-000001",
            "TIMEOUT",
            "9000",
            "SESSION",
            "77",
        ];
        assert_eq!(commands[1], beat);
        let goodbye = [
            "DEVICE.OFFLINE",
            "sim-000002",
            "REASON",
            "goodbye",
            "SESSION",
            "77",
        ];
        assert_eq!(commands[2], goodbye);
        assert_eq!(commands[3][3], "connection lost");
    }

    #[test]
    fn reports_carry_their_number_and_document() {
        let (commands, _) = sent(&[Step::Beat { device: 0, beat: 5 }]);
        assert_eq!(commands[0][6..9], ["SEQ", "2", "REPORTED"]);
        assert!(commands[0][9].starts_with(r#"{"temperature":"#));
    }
}

//! `DEVICE.HEARTBEAT id [REPORTED json] [REPLACE] [TIMEOUT ms] [SESSION n [SEQ n]]`

use super::{check_fence, reply_beat, Args, Command, FENCE_ARGS};
use crate::fleet::error::Error;
use crate::fleet::heartbeat::{beat, Heartbeat as Beat};
use crate::fleet::shadow::Patch;
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The whole round trip of a device in one atomic step: it proves life, merges what is reported
/// (REPLACE: replaces), and replies `[came_online, applied, version, delta, commands]`.
///
/// `came_online` is 1 only on the step from offline to online. `applied` is 0 when the message (a
/// lower SESSION than the stored one) or only its report (a SEQ that is not above the last one of
/// the session) was ignored as stale. `delta` is what is outstanding of the shadow, as JSON, or null.
/// `commands` is 0 in this version.
pub struct Heartbeat;

impl Command for Heartbeat {
    const SPEC: Spec = Spec {
        name: "device.heartbeat",
        summary: "Proves that a device is alive, and stores what it reports",
        complexity: "O(1), with REPORTED O(N) in the size of the merged document",
        since: "0.1.0",
        arity: -2,
        // No deny-oom: devices stay online when memory is short. What grows is checked inside.
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::option("REPORTED", "json", ArgKind::Text),
            ArgSpec::flag("REPLACE", "replace"),
            ArgSpec::option("TIMEOUT", "milliseconds", ArgKind::Integer),
            FENCE_ARGS,
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        const KEYWORDS: [&str; 5] = ["REPORTED", "REPLACE", "TIMEOUT", "SESSION", "SEQ"];
        let (id, id_key) = args.next_id_and_key()?;
        let mut beat_with = Beat {
            argument: "REPORTED",
            ..Beat::default()
        };
        let mut patch = None;
        let mut replace = false;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "REPORTED" => patch = Some(args.next_json("REPORTED")?),
                "REPLACE" => replace = true,
                "TIMEOUT" => beat_with.timeout = Some(args.next_timeout()?),
                "SESSION" => beat_with.fence.session = Some(args.next_number("SESSION")?),
                _ => beat_with.fence.seq = Some(args.next_number("SEQ")?),
            }
        }
        if replace && patch.is_none() {
            return Err(Error::usage("REPLACE goes with REPORTED"));
        }
        check_fence(beat_with.fence)?;
        args.finish()?;
        beat_with.report = patch.map(|document| Patch { document, replace });

        let outcome = beat(ctx, fleet, id, id_key, beat_with, ctx.now_ms())?;
        reply_beat(ctx, &outcome);
        Ok(())
    }
}

//! `DEVICE.OFFLINE id [REASON text] [SESSION n]`

use super::{Args, Command};
use crate::fleet::{presence, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Takes a device offline: its goodbye, its will, an operator. Replies 1, or 0 when it was offline
/// already or the message comes from an older session than the stored one. Without SESSION it
/// counts always, and the stored session is forgotten.
pub struct Offline;

/// The reason told when none is given.
const NO_REASON: &str = "requested";
const MAX_REASON_BYTES: usize = 256;

impl Command for Offline {
    const SPEC: Spec = Spec {
        name: "device.offline",
        summary: "Takes a device offline",
        complexity: "O(log N) with N offline devices",
        since: "0.1.0",
        arity: -2,
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::option("REASON", "reason", ArgKind::Text),
            ArgSpec::option("SESSION", "session", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let mut reason = NO_REASON;
        let mut session = None;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["REASON", "SESSION"], &mut seen)? {
            match keyword {
                "REASON" => reason = args.next_text("REASON", MAX_REASON_BYTES)?,
                _ => session = Some(args.next_number("SESSION")?),
            }
        }
        args.finish()?;

        let went = presence::say_goodbye(ctx, fleet, id, reason, session, ctx.now_ms())?;
        ctx.reply_int(u64::from(went));
        Ok(())
    }
}

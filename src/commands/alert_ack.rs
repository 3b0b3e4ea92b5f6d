//! `ALERT.ACK id alert`

use super::{Args, Command};
use crate::fleet::{alerts, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Somebody takes care of an alert: 1, or 0 when it does not fire or somebody does already. It is not
/// told again until it gets worse, or is cleared and raised anew.
pub struct AlertAck;

impl Command for AlertAck {
    const SPEC: Spec = Spec {
        name: "alert.ack",
        summary: "Acknowledges an alert of a device",
        complexity: "O(1)",
        since: "0.1.0",
        arity: 3,
        flags: "write fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("alert", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let alert = args.next_alert()?;
        args.finish()?;

        let changed = alerts::ack(ctx, fleet, id, alert)?;
        ctx.reply_int(changed.into());
        Ok(())
    }
}

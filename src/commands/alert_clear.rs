//! `ALERT.CLEAR id alert`

use super::{Args, Command};
use crate::fleet::{alerts, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// What raised an alert is over: 1 when it fired, else 0. Whoever was told that it fires is told that it
/// is resolved. Its clock goes on, so that what flaps is not told more often; an alert that was held
/// back is forgotten.
pub struct AlertClear;

impl Command for AlertClear {
    const SPEC: Spec = Spec {
        name: "alert.clear",
        summary: "Clears an alert of a device",
        complexity: "O(N log M) in the users notified",
        since: "0.1.0",
        arity: 3,
        flags: "write",
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

        let changed = alerts::clear(ctx, fleet, id, alert, ctx.now_ms())?;
        ctx.reply_int(changed.into());
        Ok(())
    }
}

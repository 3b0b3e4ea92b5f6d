//! `DEVICE.DELTA id [NAME n]`

use super::{next_name, Args, Command, SHADOW_ARGS};
use crate::fleet::{shadow, Fleet, Result};
use crate::store::command::{KeyUse, Keys, Spec};
use crate::store::Ctx;

/// What differs, for operators: `{"device_id","in_sync","version","delta":{key:{"desired",
/// "reported"}}}` with both values of every top-level member, whole; one that is not reported is null.
pub struct Delta;

impl Command for Delta {
    const SPEC: Spec = Spec {
        name: "device.delta",
        summary: "Shows what a device should be and what it is, where the two differ",
        complexity: "O(N) in the size of the documents",
        since: "0.1.0",
        arity: -2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "",
        args: SHADOW_ARGS,
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let name = next_name(&mut args)?;
        args.finish()?;

        ctx.reply_bytes(shadow::sides(ctx, fleet, id, name)?.as_bytes());
        Ok(())
    }
}

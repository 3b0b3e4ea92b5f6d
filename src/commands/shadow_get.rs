//! `DEVICE.SHADOW.GET id [NAME n]`

use super::{next_name, Args, Command, SHADOW_ARGS};
use crate::fleet::{shadow, Fleet, Result};
use crate::store::command::{KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The whole shadow as JSON: `{"state":{"desired","reported","delta"},"metadata":{"desired",
/// "reported"},"version","timestamp"}`, without what is empty; null when there is none.
pub struct ShadowGet;

impl Command for ShadowGet {
    const SPEC: Spec = Spec {
        name: "device.shadow.get",
        summary: "Returns a device's shadow",
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

        match shadow::document(ctx, fleet, id, name, ctx.now_ms())? {
            Some(document) => ctx.reply_bytes(document.as_bytes()),
            None => ctx.reply_null(),
        }
        Ok(())
    }
}

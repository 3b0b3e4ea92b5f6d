//! `DEVICE.SHADOW.DEL id [NAME n]`

use super::{next_name, Args, Command, SHADOW_ARGS};
use crate::fleet::{shadow, Fleet, Result};
use crate::store::command::{KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Deletes a shadow and replies `{"version","timestamp"}`. The deletion counts in the version, which
/// is kept: a shadow that is made anew goes on from there.
pub struct ShadowDel;

impl Command for ShadowDel {
    const SPEC: Spec = Spec {
        name: "device.shadow.del",
        summary: "Deletes a device's shadow",
        complexity: "O(N) in the size of the documents",
        since: "0.1.0",
        arity: -2,
        flags: "write",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: SHADOW_ARGS,
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let name = next_name(&mut args)?;
        args.finish()?;

        let now = ctx.now_ms();
        let version = shadow::delete(ctx, fleet, id, name, now)?;
        let document = format!("{{\"version\":{version},\"timestamp\":{now}}}");
        ctx.reply_bytes(document.as_bytes());
        Ok(())
    }
}

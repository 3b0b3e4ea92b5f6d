//! `DEVICE.SHADOW.NAMES id`

use super::{Args, Command};
use crate::fleet::{shadow, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The names of a device's named shadows, sorted. The classic shadow has no name.
pub struct ShadowNames;

impl Command for ShadowNames {
    const SPEC: Spec = Spec {
        name: "device.shadow.names",
        summary: "Lists the named shadows of a device",
        complexity: "O(N) in the number of named shadows",
        since: "0.1.0",
        arity: 2,
        flags: "readonly",
        keys: Keys::First(KeyUse::Read),
        tips: "",
        args: &[ArgSpec::new("id", ArgKind::Key)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        args.finish()?;

        let names = shadow::names(ctx, fleet, id)?;
        ctx.reply_array(names.len());
        for name in names {
            ctx.reply_bytes(&name);
        }
        Ok(())
    }
}

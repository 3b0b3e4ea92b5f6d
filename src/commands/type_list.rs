//! `DEVICE.TYPE.LIST`

use super::type_get::reply_defaults;
use super::{require, Args, Command};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{Keys, Spec};
use crate::store::Ctx;

/// All device types that have defaults, by name: an array of maps as `DEVICE.TYPE.GET` gives them.
pub struct TypeList;

impl Command for TypeList {
    const SPEC: Spec = Spec {
        name: "device.type.list",
        summary: "Lists the device types that have defaults",
        complexity: "O(N log N) in the number of types",
        since: "0.1.0",
        arity: 1,
        flags: "readonly",
        keys: Keys::None,
        tips: "",
        args: &[],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, args: Args<'_>) -> Result<()> {
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.types)?;

        let types = fleet.types.list(ctx, fleet)?;
        ctx.reply_array(types.len());
        for (name, defaults) in &types {
            reply_defaults(ctx, name, defaults);
        }
        Ok(())
    }
}

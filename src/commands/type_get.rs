//! `DEVICE.TYPE.GET type`

use super::{require, Args, Command};
use crate::fleet::types::TypeDefaults;
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// The defaults of a device type: a map, null for what is not set; null when nothing is.
pub struct TypeGet;

impl Command for TypeGet {
    const SPEC: Spec = Spec {
        name: "device.type.get",
        summary: "Returns the defaults of a device type",
        complexity: "O(1)",
        since: "0.1.0",
        arity: 2,
        flags: "readonly fast",
        keys: Keys::None,
        tips: "",
        args: &[ArgSpec::new("type", ArgKind::Text)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.types)?;

        match fleet.types.get(ctx, fleet, device_type)? {
            Some(defaults) => reply_defaults(ctx, device_type.as_bytes(), &defaults),
            None => ctx.reply_null(),
        }
        Ok(())
    }
}

pub fn reply_defaults(ctx: &Ctx<'_>, device_type: &[u8], defaults: &TypeDefaults) {
    ctx.reply_map(3);
    ctx.reply_bytes(b"type");
    ctx.reply_bytes(device_type);
    for (name, value) in [("timeout", defaults.timeout), ("history", defaults.history)] {
        ctx.reply_bytes(name.as_bytes());
        match value {
            Some(value) => ctx.reply_int(value),
            None => ctx.reply_null(),
        }
    }
}

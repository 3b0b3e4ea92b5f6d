//! `DEVICE.TYPE.DEL type`

use super::{require, Args, Command};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// Forgets the defaults of a device type; its devices stay. Replies 1, or 0 when there were none.
pub struct TypeDel;

impl Command for TypeDel {
    const SPEC: Spec = Spec {
        name: "device.type.del",
        summary: "Forgets the defaults of a device type",
        complexity: "O(N) in the devices that are online, a few nanoseconds each",
        since: "0.1.0",
        arity: 2,
        flags: "write",
        keys: Keys::None,
        tips: "",
        args: &[ArgSpec::new("type", ArgKind::Text)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        args.finish()?;
        require(ctx, Access::Write, &fleet.keys.permission.types)?;

        let deleted = fleet.types.delete(ctx, fleet, device_type)?;
        ctx.reply_int(u64::from(deleted));
        Ok(())
    }
}

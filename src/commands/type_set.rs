//! `DEVICE.TYPE.SET type [TIMEOUT ms] [HISTORY n]`

use super::{require, Args, Command};
use crate::fleet::error::Error;
use crate::fleet::settings;
use crate::fleet::types::TypeDefaults;
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// Sets defaults of a device type; what is not given stays as it is. A timeout counts at once for
/// every device of the type that has none of its own.
pub struct TypeSet;

impl Command for TypeSet {
    const SPEC: Spec = Spec {
        name: "device.type.set",
        summary: "Sets the defaults of a device type",
        complexity: "O(N) in the devices that are online, a few nanoseconds each",
        since: "0.1.0",
        arity: -4,
        flags: "write deny-oom",
        keys: Keys::None,
        tips: "",
        args: &[
            ArgSpec::new("type", ArgKind::Text),
            ArgSpec::option("TIMEOUT", "milliseconds", ArgKind::Integer),
            ArgSpec::option("HISTORY", "entries", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        let mut change = TypeDefaults::default();
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["TIMEOUT", "HISTORY"], &mut seen)? {
            match keyword {
                "TIMEOUT" => change.timeout = Some(args.next_timeout()?),
                _ => {
                    change.history = Some(args.next_bounded("HISTORY", 0, settings::MAX_HISTORY)?)
                }
            }
        }
        if change == TypeDefaults::default() {
            return Err(Error::usage("nothing to set: give TIMEOUT or HISTORY"));
        }
        args.finish()?;
        require(ctx, Access::Write, &fleet.keys.permission.types)?;

        fleet.types.set(ctx, fleet, device_type, change)?;
        ctx.reply_ok();
        Ok(())
    }
}

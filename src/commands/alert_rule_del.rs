//! `ALERT.RULE.DEL type rule`

use super::{require, Args, Command};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// Deletes an alert rule: 1, or 0 when there is none. Alerts that it raised stay until they are
/// cleared; one that it held back, or that nobody was told of, is told no more.
pub struct AlertRuleDel;

impl Command for AlertRuleDel {
    const SPEC: Spec = Spec {
        name: "alert.rule.del",
        summary: "Deletes an alert rule of a device type",
        complexity: "O(1)",
        since: "0.1.0",
        arity: 3,
        flags: "write fast",
        keys: Keys::None,
        tips: "",
        args: &[
            ArgSpec::new("type", ArgKind::Text),
            ArgSpec::new("rule", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        let name = args.next_rule()?;
        args.finish()?;
        require(
            ctx,
            Access::Write,
            &fleet.keys.permission.rules(device_type),
        )?;

        let deleted = fleet.rules.delete(ctx, fleet, device_type, name)?;
        ctx.reply_int(deleted.into());
        Ok(())
    }
}

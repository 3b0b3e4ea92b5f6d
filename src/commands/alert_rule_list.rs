//! `ALERT.RULE.LIST type`

use super::{require, Args, Command};
use crate::fleet::{alerts, Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// The alert rules of a type: a map from name to JSON, sorted by name.
pub struct AlertRuleList;

impl Command for AlertRuleList {
    const SPEC: Spec = Spec {
        name: "alert.rule.list",
        summary: "Lists the alert rules of a device type",
        complexity: "O(N log N) in the rules of the type",
        since: "0.1.0",
        arity: 2,
        flags: "readonly",
        keys: Keys::None,
        tips: "",
        args: &[ArgSpec::new("type", ArgKind::Text)],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.rules(device_type))?;

        let rules = alerts::rules::list(ctx, fleet, device_type)?;
        ctx.reply_map(rules.len());
        for (name, json) in &rules {
            ctx.reply_bytes(name);
            ctx.reply_bytes(json);
        }
        Ok(())
    }
}

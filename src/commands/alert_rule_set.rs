//! `ALERT.RULE.SET type rule json`

use devicestate_core::alert::rule::Rule;

use super::{require, user_key, Args, Command};
use crate::fleet::{Error, Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// Sets a rule that raises and clears the alert of its name for every device of a type: on a value
/// that is reported, or on presence. Replies 1 when the rule is new, 0 when it takes the place of
/// another. It counts from the next report or transition on.
pub struct AlertRuleSet;

impl Command for AlertRuleSet {
    const SPEC: Spec = Spec {
        name: "alert.rule.set",
        summary: "Sets an alert rule of a device type",
        complexity: "O(N) in the size of the rule",
        since: "0.1.0",
        arity: 4,
        flags: "write deny-oom",
        keys: Keys::None,
        tips: "",
        args: &[
            ArgSpec::new("type", ArgKind::Text),
            ArgSpec::new("rule", ArgKind::Text),
            ArgSpec::new("json", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let device_type = args.next_type()?;
        let name = args.next_rule()?;
        let text = args.next_document("rule")?;
        args.finish()?;
        let (rule, json) = Rule::parse(text).map_err(|error| Error::bad_rule(&error))?;
        require(
            ctx,
            Access::Write,
            &fleet.keys.permission.rules(device_type),
        )?;
        for user in &rule.notify {
            require(ctx, Access::Write, &user_key(user))?;
        }

        let is_new = fleet.rules.set(ctx, fleet, device_type, name, &json)?;
        ctx.reply_int(is_new.into());
        Ok(())
    }
}

//! `ALERT.NOTIFY user alert json [SEVERITY n] [WAIT ms]`

use super::{Args, Command};
use crate::fleet::alerts::users::{self, Notice};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Puts a notification of no device's into a user's next batch, where one of the same name is merged
/// with it: the last data, the worst severity, the sum. Replies how many items wait there. The batch
/// waits up to WAIT for company.
pub struct AlertNotify;

impl Command for AlertNotify {
    const SPEC: Spec = Spec {
        name: "alert.notify",
        summary: "Puts a notification into the next batch of a user",
        complexity: "O(log N) in the users who have something pending",
        since: "0.1.0",
        arity: -4,
        flags: "write deny-oom fast",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("user", ArgKind::Key),
            ArgSpec::new("alert", ArgKind::Text),
            ArgSpec::new("json", ArgKind::Text),
            ArgSpec::option("SEVERITY", "severity", ArgKind::Integer),
            ArgSpec::option("WAIT", "wait-milliseconds", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let user = args.next_user()?;
        let alert = args.next_alert()?;
        let mut notice = Notice {
            alert,
            severity: 1,
            data: args.next_data("json")?,
            wait: None,
        };
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["SEVERITY", "WAIT"], &mut seen)? {
            match keyword {
                "SEVERITY" => notice.severity = args.next_severity()?,
                _ => notice.wait = Some(args.next_lasting("WAIT", 0)?),
            }
        }
        args.finish()?;

        let pending = users::notify(ctx, fleet, user, notice, ctx.now_ms())?;
        ctx.reply_int(pending);
        Ok(())
    }
}

//! `ALERT.RAISE id alert [SEVERITY n] [EVERY ms] [FOR ms] [KEEP ms] [WAIT ms] [DATA json]
//! [NOTIFY count user ...]`

use devicestate_core::alert::Raise;

use super::{require, Args, Command};
use crate::fleet::alerts::{self, Asked, EVERY_MS};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Raises an alert of a device, as often as its cause lasts, and replies `[outcome, count]`: what
/// came of it (`new`, `suppressed`, `repeat`, `escalated`, `held`), and how often it was raised.
///
/// It is told once per EVERY (an hour), and at once when SEVERITY (1) is above the one that was told.
/// With FOR it is told only when it is raised again at least that long after the first time, with no
/// clear in between. With KEEP it clears by itself when it is not raised for that long. The users of
/// NOTIFY, and the owners in the device's metadata, get it in their next batch, which waits up to
/// WAIT for company.
pub struct AlertRaise;

impl Command for AlertRaise {
    const SPEC: Spec = Spec {
        name: "alert.raise",
        summary: "Raises an alert of a device",
        complexity: "O(1) while it is suppressed, else O(N log M) in the users notified",
        since: "0.1.0",
        arity: -3,
        flags: "write deny-oom",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("alert", ArgKind::Text),
            ArgSpec::option("SEVERITY", "severity", ArgKind::Integer),
            ArgSpec::option("EVERY", "every-milliseconds", ArgKind::Integer),
            ArgSpec::option("FOR", "for-milliseconds", ArgKind::Integer),
            ArgSpec::option("KEEP", "keep-milliseconds", ArgKind::Integer),
            ArgSpec::option("WAIT", "wait-milliseconds", ArgKind::Integer),
            ArgSpec::option("DATA", "json", ArgKind::Text),
            ArgSpec {
                name: "notify",
                kind: ArgKind::Block(&[
                    ArgSpec::new("count", ArgKind::Integer),
                    ArgSpec::new("user", ArgKind::Text).optional().multiple(),
                ]),
                token: Some("NOTIFY"),
                optional: true,
                multiple: false,
            },
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        const KEYWORDS: [&str; 7] = ["SEVERITY", "EVERY", "FOR", "KEEP", "WAIT", "DATA", "NOTIFY"];
        let (id, id_key) = args.next_id_and_key()?;
        let (alert, field) = args.next_alert_and_field()?;
        let mut raise = Raise {
            severity: 1,
            every: EVERY_MS,
            ..Raise::default()
        };
        let (mut users, mut wait) = (Vec::new(), None);
        let mut seen = Vec::with_capacity(KEYWORDS.len());
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "SEVERITY" => raise.severity = args.next_severity()?,
                "EVERY" => raise.every = args.next_lasting("EVERY", 0)?,
                "FOR" => raise.hold = args.next_lasting("FOR", 0)?,
                "KEEP" => raise.keep = args.next_lasting("KEEP", 0)?,
                "WAIT" => wait = Some(args.next_lasting("WAIT", 0)?),
                "DATA" => raise.data = Some(args.next_data("DATA")?),
                _ => users = args.next_users("NOTIFY")?,
            }
        }
        args.finish()?;
        for user in &users {
            require(ctx, Access::Write, user)?;
        }

        let asked = Asked {
            alert,
            field,
            raise,
            users: &users,
            wait,
        };
        let (outcome, count) = alerts::raise(ctx, fleet, id, id_key, &asked, ctx.now_ms())?;
        ctx.reply_array(2);
        ctx.reply_bytes(outcome.name().as_bytes());
        ctx.reply_int(count);
        Ok(())
    }
}

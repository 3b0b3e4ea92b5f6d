//! `DEVICE.SHADOW.REPORT id json [NAME n] [VERSION v] [REPLACE] [SESSION n [SEQ n]]`

use super::{check_fence, reply_delta, Args, Command, FENCE_ARGS};
use crate::fleet::shadow::{self, Fence, Patch, Update};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Merges into what a device is (REPLACE: replaces it) and replies `[applied, version, delta]`. It
/// proves no life: a gateway or a back end may report for a device. `applied` is 0 when the report
/// was ignored as stale (a lower SESSION than the stored one, or a SEQ that is not above the last one
/// of the session). With VERSION only if the shadow has that version (0: there is none yet).
pub struct ShadowReport;

impl Command for ShadowReport {
    const SPEC: Spec = Spec {
        name: "device.shadow.report",
        summary: "Changes the reported document of a device's shadow",
        complexity: "O(N) in the size of the merged documents",
        since: "0.1.0",
        arity: -3,
        flags: "write deny-oom",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("json", ArgKind::Text),
            ArgSpec::option("NAME", "name", ArgKind::Text),
            ArgSpec::option("VERSION", "version", ArgKind::Integer),
            ArgSpec::flag("REPLACE", "replace"),
            FENCE_ARGS,
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        const KEYWORDS: [&str; 5] = ["NAME", "VERSION", "REPLACE", "SESSION", "SEQ"];
        let id = args.next_id()?;
        let mut patch = Patch {
            document: args.next_json("json")?,
            replace: false,
        };
        let (mut name, mut version, mut fence) = (None, None, Fence::default());
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "NAME" => name = Some(args.next_shadow_name()?),
                "VERSION" => version = Some(args.next_number("VERSION")?),
                "REPLACE" => patch.replace = true,
                "SESSION" => fence.session = Some(args.next_number("SESSION")?),
                _ => fence.seq = Some(args.next_number("SEQ")?),
            }
        }
        check_fence(fence)?;
        args.finish()?;

        let update = Update {
            reported: Some(patch),
            version,
            argument: "json",
            ..Update::default()
        };
        let outcome = shadow::report(ctx, fleet, id, name, update, fence, ctx.now_ms())?;
        ctx.reply_array(3);
        ctx.reply_int(u64::from(outcome.applied));
        ctx.reply_int(outcome.version);
        reply_delta(ctx, &outcome.delta);
        Ok(())
    }
}

//! `DEVICE.SHADOW.SET id json [NAME n] [VERSION v] [REPLACE]`

use super::{reply_delta, Args, Command};
use crate::fleet::shadow::{self, Patch, Update};
use crate::fleet::{Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Merges into what a device should be (REPLACE: replaces it) and replies `[version, delta]`: the
/// shadow's new version, and what is outstanding, as JSON, or null when the device is in sync. With
/// VERSION only if the shadow has that version (0: there is none yet).
pub struct ShadowSet;

impl Command for ShadowSet {
    const SPEC: Spec = Spec {
        name: "device.shadow.set",
        summary: "Changes the desired document of a device's shadow",
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
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let mut patch = Patch {
            document: args.next_json("json")?,
            replace: false,
        };
        let (mut name, mut version) = (None, None);
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["NAME", "VERSION", "REPLACE"], &mut seen)? {
            match keyword {
                "NAME" => name = Some(args.next_shadow_name()?),
                "VERSION" => version = Some(args.next_number("VERSION")?),
                _ => patch.replace = true,
            }
        }
        args.finish()?;

        let update = Update {
            desired: Some(patch),
            version,
            argument: "json",
            ..Update::default()
        };
        let outcome = shadow::change(ctx, fleet, id, name, update, ctx.now_ms())?;
        ctx.reply_array(2);
        ctx.reply_int(outcome.version);
        reply_delta(ctx, &outcome.delta);
        Ok(())
    }
}

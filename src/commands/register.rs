//! `DEVICE.REGISTER id type [META json]`

use super::{Args, Command};
use crate::fleet::{registry, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Registers a device, or gives a known one another type. Replies 1 when it is new, 0 when it was
/// known: then its state is kept, the type and its indexes move, and META, if given, replaces the
/// stored metadata.
pub struct Register;

impl Command for Register {
    const SPEC: Spec = Spec {
        name: "device.register",
        summary: "Registers a device, or changes the type of a known one",
        complexity: "O(1)",
        since: "0.1.0",
        arity: -3,
        flags: "write fast deny-oom",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("type", ArgKind::Text),
            ArgSpec::option("META", "json", ArgKind::Text),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let device_type = args.next_type()?;
        let mut metadata = None;
        let mut seen = Vec::new();
        while args.next_keyword(&["META"], &mut seen)?.is_some() {
            let object = args.next_json("META")?;
            metadata = Some(args.within_limit("META", &object)?);
        }
        args.finish()?;

        let is_new = registry::register(
            ctx,
            fleet,
            id,
            device_type,
            metadata.as_deref(),
            ctx.now_ms(),
        )?;
        ctx.reply_int(u64::from(is_new));
        Ok(())
    }
}

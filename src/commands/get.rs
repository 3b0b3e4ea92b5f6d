//! `DEVICE.GET id [field ...]`

use super::{reply_state, Args, Command};
use crate::fleet::{state, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The state of a device: a map of all its fields, or an array of the values of those named (null
/// for one it does not have). Null when the device is unknown.
pub struct Get;

impl Command for Get {
    const SPEC: Spec = Spec {
        name: "device.get",
        summary: "Returns the state of a device",
        complexity: "O(N) in the number of fields",
        since: "0.1.0",
        arity: -2,
        flags: "readonly fast",
        keys: Keys::First(KeyUse::Read),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("field", ArgKind::Text).optional().multiple(),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let mut fields = Vec::new();
        while args.left() > 0 {
            fields.push(args.next_bytes("field")?);
        }
        args.finish()?;

        if fields.is_empty() {
            match state::all(ctx, fleet, id)? {
                None => ctx.reply_null(),
                Some(state) => reply_state(ctx, &state),
            }
            return Ok(());
        }
        match state::fields(ctx, fleet, id, &fields)? {
            None => ctx.reply_null(),
            Some(values) => {
                ctx.reply_array(values.len());
                for value in values {
                    match value {
                        Some(value) => ctx.reply_bytes(value.bytes()),
                        None => ctx.reply_null(),
                    }
                }
            }
        }
        Ok(())
    }
}

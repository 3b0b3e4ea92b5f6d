//! `DEVICE.MGET id [id ...]`

use super::{reply_state, Args, Command};
use crate::fleet::{state, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// The states of several devices: an array of maps, null for an unknown device, in the order asked.
pub struct Mget;

impl Command for Mget {
    const SPEC: Spec = Spec {
        name: "device.mget",
        summary: "Returns the states of several devices",
        complexity: "O(N) in the number of devices and their fields",
        since: "0.1.0",
        arity: -2,
        flags: "readonly fast",
        keys: Keys::All(KeyUse::Read),
        tips: "request_policy:multi_shard",
        args: &[ArgSpec::new("id", ArgKind::Key).multiple()],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let mut states = Vec::with_capacity(args.left());
        while args.left() > 0 {
            states.push(state::all(ctx, fleet, args.next_id()?)?);
        }
        args.finish()?;

        ctx.reply_array(states.len());
        for state in &states {
            match state {
                Some(state) => reply_state(ctx, state),
                None => ctx.reply_null(),
            }
        }
        Ok(())
    }
}

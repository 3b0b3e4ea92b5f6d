//! `DEVICE.COMMAND id json [TTL ms] [DELAY ms]`

use super::{Args, Command};
use crate::fleet::device_commands::{self, New, TTL_MS};
use crate::fleet::{Error, Fleet, Result};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Queues a command for a device, which may be away, and tells the device. Replies the command's id.
/// A command that is not done within TTL (a day) goes; with DELAY it is not handed out before.
pub struct DeviceCommand;

impl Command for DeviceCommand {
    const SPEC: Spec = Spec {
        name: "device.command",
        summary: "Queues a command for a device",
        complexity: "O(1)",
        since: "0.1.0",
        arity: -3,
        flags: "write deny-oom",
        keys: Keys::First(KeyUse::Update),
        tips: "",
        args: &[
            ArgSpec::new("id", ArgKind::Key),
            ArgSpec::new("json", ArgKind::Text),
            ArgSpec::option("TTL", "ttl-milliseconds", ArgKind::Integer),
            ArgSpec::option("DELAY", "delay-milliseconds", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let id = args.next_id()?;
        let object = args.next_json("json")?;
        let command = args.within_limit("json", &object)?;
        let mut new = New {
            command: &command,
            ttl_ms: TTL_MS,
            delay_ms: 0,
        };
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["TTL", "DELAY"], &mut seen)? {
            match keyword {
                "TTL" => new.ttl_ms = args.next_lasting("TTL", 1)?,
                _ => new.delay_ms = args.next_lasting("DELAY", 0)?,
            }
        }
        args.finish()?;
        if new.delay_ms >= new.ttl_ms {
            return Err(Error::usage(
                "DELAY: the command would expire before it is handed out; TTL is not longer",
            ));
        }

        let command = device_commands::add(ctx, fleet, id, &new, ctx.now_ms())?;
        ctx.reply_bytes(command.to_string().as_bytes());
        Ok(())
    }
}

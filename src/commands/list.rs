//! `DEVICE.LIST [ONLINE | OFFLINE] [TYPE t] [OUTOFSYNC] [STALE ms] [CURSOR c] [COUNT n] [WITHSTATE]`

use super::{reply_state, require, Args, Command};
use crate::fleet::error::Error;
use crate::fleet::listing::{self, Filter};
use crate::fleet::pages::Place;
use crate::fleet::{state, Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// The devices that fit all filters, page by page as SCAN: `[next_cursor, [id ...]]`, with
/// WITHSTATE maps instead of ids; the cursor is `0` when the list is done. STALE, and
/// OFFLINE by itself, come oldest first, never-seen devices before all.
pub struct List;

pub const FILTERS: [&str; 5] = ["ONLINE", "OFFLINE", "TYPE", "OUTOFSYNC", "STALE"];

const STATUS: ArgSpec = ArgSpec::new(
    "status",
    ArgKind::OneOf(&[
        ArgSpec::flag("ONLINE", "online"),
        ArgSpec::flag("OFFLINE", "offline"),
    ]),
)
.optional();
const TYPE: ArgSpec = ArgSpec::option("TYPE", "type", ArgKind::Text);
const OUT_OF_SYNC: ArgSpec = ArgSpec::flag("OUTOFSYNC", "outofsync");
const STALE: ArgSpec = ArgSpec::option("STALE", "milliseconds", ArgKind::Integer);

pub const FILTER_ARGS: &[ArgSpec] = &[STATUS, TYPE, OUT_OF_SYNC, STALE];

/// Reads the value of a filter's keyword.
pub fn next_filter(args: &mut Args<'_>, keyword: &str, filter: &mut Filter) -> Result<()> {
    match keyword {
        "ONLINE" | "OFFLINE" if filter.online.is_some() => {
            return Err(Error::usage("ONLINE and OFFLINE exclude each other"));
        }
        "ONLINE" => filter.online = Some(true),
        "OFFLINE" => filter.online = Some(false),
        "TYPE" => filter.device_type = Some(args.next_type()?.to_owned()),
        "OUTOFSYNC" => filter.out_of_sync = true,
        _ => filter.stale = Some(args.next_ms("STALE")?),
    }
    Ok(())
}

impl Command for List {
    const SPEC: Spec = Spec {
        name: "device.list",
        summary: "Lists the devices that fit all filters, page by page",
        complexity: "O(N) in COUNT",
        since: "0.1.0",
        arity: -1,
        flags: "readonly",
        keys: Keys::None,
        tips: "request_policy:special response_policy:special nondeterministic_output_order",
        args: &[
            STATUS,
            TYPE,
            OUT_OF_SYNC,
            STALE,
            ArgSpec::option("CURSOR", "cursor", ArgKind::Text),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::flag("WITHSTATE", "withstate"),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        const KEYWORDS: [&str; 8] = [
            "ONLINE",
            "OFFLINE",
            "TYPE",
            "OUTOFSYNC",
            "STALE",
            "CURSOR",
            "COUNT",
            "WITHSTATE",
        ];
        let mut filter = Filter::default();
        let mut place = Place::START;
        let mut count = super::check::DEFAULT_COUNT;
        let mut with_state = false;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "CURSOR" => {
                    let cursor = args.next_bytes("CURSOR")?;
                    place = Place::decode(cursor, fleet.keys.are_by_slot())
                        .ok_or_else(|| Error::usage("CURSOR is none that DEVICE.LIST gave"))?;
                }
                "COUNT" => count = args.next_bounded("COUNT", 1, super::check::MAX_COUNT)?,
                "WITHSTATE" => with_state = true,
                filter_keyword => next_filter(&mut args, filter_keyword, &mut filter)?,
            }
        }
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.registered)?;

        let (next, ids) = listing::page(ctx, fleet, &filter, place, count, ctx.now_ms())?;
        ctx.reply_array(2);
        ctx.reply_bytes(next.encode().as_bytes());
        if with_state {
            let mut states = Vec::with_capacity(ids.len());
            for id in &ids {
                states.extend(state::all(ctx, fleet, id).ok().flatten());
            }
            ctx.reply_array(states.len());
            states.iter().for_each(|state| reply_state(ctx, state));
        } else {
            ctx.reply_array(ids.len());
            ids.iter().for_each(|id| ctx.reply_bytes(id.as_bytes()));
        }
        Ok(())
    }
}

//! `DEVICE.COUNT [ONLINE | OFFLINE] [TYPE t] [OUTOFSYNC] [STALE ms]`

use super::list::{next_filter, FILTERS, FILTER_ARGS};
use super::{require, Args, Command};
use crate::fleet::listing::{self, Filter};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{Keys, Spec};
use crate::store::Ctx;

/// How many devices fit the filters, exact at the moment of the call.
pub struct Count;

impl Command for Count {
    const SPEC: Spec = Spec {
        name: "device.count",
        summary: "Counts the devices that fit all filters",
        complexity: "O(1); with STALE O(N) in the online devices that may be stale, with STALE and TYPE O(N) in the stale offline ones too; OUTOFSYNC with others O(N) in those out of sync",
        since: "0.1.0",
        arity: -1,
        flags: "readonly",
        keys: Keys::None,
        tips: "request_policy:all_shards response_policy:agg_sum",
        args: FILTER_ARGS,
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let mut filter = Filter::default();
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&FILTERS, &mut seen)? {
            next_filter(&mut args, keyword, &mut filter)?;
        }
        args.finish()?;
        require(ctx, Access::Read, &fleet.keys.permission.registered)?;

        ctx.reply_int(listing::count(ctx, fleet, &filter, ctx.now_ms())?);
        Ok(())
    }
}

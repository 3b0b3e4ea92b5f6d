//! `DEVICE.EVENTS [AFTER cursor] [COUNT n] [BLOCK ms]`

use devicestate_core::event_cursor::{Cursor, Position};
use devicestate_core::queue::Id;

use super::{require, Args, Command};
use crate::fleet::event_log::{self, Page};
use crate::fleet::{Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::Ctx;

/// The events of this server behind a cursor, oldest first: `[cursor, [[id, fields] ...]]`, with the
/// cursor to go on with. Without AFTER from the oldest that is kept, with `AFTER $` from now on. BLOCK
/// waits when there is nothing (0: for ever), where a client may wait.
pub struct Events;

const COUNT: u64 = 100;
const MAX_COUNT: u64 = 10_000;

impl Command for Events {
    const SPEC: Spec = Spec {
        name: "device.events",
        summary: "Reads the events of all devices of this server, resumable by a cursor",
        complexity: "O(N) in the number of entries; in a cluster O(N*log(M)+M) with M slots that have new ones",
        since: "0.1.0",
        arity: -1,
        flags: "readonly blocking",
        keys: Keys::None,
        tips: "request_policy:special response_policy:special nondeterministic_output",
        args: &[
            ArgSpec::option("AFTER", "cursor", ArgKind::Text),
            ArgSpec::option("COUNT", "count", ArgKind::Integer),
            ArgSpec::option("BLOCK", "block", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        require(ctx, Access::Read, &fleet.keys.permission.events)?;
        let mut cursor = Cursor::all(Position::Behind(Id::ZERO));
        let mut count = COUNT;
        let mut block_ms = None;
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&["AFTER", "COUNT", "BLOCK"], &mut seen)? {
            match keyword {
                "AFTER" => cursor = args.next_event_cursor("AFTER")?,
                "COUNT" => count = args.next_bounded("COUNT", 1, MAX_COUNT)?,
                _ => block_ms = Some(args.next_lasting("BLOCK", 0)?),
            }
        }
        args.finish()?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let page = event_log::read(ctx, fleet, &cursor, count)?;
        match block_ms {
            Some(block_ms) if page.entries.is_empty() && ctx.may_block() => {
                event_log::wait(ctx, fleet, page.cursor, count, block_ms, reply);
            }
            _ => reply(ctx, &page),
        }
        Ok(())
    }
}

fn reply(ctx: &Ctx<'_>, page: &Page) {
    ctx.reply_array(2);
    ctx.reply_bytes(page.cursor.to_string().as_bytes());
    ctx.reply_array(page.entries.len());
    for entry in &page.entries {
        ctx.reply_array(2);
        ctx.reply_bytes(entry.id.text().bytes());
        ctx.reply_map(entry.pairs().count());
        for (field, value) in entry.pairs() {
            ctx.reply_bytes(field);
            ctx.reply_bytes(value);
        }
    }
}

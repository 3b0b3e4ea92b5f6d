//! `QUEUE.ADD key body [ATTR name value ...] [TTL ms] [MAXLEN n] [DELAY ms]`

use devicestate_core::escape::Quoted;

use super::{Args, Command};
use crate::fleet::error::Error;
use crate::fleet::{Fleet, Result};
use crate::queue::{self, NewMessage};
use crate::store::command::{ArgKind, ArgSpec, KeyUse, Keys, Spec};
use crate::store::Ctx;

/// Adds a message to a queue and replies its id, that of an entry of the stream. Body and attributes
/// are any bytes.
///
/// TTL is how long it may be delivered, DELAY for how long it is not. MAXLEN refuses, with
/// `-QUEUEFULL`, when the queue holds so many messages already.
pub struct QueueAdd;

/// More are refused: what a consumer reads each time should be small.
const MAX_ATTRIBUTES: usize = 64;

const KEYWORDS: [&str; 4] = ["ATTR", "TTL", "MAXLEN", "DELAY"];

impl Command for QueueAdd {
    const SPEC: Spec = Spec {
        name: "queue.add",
        summary: "Adds a message to a queue",
        complexity: "O(1); with MAXLEN on a full queue O(N) in its oldest messages, 1000 at most",
        since: "0.1.0",
        arity: -3,
        flags: "write deny-oom fast",
        keys: Keys::First(KeyUse::Update),
        tips: "nondeterministic_output",
        args: &[
            ArgSpec::new("key", ArgKind::Key),
            ArgSpec::new("body", ArgKind::Text),
            ArgSpec {
                name: "attribute",
                kind: ArgKind::Block(&[
                    ArgSpec::new("name", ArgKind::Text),
                    ArgSpec::new("value", ArgKind::Text),
                ]),
                token: Some("ATTR"),
                optional: true,
                multiple: true,
            },
            ArgSpec::option("TTL", "ttl", ArgKind::Integer),
            ArgSpec::option("MAXLEN", "maxlen", ArgKind::Integer),
            ArgSpec::option("DELAY", "delay", ArgKind::Integer),
        ],
    };

    fn run(ctx: &Ctx<'_>, fleet: &Fleet, mut args: Args<'_>) -> Result<()> {
        let key = args.next_key("key")?;
        let mut message = NewMessage {
            body: args.next_bytes("body")?,
            attributes: Vec::new(),
            ttl_ms: None,
            maxlen: None,
            delay_ms: 0,
        };
        let mut seen = Vec::new();
        while let Some(keyword) = args.next_keyword(&KEYWORDS, &mut seen)? {
            match keyword {
                "ATTR" => {
                    next_attribute(&mut args, &mut message)?;
                    // It may come again.
                    seen.retain(|keyword| *keyword != "ATTR");
                }
                "TTL" => message.ttl_ms = Some(args.next_lasting("TTL", 1)?),
                "MAXLEN" => {
                    message.maxlen = Some(args.next_bounded("MAXLEN", 1, i64::MAX as u64)?)
                }
                _ => message.delay_ms = args.next_lasting("DELAY", 0)?,
            }
        }
        args.finish()?;
        if message.ttl_ms.is_some_and(|ttl| message.delay_ms >= ttl) {
            return Err(Error::usage(
                "DELAY: the message would expire before it is delivered; TTL is not longer",
            ));
        }
        let id = queue::add(ctx, key, &message, ctx.now_ms())?;
        if ctx.selected_db() == 0 {
            // It may be the queue of a device's commands, or a stream of events.
            fleet.key_changed(ctx, "xadd", key.bytes());
            fleet.events_changed(ctx, key.bytes());
        }
        ctx.reply_bytes(id.text().bytes());
        Ok(())
    }
}

/// `name value`; a name comes once.
fn next_attribute<'a>(args: &mut Args<'a>, message: &mut NewMessage<'a>) -> Result<()> {
    let name = args.next_bytes("ATTR name")?;
    let value = args.next_bytes("ATTR value")?;
    let shown = Quoted(&name[..name.len().min(64)]);
    if name.is_empty() {
        return Err(Error::usage("ATTR: the name is empty"));
    }
    if message.attributes.iter().any(|(known, _)| *known == name) {
        return Err(Error::usage(format_args!("ATTR: {shown} is given twice")));
    }
    if message.attributes.len() == MAX_ATTRIBUTES {
        return Err(Error::usage(format_args!(
            "ATTR: more than {MAX_ATTRIBUTES} attributes"
        )));
    }
    message.attributes.push((name, value));
    Ok(())
}

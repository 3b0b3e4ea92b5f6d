//! What became of the last commands of a device: the stream `device:outcomes:<id>`.

use devicestate_core::message::Status;
use devicestate_core::queue::Id;

use crate::fleet::presence::expect;
use crate::fleet::Result;
use crate::store::{named, parse_u64, Arg, Ctx, KeyType, RString, StreamEntry};

/// How many are kept.
const KEPT: u64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done(Status),
    Cancelled,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done(status) => status.name(),
            Outcome::Cancelled => "CANCELLED",
        }
    }

    fn parse(name: &[u8]) -> Option<Outcome> {
        let known = [
            Outcome::Done(Status::Ok),
            Outcome::Done(Status::Failed),
            Outcome::Done(Status::Rejected),
            Outcome::Cancelled,
        ];
        known
            .into_iter()
            .find(|outcome| outcome.name().as_bytes() == name)
    }
}

/// A command that is over.
pub struct Finished {
    pub command_id: String,
    /// JSON text.
    pub command: String,
    pub outcome: Outcome,
    /// What the device said about it, as JSON.
    pub result: Option<String>,
    /// When, in milliseconds since the Unix epoch.
    pub finished: u64,
}

pub fn append(ctx: &Ctx<'_>, key: &RString, finished: &Finished) -> Result<()> {
    let mut args = vec![
        Arg::Str(key),
        "MAXLEN".into(),
        "=".into(),
        KEPT.into(),
        "*".into(),
    ];
    args.extend(named("command_id", finished.command_id.as_str()));
    args.extend(named("outcome", finished.outcome.name()));
    args.extend(named("finished", finished.finished));
    args.extend(named("command", finished.command.as_str()));
    if let Some(result) = &finished.result {
        args.extend(named("result", result.as_str()));
    }
    ctx.write(c"XADD", &args)?;
    Ok(())
}

/// The highest id of the commands that were over at `from` or later, by the clock that gives entries
/// their ids; `None`: there are none.
pub fn last_id(ctx: &Ctx<'_>, key: &RString, from: u64) -> Result<Option<Id>> {
    expect(ctx, key, KeyType::Stream)?;
    let from = from.to_string();
    let range = [Arg::Str(key), from.as_str().into(), "+".into()];
    let entries = ctx.read(c"XRANGE", &range)?.stream_entries();
    let ids = entries.iter().filter_map(Finished::read);
    Ok(ids
        .filter_map(|finished| Id::parse(finished.command_id.as_bytes()))
        .max())
}

/// The oldest first; what another program put there is passed over.
pub fn read(ctx: &Ctx<'_>, key: &RString) -> Result<Vec<Finished>> {
    expect(ctx, key, KeyType::Stream)?;
    let entries = ctx.read(c"XRANGE", &[Arg::Str(key), "-".into(), "+".into()])?;
    let finished = entries.stream_entries();
    Ok(finished.iter().filter_map(Finished::read).collect())
}

impl Finished {
    fn read(entry: &StreamEntry) -> Option<Finished> {
        let field = |name: &str| {
            let found = entry.fields.iter().find(|(f, _)| f == name.as_bytes());
            found.map(|(_, value)| value.as_slice())
        };
        let text = |name| {
            field(name)
                .and_then(|value| std::str::from_utf8(value).ok())
                .map(str::to_owned)
        };
        Some(Finished {
            command_id: text("command_id")?,
            command: text("command")?,
            outcome: Outcome::parse(field("outcome")?)?,
            result: text("result"),
            finished: parse_u64(field("finished")?)?,
        })
    }
}

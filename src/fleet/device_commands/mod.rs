//! Commands for devices: a queue for each device, `device:commands:<id>`, and what became of the last
//! ones.
//!
//! The queue is that of the `QUEUE` commands (`crate::queue`), with one worker: the device. What is
//! done or cancelled leaves the queue and stays readable as an [`outcomes`] entry. A queue without
//! commands is no key.

pub mod outcomes;

use devicestate_core::queue::message::Message as Queued;
use devicestate_core::queue::Id;

use super::events::{self, Message, LARGEST_IN_STREAM};
use super::presence::expect;
use super::sweeper::Trouble;
use super::{registry, settings, Device, Fleet, Result};
use crate::queue::{self, Ask, Delivery, NewMessage, State};
use crate::store::{Arg, Ctx, KeyType, RString};

use outcomes::{Finished, Outcome};

/// How long a command waits to be done unless it says otherwise: a day, in milliseconds.
pub const TTL_MS: u64 = 86_400_000;
/// How long a device has for what it took unless it says otherwise, in milliseconds.
pub const LEASE_MS: u64 = 30_000;
/// How often a command is handed out before it counts as dead.
const MAX_DELIVERIES: u64 = 5;
/// The only worker.
const DEVICE: &[u8] = b"device";

/// A command for a device.
pub struct New<'a> {
    /// A JSON object.
    pub command: &'a str,
    pub ttl_ms: u64,
    pub delay_ms: u64,
}

/// Queues a command and tells the device; returns its id.
pub fn add(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, new: &New<'_>, now: u64) -> Result<Id> {
    let mut device = Device::registered(ctx, fleet, id)?;
    let key = fleet.keys.commands(id);
    expect(ctx, &fleet.keys.of(id).events, KeyType::Stream)?;
    expect(ctx, &key, KeyType::Stream)?;
    registry::adopt_if_needed(ctx, fleet, &mut device, now)?;
    let message = NewMessage {
        body: new.command.as_bytes(),
        attributes: Vec::new(),
        ttl_ms: Some(new.ttl_ms),
        maxlen: Some(settings::COMMANDS_MAXLEN.value()),
        delay_ms: new.delay_ms,
    };
    keep_ids_apart(ctx, &key, &fleet.keys.outcomes(id))?;
    let command = queue::add(ctx, &key, &message, now)?;
    fleet.command_waits(id);
    let command_id = command.to_string();
    let mut fields: Vec<(&'static str, Arg<'_>)> = vec![("command_id", command_id.as_str().into())];
    if new.command.len() <= LARGEST_IN_STREAM {
        fields.push(("command", new.command.into()));
    }
    announce(ctx, fleet, id, &fields, now);
    let mut message = Message::new("command", id);
    message.text("command_id", &command_id);
    message.json("command", new.command);
    message.number("timestamp", now);
    message.publish(ctx, &format!("device:{id}:commands"));
    events::signal(ctx, &device, c"device.command");
    fleet.stats.commands.add(1);
    Ok(command)
}

/// A queue that is made anew knows nothing of the ids of the one before: a command that is over may
/// have got its id in this very millisecond, which lasts as long as a script does, or by a clock that
/// was set back since. The new queue goes on behind it.
fn keep_ids_apart(ctx: &Ctx<'_>, key: &RString, outcomes: &RString) -> Result<()> {
    if ctx.key_type(key) != KeyType::Missing {
        return Ok(());
    }
    let Some(last) = outcomes::last_id(ctx, outcomes, ctx.command_clock_ms())? else {
        return Ok(());
    };
    let (id, body) = (last.to_string(), devicestate_core::queue::message::BODY);
    let args = [
        Arg::Str(key),
        "MAXLEN".into(),
        "=".into(),
        0.into(),
        id.as_str().into(),
        Arg::Name(body),
        "".into(),
    ];
    ctx.write(c"XADD", &args)?;
    Ok(())
}

/// Into `devices:events`. The command is in its queue already, which is what counts.
fn announce(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, fields: &[(&'static str, Arg<'_>)], now: u64) {
    if let Err(error) = events::append(ctx, fleet, "command", id, now, fields) {
        let text = format!("a command can't be told: {error}");
        fleet.complain(ctx, Trouble::Stream, &text);
    }
}

/// Hands out commands that wait, in the order in which they were given.
pub fn take(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    count: usize,
    lease_ms: u64,
    now: u64,
) -> Result<Vec<Delivery>> {
    Device::registered(ctx, fleet, id)?;
    let ask = Ask {
        worker: DEVICE.to_vec(),
        count,
        lease_ms,
        max: MAX_DELIVERIES,
        in_flight: None,
    };
    let key = fleet.keys.commands(id);
    let mut taken = queue::get(ctx, &key, &ask, now)?.deliveries;
    taken.sort_by_key(|delivery| delivery.entry.id);
    match taken.is_empty() {
        // What was left may have expired.
        true => drop_if_empty(ctx, &key)?,
        false => ctx.touched(&RString::new(id.as_bytes())),
    }
    Ok(taken)
}

/// A command is done, or not wanted any more, whatever state it is in; false when there is none.
pub fn finish(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    command: Id,
    outcome: Outcome,
    result: Option<&str>,
    now: u64,
) -> Result<bool> {
    let device = Device::registered(ctx, fleet, id)?;
    let key = fleet.keys.commands(id);
    let outcomes = fleet.keys.outcomes(id);
    expect(ctx, &fleet.keys.of(id).events, KeyType::Stream)?;
    expect(ctx, &outcomes, KeyType::Stream)?;
    queue::check(ctx, &key)?;
    let Some(text) = read(ctx, &key, command)? else {
        return Ok(false);
    };
    let finished = Finished {
        command_id: command.to_string(),
        command: text,
        outcome,
        result: result.map(str::to_owned),
        finished: now,
    };
    // First what may still fail: a stream whose ids are used up takes nothing.
    outcomes::append(ctx, &outcomes, &finished)?;
    queue::ack(ctx, &key, &[command])?;
    drop_if_empty(ctx, &key)?;
    let mut fields: Vec<(&'static str, Arg<'_>)> = vec![
        ("command_id", finished.command_id.as_str().into()),
        ("outcome", outcome.name().into()),
    ];
    if let Some(result) = result.filter(|result| result.len() <= LARGEST_IN_STREAM) {
        fields.push(("result", result.into()));
    }
    announce(ctx, fleet, id, &fields, now);
    events::signal(ctx, &device, c"device.command");
    fleet.stats.commands_finished.add(1);
    Ok(true)
}

/// The text of a command that is in the queue.
fn read(ctx: &Ctx<'_>, key: &RString, command: Id) -> Result<Option<String>> {
    expect(ctx, key, KeyType::Stream)?;
    let id = command.to_string();
    let range = [Arg::Str(key), id.as_str().into(), id.as_str().into()];
    let entries = ctx.read(c"XRANGE", &range)?.stream_entries();
    Ok(entries.first().map(|entry| text_of(&entry.fields)))
}

/// What another program put there is shown as null.
fn text_of(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let message = Queued::read(fields.iter().map(|(f, v)| (f.as_slice(), v.as_slice())));
    let text = message.body.and_then(|body| std::str::from_utf8(body).ok());
    text.unwrap_or("null").to_owned()
}

fn drop_if_empty(ctx: &Ctx<'_>, key: &RString) -> Result<()> {
    let is_there = ctx.key_type(key) != KeyType::Missing;
    if is_there && ctx.read(c"XLEN", &[Arg::Str(key)])?.int() == 0 {
        ctx.write(c"DEL", &[Arg::Str(key)])?;
        queue::forget(ctx, key);
    }
    Ok(())
}

/// A command that is not done.
pub struct Unfinished {
    pub command_id: String,
    pub command: String,
    /// `waiting`, `delayed`, `taken` or `dead`.
    pub state: &'static str,
    pub deliveries: u64,
    /// Until it is handed out (again), in milliseconds.
    pub left_ms: Option<u64>,
    /// When it was given.
    pub added: u64,
}

/// The commands of a device that are not done, in the order in which they were given, and the
/// outcomes of the last ones, the oldest first.
pub fn list(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    now: u64,
) -> Result<(Vec<Unfinished>, Vec<Finished>)> {
    Device::registered(ctx, fleet, id)?;
    let key = fleet.keys.commands(id);
    expect(ctx, &key, KeyType::Stream)?;
    let rows = queue::pending(ctx, &key, settings::MAX_COMMANDS, now)?;
    let entries = ctx.read(c"XRANGE", &[Arg::Str(&key), "-".into(), "+".into()])?;
    let unfinished = entries.stream_entries().into_iter().filter_map(|entry| {
        let id = Id::parse(&entry.id)?;
        let row = rows
            .binary_search_by_key(&id, |row| row.id)
            .ok()
            .map(|at| &rows[at]);
        Some(Unfinished {
            command_id: id.to_string(),
            command: text_of(&entry.fields),
            state: match row.map(|row| row.state) {
                Some(State::Leased) => "taken",
                Some(State::Delayed) => "delayed",
                Some(State::Dead) => "dead",
                Some(State::Ready) | None => "waiting",
            },
            deliveries: row.map_or(0, |row| row.deliveries),
            left_ms: row.and_then(|row| row.left_ms).filter(|left| *left > 0),
            added: id.ms,
        })
    });
    Ok((
        unfinished.collect(),
        outcomes::read(ctx, &fleet.keys.outcomes(id))?,
    ))
}

/// How many commands a device could take now. A key of another type holds none.
pub fn waiting(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, now: u64) -> u64 {
    let key = fleet.keys.commands(id);
    if ctx.key_type(&key) != KeyType::Stream {
        fleet.no_command_waits(id);
        return 0;
    }
    queue::count_ready(ctx, &key, now).unwrap_or(0)
}

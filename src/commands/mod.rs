//! The commands, one per file: its grammar, a call into the fleet, its reply.
//!
//! [`register_all`] is the table of them; registration, `COMMAND DOCS`, key specifications and ACL
//! all derive from each command's [`Spec`].

mod alert_ack;
mod alert_batch;
mod alert_clear;
mod alert_done;
mod alert_due;
mod alert_list;
mod alert_notify;
mod alert_raise;
mod alert_rule_del;
mod alert_rule_list;
mod alert_rule_set;
mod args;
mod check;
mod command;
mod command_cancel;
mod command_done;
mod command_list;
mod command_take;
mod count;
mod delta;
mod events;
mod get;
mod heartbeat;
mod history;
mod ingest;
mod list;
mod mget;
mod offline;
mod queue_ack;
mod queue_add;
mod queue_get;
mod queue_kick;
mod queue_nack;
mod queue_pending;
mod queue_stat;
mod queue_touch;
mod register;
mod remove;
mod shadow_del;
mod shadow_get;
mod shadow_names;
mod shadow_report;
mod shadow_set;
mod shadow_update;
mod throttle_hit;
mod type_del;
mod type_get;
mod type_list;
mod type_set;
mod why;

use crate::fleet::shadow::Fence;
use crate::fleet::{self, Error, Fleet, Result};
use crate::store::acl::Access;
use crate::store::command::{ArgKind, ArgSpec, Keys, Spec};
use crate::store::{Ctx, Handler, RString, RawArgs};

use args::Args;

/// A command: what the server should know of it, and what it does.
pub trait Command {
    const SPEC: Spec;

    /// Parses, acts, and writes the reply, unless it returns an error: then nothing was changed.
    fn run(ctx: &Ctx<'_>, fleet: &Fleet, args: Args<'_>) -> Result<()>;
}

/// Registers every command; says what failed.
pub fn register_all(ctx: &Ctx<'_>) -> std::result::Result<(), String> {
    add::<register::Register>(ctx)?;
    add::<remove::Remove>(ctx)?;
    add::<heartbeat::Heartbeat>(ctx)?;
    add::<offline::Offline>(ctx)?;
    add::<get::Get>(ctx)?;
    add::<mget::Mget>(ctx)?;
    add::<list::List>(ctx)?;
    add::<count::Count>(ctx)?;
    add::<events::Events>(ctx)?;
    add::<type_set::TypeSet>(ctx)?;
    add::<type_get::TypeGet>(ctx)?;
    add::<type_del::TypeDel>(ctx)?;
    add::<type_list::TypeList>(ctx)?;
    add::<why::Why>(ctx)?;
    add::<check::Check>(ctx)?;
    add::<shadow_set::ShadowSet>(ctx)?;
    add::<shadow_report::ShadowReport>(ctx)?;
    add::<shadow_update::ShadowUpdate>(ctx)?;
    add::<shadow_get::ShadowGet>(ctx)?;
    add::<shadow_del::ShadowDel>(ctx)?;
    add::<shadow_names::ShadowNames>(ctx)?;
    add::<delta::Delta>(ctx)?;
    add::<history::History>(ctx)?;
    add::<ingest::Ingest>(ctx)?;
    add::<command::DeviceCommand>(ctx)?;
    add::<command_take::CommandTake>(ctx)?;
    add::<command_done::CommandDone>(ctx)?;
    add::<command_cancel::CommandCancel>(ctx)?;
    add::<command_list::CommandList>(ctx)?;
    add::<alert_raise::AlertRaise>(ctx)?;
    add::<alert_clear::AlertClear>(ctx)?;
    add::<alert_ack::AlertAck>(ctx)?;
    add::<alert_list::AlertList>(ctx)?;
    add::<alert_rule_set::AlertRuleSet>(ctx)?;
    add::<alert_rule_del::AlertRuleDel>(ctx)?;
    add::<alert_rule_list::AlertRuleList>(ctx)?;
    add::<alert_notify::AlertNotify>(ctx)?;
    add::<alert_batch::AlertBatch>(ctx)?;
    add::<alert_done::AlertDone>(ctx)?;
    add::<alert_due::AlertDue>(ctx)?;
    add_anywhere::<throttle_hit::ThrottleHit>(ctx)?;
    add_anywhere::<queue_add::QueueAdd>(ctx)?;
    add_anywhere::<queue_get::QueueGet>(ctx)?;
    add_anywhere::<queue_ack::QueueAck>(ctx)?;
    add_anywhere::<queue_nack::QueueNack>(ctx)?;
    add_anywhere::<queue_touch::QueueTouch>(ctx)?;
    add_anywhere::<queue_kick::QueueKick>(ctx)?;
    add_anywhere::<queue_pending::QueuePending>(ctx)?;
    add_anywhere::<queue_stat::QueueStat>(ctx)
}

fn add<C: Command>(ctx: &Ctx<'_>) -> std::result::Result<(), String> {
    ctx.register::<InDatabaseZero<C>>(&C::SPEC)
}

fn add_anywhere<C: Command>(ctx: &Ctx<'_>) -> std::result::Result<(), String> {
    ctx.register::<InAnyDatabase<C>>(&C::SPEC)
}

/// Commands of devices and alerts work in database 0: their indexes and timers live there.
struct InDatabaseZero<C>(std::marker::PhantomData<C>);

impl<C: Command> Handler for InDatabaseZero<C> {
    fn handle(ctx: &Ctx<'_>, raw: RawArgs<'_>) {
        if ctx.selected_db() != 0 {
            ctx.reply_error("ERR DEVICE and ALERT commands work in database 0 only");
        } else if !may_touch::<C>(ctx, raw) {
            ctx.reply_error("TRYAGAIN the slot of this device is on its way to another node");
        } else {
            run::<C>(ctx, raw);
        }
    }
}

/// Whether the slot of what this command names stays here meanwhile. A replica only reads, and its master
/// decides.
fn may_touch<C: Command>(ctx: &Ctx<'_>, raw: RawArgs<'_>) -> bool {
    match C::SPEC.keys {
        Keys::None | Keys::User => return true,
        Keys::First(_) | Keys::All(_) => {}
    }
    let is_settled = |fleet: &Fleet| {
        if !fleet.keys.are_by_slot() {
            return true;
        }
        // Several keys are in one slot, or the server refuses the command. What is no name is refused later.
        let name = raw.get(1).and_then(|name| std::str::from_utf8(name).ok());
        name.is_none_or(|name| fleet.is_settled(ctx, name)) || !ctx.flags().is_master()
    };
    fleet::with(is_settled).unwrap_or(true)
}

/// Throttles and queues know nothing of devices.
struct InAnyDatabase<C>(std::marker::PhantomData<C>);

impl<C: Command> Handler for InAnyDatabase<C> {
    fn handle(ctx: &Ctx<'_>, raw: RawArgs<'_>) {
        run::<C>(ctx, raw);
    }
}

fn run<C: Command>(ctx: &Ctx<'_>, raw: RawArgs<'_>) {
    let result = fleet::with(|fleet| C::run(ctx, fleet, Args::new(raw)))
        .unwrap_or_else(|| Err(Error::usage("devicestate is not loaded yet")));
    if let Err(error) = result {
        ctx.reply_error(&error.to_string());
    }
}

/// For commands whose key the server can't see: the user needs this permission on it.
fn require(ctx: &Ctx<'_>, access: Access, key: &RString) -> Result<()> {
    if ctx.may(access, key) {
        Ok(())
    } else {
        Err(Error::no_permission(key.bytes()))
    }
}

/// The same for a user, where the server can't see that it is one.
fn require_user(ctx: &Ctx<'_>, user: &str) -> Result<()> {
    match ctx.flags().is_cluster() {
        true => require(ctx, Access::Write, &user_key(user)),
        false => Ok(()),
    }
}

/// A user as a key: what ACL patterns match.
fn user_key(user: &str) -> RString {
    RString::new(user.as_bytes())
}

/// A device as a map of all its fields.
fn reply_state(ctx: &Ctx<'_>, state: &fleet::state::State) {
    ctx.reply_map(state.len());
    for (field, value) in state {
        ctx.reply_bytes(field);
        ctx.reply_bytes(value);
    }
}

/// `[SESSION n [SEQ n]]`.
const FENCE_ARGS: ArgSpec = ArgSpec::new(
    "fence",
    ArgKind::Block(&[
        ArgSpec {
            name: "session",
            kind: ArgKind::Integer,
            token: Some("SESSION"),
            optional: false,
            multiple: false,
        },
        ArgSpec::option("SEQ", "seq", ArgKind::Integer),
    ]),
)
.optional();

/// A sequence number counts within its session.
fn check_fence(fence: Fence) -> Result<()> {
    if fence.seq.is_some() && fence.session.is_none() {
        return Err(Error::usage("SEQ goes with SESSION"));
    }
    Ok(())
}

/// `id [NAME n]`: a shadow.
const SHADOW_ARGS: &[ArgSpec] = &[
    ArgSpec::new("id", ArgKind::Key),
    ArgSpec::option("NAME", "name", ArgKind::Text),
];

/// `[NAME n]` as the only option.
fn next_name<'a>(args: &mut Args<'a>) -> Result<fleet::shadow::Name<'a>> {
    let mut name = None;
    let mut seen = Vec::new();
    while args.next_keyword(&["NAME"], &mut seen)?.is_some() {
        name = Some(args.next_shadow_name()?);
    }
    Ok(name)
}

/// What a device is told about its heartbeat.
fn reply_beat(ctx: &Ctx<'_>, outcome: &fleet::heartbeat::Outcome) {
    ctx.reply_array(5);
    ctx.reply_int(u64::from(outcome.came_online));
    ctx.reply_int(u64::from(outcome.applied));
    ctx.reply_int(outcome.version);
    match &outcome.delta {
        Some(delta) => ctx.reply_bytes(delta.bytes()),
        None => ctx.reply_null(),
    }
    ctx.reply_int(outcome.commands);
}

/// An outstanding delta as JSON; null when there is none.
fn reply_delta(ctx: &Ctx<'_>, delta: &str) {
    match delta {
        "" => ctx.reply_null(),
        delta => ctx.reply_bytes(delta.as_bytes()),
    }
}

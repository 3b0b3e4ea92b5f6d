//! Loading the module: what it needs of the server, in which order things start.

use crate::fleet::{self, definitions, event_log, settings, Fleet};
use crate::store::events::{Listener, Replaced};
use crate::store::settings::Setting;
use crate::store::{monotonic_ms, Ctx, Level, RString, RawArgs, SlotWatcher};
use crate::{commands, info, queue};

/// As `MODULE LIST` shows it: 0.1.0.
pub const VERSION_NUMBER: i32 = 100;

/// Above these, the server turns the hash of a device with a small document into a hash table,
/// which takes more than twice the memory.
const WANTED_LISTPACK_BYTES: u64 = 1_024;

/// Starts everything, or says in one line why not.
pub fn load(ctx: &Ctx<'_>, args: RawArgs<'_>) -> Result<(), String> {
    if let Some(missing) = ctx.missing_api() {
        return Err(format!(
            "this server is too old: devicestate needs Redis 7.0 or Valkey 7.2 or newer \
             ({missing} is missing)"
        ));
    }
    let is_cluster = ctx.flags().is_cluster();
    apply_arguments(ctx, args, is_cluster)?;
    ctx.load_settings()?;
    ctx.set_options();
    fleet::start(is_cluster);
    fleet::with(|fleet| fleet.look_at_events(ctx));
    commands::register_all(ctx)?;
    ctx.register_info::<info::Section>();
    ctx.listen::<Changes>()?;
    ctx.receive::<definitions::exchange::Ears>();
    advise(ctx);
    if is_cluster {
        ctx.watch_slots::<Slots>()?;
    }
    Ok(())
}

/// A module whose clock ticks stays (the server refuses before it asks). One that was loaded a moment
/// ago goes again: a server that finds fault with a load (with settings of `MODULE LOADEX` that are
/// nobody's) unloads in the same step, and crashes where it can't.
pub fn unload() -> Result<(), &'static str> {
    if fleet::with(Fleet::is_ticking) == Some(true) {
        return Err("its timer and listeners run as long as the server does");
    }
    fleet::end();
    queue::end();
    Ok(())
}

/// `loadmodule` arguments are settings, `name value` each: the values they have unless the
/// configuration file names others.
fn apply_arguments(ctx: &Ctx<'_>, args: RawArgs<'_>, is_cluster: bool) -> Result<(), String> {
    for setting in settings::ALL {
        // An earlier load that failed may have left something behind.
        setting.reset();
    }
    if is_cluster {
        // A cluster carries what is published to every node, and applied reports are many.
        settings::STATUS_CHANNEL.set(b"")?;
    }
    let quoted = |bytes| devicestate_core::escape::Quoted(bytes);
    for index in (0..args.len()).step_by(2) {
        let name = args.get(index).unwrap_or_default();
        let setting = settings::ALL
            .iter()
            .find(|setting| setting.name().as_bytes().eq_ignore_ascii_case(name))
            .ok_or_else(|| format!("unknown setting {}", quoted(name)))?;
        let value = args
            .get(index + 1)
            .ok_or_else(|| format!("{} has no value", setting.name()))?;
        setting.set(value)?;
    }
    for setting in settings::ALL {
        ctx.register_setting(setting, &setting.get())?;
    }
    Ok(())
}

/// One line for each server setting that costs much and is easily changed.
fn advise(ctx: &Ctx<'_>) {
    let number = |name: &str| {
        let reply = ctx.read(c"CONFIG", &["GET".into(), name.into()]).ok()?;
        crate::store::parse_u64(reply.at(1)?)
    };
    if number("hash-max-listpack-value").is_some_and(|bytes| bytes < WANTED_LISTPACK_BYTES) {
        ctx.log(
            Level::Notice,
            "hash-max-listpack-value is small: devices with documents will take more \
             than twice the memory; redis.conf.example sets 4096",
        );
    }
    warn_of_eviction(ctx);
}

const EVICTION: &str = "maxmemory-policy";

fn warn_of_eviction(ctx: &Ctx<'_>) {
    let policy = ctx.read(c"CONFIG", &["GET".into(), EVICTION.into()]).ok();
    let evicts_all = policy.and_then(|reply| reply.at(1).map(|p| p.starts_with(b"allkeys")));
    if evicts_all == Some(true) {
        ctx.log(
            Level::Warning,
            "maxmemory-policy evicts any key, devices too; use noeviction",
        );
    }
}

/// Keeps what is remembered of slots in step with the operator.
struct Slots;

impl SlotWatcher for Slots {
    fn slots_move() {
        fleet::with(Fleet::forget_slots);
    }
}

/// Keeps what is remembered in step with keys that change outside our commands.
struct Changes;

impl Listener for Changes {
    fn key_changed(ctx: &Ctx<'_>, event: &str, key: &[u8]) {
        fleet::with(|fleet| {
            fleet.key_changed(ctx, event, key);
            fleet.events_changed(ctx, key);
        });
    }

    fn stream_changed(ctx: &Ctx<'_>, key: &RString) {
        queue::forget(ctx, key);
    }

    fn data_replaced(ctx: &Ctx<'_>, what: Replaced) {
        fleet::with(|fleet| fleet.data_replaced(what));
        if what == Replaced::Loaded {
            // Before the first report comes that a rule is about.
            ctx.select_db(0);
            fleet::with(|fleet| {
                fleet.definitions.look(ctx, fleet, monotonic_ms());
                fleet.look_at_events(ctx);
            });
        }
        if matches!(what, Replaced::Loaded | Replaced::Swapped) {
            // The streams that came with it.
            fleet::with(|fleet| fleet.event_log.wake(ctx));
        }
        queue::forget_all(ctx);
    }

    fn role_changed(ctx: &Ctx<'_>) {
        fleet::with(|fleet| {
            fleet.role_changed();
            fleet.event_log.wake(ctx);
            if ctx.flags().is_master() {
                fleet.look_at_events(ctx);
            }
        });
        queue::forget_all(ctx);
    }

    fn setting_changed(ctx: &Ctx<'_>, name: &str) {
        if name == EVICTION {
            warn_of_eviction(ctx);
        }
    }

    fn runs(ctx: &Ctx<'_>) {
        fleet::with(|fleet| {
            fleet.keep_ticking(ctx);
            event_log::notice_slots(ctx, fleet);
        });
    }
}

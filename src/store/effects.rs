//! The writes that every report and every change of a shadow makes, through the key API: a call of
//! the command costs more than twice as much (`benches/shadow.rs`). What is replicated is the same
//! command. In a timer they are calls all the same, for the checks that a call asks for.

use std::ffi::CStr;

use devicestate_core::queue::Id;
use redis_module::raw;

use super::call::{named, ArgV};
use super::followers::{has_replicas, is_followed};
use super::stream::first_choice;
use super::{api, Arg, CallError, Ctx, KeyType, RString};

pub(super) const WRITE: i32 = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;

impl Ctx<'_> {
    /// Sets fields of a hash: fields and values.
    pub fn hset(&self, key: &RString, fields: &[Arg<'_>]) -> Result<(), CallError> {
        if self.is_timer {
            let args = [&[Arg::Str(key)], fields].concat();
            return self.write(c"HSET", &args).map(drop);
        }
        self.set_fields(key, fields)?;
        self.notify_hset(key);
        self.touched(key);
        Ok(())
    }

    /// SAFETY (for callers): the strings are live.
    pub(super) unsafe fn write_fields(
        &self,
        key: &RString,
        fields: &[*mut raw::RedisModuleString],
    ) -> Result<(), CallError> {
        // SAFETY: live context and strings; the handle is closed before anything else happens. The
        // type is checked, and each call sets up to three pairs, ended by null.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
            let kind = KeyType::of(handle);
            if !matches!(kind, KeyType::Hash | KeyType::Missing) {
                api!(RedisModule_CloseKey)(handle);
                return Err(CallError::wrong_type());
            }
            let (set, none) = (api!(RedisModule_HashSet), raw::REDISMODULE_HASH_NONE as i32);
            let end = std::ptr::null_mut::<raw::RedisModuleString>();
            for pairs in fields.chunks(6) {
                match pairs {
                    [a, b, c, d, e, f] => set(handle, none, *a, *b, *c, *d, *e, *f, end),
                    [a, b, c, d] => set(handle, none, *a, *b, *c, *d, end),
                    [a, b] => set(handle, none, *a, *b, end),
                    _ => 0,
                };
            }
            api!(RedisModule_CloseKey)(handle);
        }
        Ok(())
    }

    /// Appends an entry to a stream that keeps about `maxlen` of them. Its id begins with `now_ms`,
    /// unless the stream is ahead of that.
    pub fn xadd(
        &self,
        key: &RString,
        maxlen: u64,
        now_ms: u64,
        fields: &[Arg<'_>],
    ) -> Result<(), CallError> {
        if self.is_timer {
            return self.call_xadd(key, maxlen, "*".into(), fields).map(drop);
        }
        let id = first_choice(now_ms);
        self.add_and_trim(key, maxlen, id, fields).map(drop)
    }

    /// The same with this id, unless the stream is ahead of it; which one it was given.
    pub fn xadd_as(
        &self,
        key: &RString,
        maxlen: u64,
        id: Id,
        fields: &[Arg<'_>],
    ) -> Result<Id, CallError> {
        if !self.is_timer {
            return self.add_and_trim(key, maxlen, id, fields);
        }
        self.call_xadd(key, maxlen, Arg::Id(id), fields)
            .or_else(|error| match error.0.contains("equal or smaller") {
                true => self.call_xadd(key, maxlen, "*".into(), fields),
                false => Err(error),
            })
    }

    fn call_xadd(
        &self,
        key: &RString,
        maxlen: u64,
        id: Arg<'_>,
        fields: &[Arg<'_>],
    ) -> Result<Id, CallError> {
        let trim = ["MAXLEN".into(), "~".into(), maxlen.into(), id];
        let args = [&[Arg::Str(key)], &trim[..], fields].concat();
        let reply = self.write(c"XADD", &args)?;
        Ok(reply.bytes().and_then(Id::parse).unwrap_or(Id::ZERO))
    }

    fn add_and_trim(
        &self,
        key: &RString,
        maxlen: u64,
        id: Id,
        fields: &[Arg<'_>],
    ) -> Result<Id, CallError> {
        let mut args = ArgV::new(fields);
        let stream = self
            .open_to_append(key)
            .map_err(|_| CallError::wrong_type())?;
        let id = stream.add(id, &mut args);
        let kept = id.and_then(|_| stream.trim(maxlen));
        drop(stream);
        let id = id.ok_or_else(CallError::no_more_ids)?;
        self.replicate_xadd(key, id, kept, &args);
        self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xadd", key);
        if kept.is_some() {
            self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xtrim", key);
        }
        self.touched(key);
        Ok(id)
    }

    /// Replicates an entry that was appended, and that so many of the stream were kept if any was
    /// trimmed: what was trimmed goes there too, and no more.
    pub(super) fn replicate_xadd(&self, key: &RString, id: Id, kept: Option<u64>, fields: &ArgV) {
        if !is_followed() {
            return self.count_change();
        }
        let mut args = vec![Arg::Str(key)];
        if let Some(kept) = kept {
            args.extend(named("MAXLEN", "="));
            args.push(kept.into());
        }
        args.push(id.into());
        let args = ArgV::new(&args);
        // SAFETY: `args` and `fields` live.
        unsafe { self.replicate_argv(c"XADD", &[args.raw(), fields.raw()].concat()) };
    }

    /// Publishes a message, to subscribers of replicas too. (An append-only file holds no messages.)
    pub fn publish(&self, channel: &str, message: &str) {
        self.publish_on(&RString::new(channel.as_bytes()), message);
    }

    /// The same on a channel whose name is at hand.
    pub fn publish_on(&self, channel: &RString, message: &str) {
        let message = RString::new(message.as_bytes());
        if has_replicas() {
            // Nobody can be told if it fails.
            let _ = self.write(c"PUBLISH", &[channel.into(), Arg::Str(&message)]);
            return;
        }
        // SAFETY: live context and strings.
        unsafe {
            let publish = api!(RedisModule_PublishMessage);
            publish(self.raw, channel.as_ptr(), message.as_ptr());
        }
    }

    /// Replicates `HSET key field value` for a change made through a [`super::HashKey`].
    pub fn replicate_hset(&self, key: &RString, field: &RString, value: &RString) {
        if !is_followed() {
            return self.count_change();
        }
        // SAFETY: live context; the format names three live strings.
        unsafe {
            api!(RedisModule_Replicate)(
                self.raw,
                c"HSET".as_ptr(),
                c"sss".as_ptr(),
                key.as_ptr(),
                field.as_ptr(),
                value.as_ptr(),
            );
        }
    }

    /// Replicates a command whose effect was made through the key API.
    pub(super) fn replicate(&self, command: &CStr, args: &[Arg<'_>]) {
        if !is_followed() {
            return self.count_change();
        }
        let args = ArgV::new(args);
        // SAFETY: `args` lives.
        unsafe { self.replicate_argv(command, args.raw()) };
    }

    /// SAFETY (for callers): the strings are live.
    pub(super) unsafe fn replicate_argv(
        &self,
        command: &CStr,
        argv: &[*mut raw::RedisModuleString],
    ) {
        if !is_followed() {
            return self.count_change();
        }
        let (argv, length) = (argv.as_ptr(), argv.len());
        // SAFETY: live context; a vector of live strings, as the caller promises, and its length.
        unsafe {
            api!(RedisModule_Replicate)(self.raw, command.as_ptr(), c"v".as_ptr(), argv, length);
        }
    }

    /// Instead of replicating to nobody: the server drops it, and counts the change towards the next
    /// RDB file. (In a timer there is no command to drop; its calls count.)
    pub(super) fn count_change(&self) {
        if self.is_timer {
            return;
        }
        // SAFETY: a live context.
        unsafe { api!(RedisModule_ReplicateVerbatim)(self.raw) };
    }
}

//! The writes that every report and every change of a shadow makes, through the key API: a call of
//! the command costs more than twice as much (`benches/shadow.rs`). What is replicated is the same
//! command. In a timer they are calls all the same, for the checks that a call asks for.

use std::cell::Cell;

use redis_module::raw;

use super::call::{pair, ArgV};
use super::followers::is_followed;
use super::{api, Arg, CallError, Ctx, KeyType, RString};

const WRITE: i32 = (raw::REDISMODULE_READ | raw::REDISMODULE_WRITE) as i32;

/// The second part of the ids of entries of the same millisecond, of whatever stream.
pub fn next_sequence(now_ms: u64) -> u64 {
    thread_local!(static LAST: Cell<(u64, u64)> = const { Cell::new((0, 0)) });
    let sequence = match LAST.get() {
        (ms, sequence) if ms == now_ms => sequence + 1,
        _ => 0,
    };
    LAST.set((now_ms, sequence));
    sequence
}

impl Ctx<'_> {
    /// Sets fields of a hash: fields and values.
    pub fn hset(&self, key: &RString, fields: &[Arg<'_>]) -> Result<(), CallError> {
        if self.is_timer {
            let args = [&[Arg::Str(key)], fields].concat();
            return self.write(c"HSET", &args).map(drop);
        }
        let args = ArgV::new(fields);
        // SAFETY: live context and strings; the handle is closed before anything else happens. The
        // type is checked, and each call sets one pair, ended by null.
        unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
            let kind = KeyType::of(handle);
            if !matches!(kind, KeyType::Hash | KeyType::Missing) {
                api!(RedisModule_CloseKey)(handle);
                return Err(CallError::wrong_type());
            }
            for pair in args.raw().chunks_exact(2) {
                api!(RedisModule_HashSet)(
                    handle,
                    raw::REDISMODULE_HASH_NONE as i32,
                    pair[0],
                    pair[1],
                    std::ptr::null_mut::<raw::RedisModuleString>(),
                );
            }
            api!(RedisModule_CloseKey)(handle);
        }
        self.replicate(c"HSET", &[&[Arg::Str(key)], fields].concat());
        self.notify_class(raw::REDISMODULE_NOTIFY_HASH, c"hset", key);
        self.touched(key);
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
            let trim = ["MAXLEN".into(), "~".into(), maxlen.into(), "*".into()];
            let args = [&[Arg::Str(key)], &trim[..], fields].concat();
            return self.write(c"XADD", &args).map(drop);
        }
        let args = ArgV::new(fields);
        let mut id = raw::RedisModuleStreamID {
            ms: now_ms,
            seq: next_sequence(now_ms),
        };
        let maxlen = i64::try_from(maxlen).unwrap_or(i64::MAX);
        // SAFETY: live context and strings; the handle is closed before anything else happens. The
        // type is checked; `args` are pairs of field and value.
        let kept = unsafe {
            let handle = api!(RedisModule_OpenKey)(self.raw, key.as_ptr(), WRITE);
            let kind = KeyType::of(handle);
            if !matches!(kind, KeyType::Stream | KeyType::Missing) {
                api!(RedisModule_CloseKey)(handle);
                return Err(CallError::wrong_type());
            }
            let mut argv = args.raw().to_vec();
            let pairs = (argv.len() / 2) as i64;
            let mut add = |flags: u32| {
                let add = api!(RedisModule_StreamAdd);
                add(handle, flags as i32, &mut id, argv.as_mut_ptr(), pairs)
                    == raw::REDISMODULE_OK as i32
            };
            // The stream may be ahead: the clock was set back, or others append to it.
            let added = (now_ms > 0 && add(0)) || add(raw::REDISMODULE_STREAM_ADD_AUTOID);
            let mut kept = None;
            if added {
                let flags = raw::REDISMODULE_STREAM_TRIM_APPROX as i32;
                if api!(RedisModule_StreamTrimByLength)(handle, flags, maxlen) > 0 {
                    kept = Some(api!(RedisModule_ValueLength)(handle) as u64);
                }
            }
            api!(RedisModule_CloseKey)(handle);
            if !added {
                return Err(CallError::no_more_ids());
            }
            kept
        };
        let id = format!("{}-{}", id.ms, id.seq);
        let mut replicated = vec![Arg::Str(key)];
        // What was trimmed goes there too, and no more.
        if let Some(kept) = kept {
            replicated.extend(pair("MAXLEN", "="));
            replicated.push(kept.into());
        }
        replicated.push(id.as_str().into());
        replicated.extend_from_slice(fields);
        self.replicate(c"XADD", &replicated);
        self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xadd", key);
        if kept.is_some() {
            self.notify_class(raw::REDISMODULE_NOTIFY_STREAM, c"xtrim", key);
        }
        self.touched(key);
        Ok(())
    }

    /// Publishes a message, to subscribers of replicas too.
    pub fn publish(&self, channel: &str, message: &str) {
        let args = [channel.into(), message.into()];
        if self.is_timer || is_followed() {
            // Nobody can be told if it fails.
            let _ = self.write(c"PUBLISH", &args);
            return;
        }
        let args = ArgV::new(&args);
        if let [channel, message] = args.raw() {
            // SAFETY: live context and strings.
            unsafe { api!(RedisModule_PublishMessage)(self.raw, *channel, *message) };
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
    pub(super) fn replicate(&self, command: &std::ffi::CStr, args: &[Arg<'_>]) {
        if !is_followed() {
            return self.count_change();
        }
        let args = ArgV::new(args);
        let (argv, length) = (args.raw().as_ptr(), args.raw().len());
        // SAFETY: live context; a vector of live strings and its length.
        unsafe {
            api!(RedisModule_Replicate)(self.raw, command.as_ptr(), c"v".as_ptr(), argv, length);
        }
    }

    /// Instead of replicating to nobody: the server drops it, and counts the change towards the next
    /// RDB file.
    fn count_change(&self) {
        // SAFETY: a live context.
        unsafe { api!(RedisModule_ReplicateVerbatim)(self.raw) };
    }
}

//! Calling the server's own commands.

use std::cell::Cell;
use std::ffi::CStr;
use std::fmt;

use devicestate_core::queue::Id;
use redis_module::raw;

use super::answer::Reply;
use super::names::string_of;
use super::{api, Ctx, RString};

/// One argument of a call.
#[derive(Clone, Copy)]
pub enum Arg<'a> {
    Str(&'a RString),
    Bytes(&'a [u8]),
    /// A constant of the program's, made into a string once.
    Name(&'static str),
    Int(u64),
    Id(Id),
}

impl From<Id> for Arg<'_> {
    fn from(value: Id) -> Self {
        Arg::Id(value)
    }
}

impl<'a> From<&'a RString> for Arg<'a> {
    fn from(value: &'a RString) -> Arg<'a> {
        Arg::Str(value)
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(value: &'a str) -> Arg<'a> {
        Arg::Bytes(value.as_bytes())
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(value: &'a [u8]) -> Arg<'a> {
        Arg::Bytes(value)
    }
}

impl From<u64> for Arg<'_> {
    fn from(value: u64) -> Self {
        Arg::Int(value)
    }
}

/// A field and its value.
pub fn pair<'a>(field: impl Into<Arg<'a>>, value: impl Into<Arg<'a>>) -> [Arg<'a>; 2] {
    [field.into(), value.into()]
}

/// A field of a constant name and its value.
pub fn named<'a>(field: &'static str, value: impl Into<Arg<'a>>) -> [Arg<'a>; 2] {
    [Arg::Name(field), value.into()]
}

thread_local!(static DOING: Cell<Doing> = const { Cell::new(Doing::Nothing) });

/// What this module is doing while the server sends keyspace events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    /// A command of our own runs: what it changes is no news to us (but it may find keys expired).
    Calling,
    /// We send the event ourselves.
    Notifying,
}

impl Doing {
    pub(super) fn now() -> Doing {
        DOING.get()
    }

    /// Until the result is dropped.
    pub(super) fn begin(self) -> impl Drop {
        struct Until(Doing);
        impl Drop for Until {
            fn drop(&mut self) {
                DOING.set(self.0);
            }
        }
        Until(DOING.replace(self))
    }
}

/// Arguments as strings of the server's, which live as long as this does.
pub(super) struct ArgV {
    raw: Vec<*mut raw::RedisModuleString>,
    made: Vec<RString>,
}

impl ArgV {
    pub(super) fn new(args: &[Arg<'_>]) -> ArgV {
        let mut argv = ArgV {
            raw: Vec::with_capacity(args.len()),
            made: Vec::with_capacity(args.len()),
        };
        argv.refill(args);
        argv
    }

    /// These arguments instead, in the memory of those before.
    pub(super) fn refill(&mut self, args: &[Arg<'_>]) {
        self.raw.clear();
        self.made.clear();
        for arg in args {
            let string = match arg {
                Arg::Str(string) => {
                    self.raw.push(string.as_ptr());
                    continue;
                }
                Arg::Name(name) => {
                    self.raw.push(string_of(name));
                    continue;
                }
                Arg::Bytes(bytes) => RString::new(bytes),
                Arg::Int(value) => RString::from_int(*value),
                Arg::Id(id) => RString::from_id(*id),
            };
            self.raw.push(string.as_ptr());
            self.made.push(string);
        }
    }

    pub(super) fn raw(&self) -> &[*mut raw::RedisModuleString] {
        &self.raw
    }

    /// For functions of the API that take them so, and change nothing.
    pub(super) fn raw_mut(&mut self) -> &mut [*mut raw::RedisModuleString] {
        &mut self.raw
    }
}

/// The error a called command answered, code first, as the server writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError(pub String);

impl CallError {
    /// In the server's words, as the next one.
    pub(super) fn wrong_type() -> CallError {
        CallError("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
    }

    pub(super) fn no_more_ids() -> CallError {
        CallError(
            "ERR The stream has exhausted the last possible ID, unable to add more items"
                .to_owned(),
        )
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ctx<'_> {
    /// Runs a command that changes nothing.
    pub fn read(&self, command: &CStr, args: &[Arg<'_>]) -> Result<Reply, CallError> {
        self.call(command, c"Ev", args)
    }

    /// Runs a command and replicates its effect. In a timer the server checks what it checks
    /// for a client's command: replicas needed, a disk that can't be written. (Memory is checked
    /// once per tick by [`Ctx::probe_writable`]: the server judges by the state it remembers of its
    /// last command, which may be long gone.)
    pub fn write(&self, command: &CStr, args: &[Arg<'_>]) -> Result<Reply, CallError> {
        self.call(command, if self.is_timer { c"!SEv" } else { c"!Ev" }, args)
    }

    /// The same without any check.
    pub(super) fn write_unchecked(
        &self,
        command: &CStr,
        args: &[Arg<'_>],
    ) -> Result<Reply, CallError> {
        self.call(command, c"!Ev", args)
    }

    /// Asks whether this server takes writes now, with one that changes nothing to a key that
    /// should never exist.
    pub fn probe_writable(&self, key: &RString) -> Result<(), CallError> {
        self.probe(c"!SMEv", key)
    }

    /// The same whatever the memory: for what a client may do when memory is short.
    pub fn accepts_writes(&self, key: &RString) -> bool {
        match self.probe(c"!SEv", key) {
            Ok(()) => true,
            // Somebody uses the probe's key: that is no refusal.
            Err(error) => error.0.starts_with("WRONGTYPE"),
        }
    }

    fn probe(&self, format: &CStr, key: &RString) -> Result<(), CallError> {
        let nothing = [key.into(), 0.into(), "".into()];
        self.call(c"SETRANGE", format, &nothing).map(drop)
    }

    /// Sets a key to "1", for so many milliseconds or for ever.
    pub fn set_flag(&self, key: &RString, life_ms: Option<u64>) -> Result<(), CallError> {
        let set = c"SET".as_ptr();
        let value = c"1".as_ptr();
        let _doing = Doing::Calling.begin();
        // The value is a C string, not one that we hold too: so the server puts its shared number in
        // its place, which takes no memory.
        let format = match (life_ms, self.is_timer) {
            (None, false) => c"!Esc",
            (None, true) => c"!SEsc",
            (Some(_), false) => c"!Esccl",
            (Some(_), true) => c"!SEsccl",
        };
        let ms = life_ms.map_or(0, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
        // SAFETY: live context and string; the formats name a string and a C string, and the longer
        // ones another C string and a number, which the others leave unread.
        let raw = unsafe {
            let (format, px) = (format.as_ptr(), c"PX".as_ptr());
            api!(RedisModule_Call)(self.raw, set, format, key.as_ptr(), value, px, ms)
        };
        checked(c"SET", raw).map(drop)
    }

    fn call(&self, command: &CStr, format: &CStr, args: &[Arg<'_>]) -> Result<Reply, CallError> {
        let mut args = ArgV::new(args);
        let argv = &mut args.raw;
        let _doing = Doing::Calling.begin();
        // SAFETY: live context; the format names one vector ("v") of `argv.len()` live strings.
        let raw = unsafe {
            api!(RedisModule_Call)(
                self.raw,
                command.as_ptr(),
                format.as_ptr(),
                argv.as_mut_ptr(),
                argv.len(),
            )
        };
        checked(command, raw)
    }
}

/// What a called command answered, unless that is an error; null: the server did not even call it.
fn checked(command: &CStr, raw: *mut raw::RedisModuleCallReply) -> Result<Reply, CallError> {
    if raw.is_null() {
        return Err(CallError(format!(
            "ERR the server refused {}",
            command.to_string_lossy()
        )));
    }
    let reply = Reply { raw };
    if let [b'-', text @ ..] = reply.wire() {
        return Err(CallError(
            String::from_utf8_lossy(text).trim_end().to_owned(),
        ));
    }
    Ok(reply)
}

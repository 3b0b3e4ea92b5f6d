//! Registering commands, with everything `COMMAND DOCS`, `COMMAND INFO` and ACL need to know.

use std::ffi::{c_char, CString};
use std::ptr;

use redis_module::raw;

use super::{api, Ctx, Handler};

/// One command, as the server and its clients should know it.
pub struct Spec {
    /// Lower case, as core commands are listed: `device.heartbeat`.
    pub name: &'static str,
    pub summary: &'static str,
    pub complexity: &'static str,
    pub since: &'static str,
    /// Words counted with the command's name; negative: at least that many.
    pub arity: i32,
    /// `write` or `readonly`, `fast`, `deny-oom`, ... as RM_CreateCommand takes them.
    pub flags: &'static str,
    pub keys: Keys,
    /// Space-separated command tips for clients and proxies.
    pub tips: &'static str,
    pub args: &'static [ArgSpec],
}

/// Which arguments are keys: for ACL, and later for routing. A device's id is the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// A fleet-wide command.
    None,
    /// The first argument, and what is done with it.
    First(KeyUse),
    /// Every argument.
    All(KeyUse),
    /// The first argument is a user, whose data lie in one key; in a cluster in many, one for each slot,
    /// so that every node has to be asked: then it is no key, and the module asks for permission.
    User,
}

impl Keys {
    fn of_server(self, is_cluster: bool) -> Keys {
        match self {
            Keys::User if is_cluster => Keys::None,
            Keys::User => Keys::First(KeyUse::Update),
            keys => keys,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    Read,
    Update,
    Delete,
}

/// One argument of a command's grammar.
pub struct ArgSpec {
    pub name: &'static str,
    pub kind: ArgKind,
    /// The keyword before the value, if there is one.
    pub token: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
}

#[derive(Clone, Copy)]
pub enum ArgKind {
    Key,
    Text,
    Integer,
    /// A keyword that stands alone.
    Flag,
    /// Arguments that come and go together.
    Block(&'static [ArgSpec]),
    /// One of several.
    OneOf(&'static [ArgSpec]),
}

impl ArgSpec {
    pub const fn new(name: &'static str, kind: ArgKind) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
        }
    }

    /// `[TOKEN value]`
    pub const fn option(token: &'static str, name: &'static str, kind: ArgKind) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: Some(token),
            optional: true,
            multiple: false,
        }
    }

    /// `[TOKEN]`
    pub const fn flag(token: &'static str, name: &'static str) -> ArgSpec {
        ArgSpec {
            name,
            kind: ArgKind::Flag,
            token: Some(token),
            optional: true,
            multiple: false,
        }
    }

    /// `TOKEN`, one of several.
    pub const fn word(token: &'static str, name: &'static str) -> ArgSpec {
        ArgSpec {
            name,
            kind: ArgKind::Flag,
            token: Some(token),
            optional: false,
            multiple: false,
        }
    }

    pub const fn optional(self) -> ArgSpec {
        ArgSpec {
            optional: true,
            ..self
        }
    }

    pub const fn multiple(self) -> ArgSpec {
        ArgSpec {
            multiple: true,
            ..self
        }
    }
}

impl Ctx<'_> {
    /// Registers a command and describes it; says what failed.
    pub fn register<H: Handler>(&self, spec: &Spec) -> Result<(), String> {
        let keys = spec.keys.of_server(self.flags().is_cluster());
        let (first, last, step) = match keys {
            Keys::None | Keys::User => (0, 0, 0),
            Keys::First(_) => (1, 1, 1),
            Keys::All(_) => (1, -1, 1),
        };
        let name = c_string(spec.name);
        let flags = c_string(spec.flags);
        // SAFETY: live context; strings that end in NUL, which the server copies.
        let created = unsafe {
            api!(RedisModule_CreateCommand)(
                self.raw,
                name.as_ptr(),
                Some(super::entry::command_entry::<H>),
                flags.as_ptr(),
                first,
                last,
                step,
            )
        };
        if created != raw::REDISMODULE_OK as i32 {
            return Err(format!("can't register the command {}", spec.name));
        }
        let info = describe(spec, keys);
        // SAFETY: the command was just created; the description's parts live until it returns
        // (they are leaked, once per load), and the server copies them.
        let described = unsafe {
            let command = api!(RedisModule_GetCommand)(self.raw, name.as_ptr());
            !command.is_null()
                && api!(RedisModule_SetCommandInfo)(command, &info) == raw::REDISMODULE_OK as i32
        };
        if described {
            Ok(())
        } else {
            Err(format!("can't describe the command {}", spec.name))
        }
    }
}

static INFO_VERSION: raw::RedisModuleCommandInfoVersion = raw::RedisModuleCommandInfoVersion {
    version: 1,
    sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
    sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
    sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
};

fn describe(spec: &Spec, keys: Keys) -> raw::RedisModuleCommandInfo {
    raw::RedisModuleCommandInfo {
        version: &INFO_VERSION,
        summary: leak(spec.summary),
        complexity: leak(spec.complexity),
        since: leak(spec.since),
        history: ptr::null_mut(),
        tips: if spec.tips.is_empty() {
            ptr::null()
        } else {
            leak(spec.tips)
        },
        arity: spec.arity,
        key_specs: key_specs(keys),
        args: args(spec.args, keys),
    }
}

/// A description as the C API takes it: a list ended by an element of zeros.
fn leak_list<T>(mut items: Vec<T>) -> *mut T {
    // SAFETY: all-zero is how the API marks the end, and is valid for these plain C structs.
    items.push(unsafe { std::mem::zeroed() });
    Box::leak(items.into_boxed_slice()).as_mut_ptr()
}

fn key_specs(keys: Keys) -> *mut raw::RedisModuleCommandKeySpec {
    let (usage, last) = match keys {
        Keys::None | Keys::User => return ptr::null_mut(),
        Keys::First(usage) => (usage, 0),
        Keys::All(usage) => (usage, -1),
    };
    let flags = match usage {
        KeyUse::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
        KeyUse::Update => {
            raw::REDISMODULE_CMD_KEY_RW
                | raw::REDISMODULE_CMD_KEY_ACCESS
                | raw::REDISMODULE_CMD_KEY_UPDATE
        }
        KeyUse::Delete => {
            raw::REDISMODULE_CMD_KEY_RW
                | raw::REDISMODULE_CMD_KEY_ACCESS
                | raw::REDISMODULE_CMD_KEY_DELETE
        }
    };
    // SAFETY: a plain C struct, for which zero means "not set".
    let mut spec: raw::RedisModuleCommandKeySpec = unsafe { std::mem::zeroed() };
    spec.flags = flags.into();
    spec.begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
    spec.bs.index.pos = 1;
    spec.find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
    spec.fk.range = raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 {
        lastkey: last,
        keystep: 1,
        limit: 0,
    };
    leak_list(vec![spec])
}

fn args(specs: &[ArgSpec], keys: Keys) -> *mut raw::RedisModuleCommandArg {
    if specs.is_empty() {
        return ptr::null_mut();
    }
    leak_list(specs.iter().map(|spec| arg(spec, keys)).collect())
}

fn arg(spec: &ArgSpec, keys: Keys) -> raw::RedisModuleCommandArg {
    // SAFETY: a plain C struct, for which zero means "not set".
    let mut arg: raw::RedisModuleCommandArg = unsafe { std::mem::zeroed() };
    arg.name = leak(spec.name);
    arg.key_spec_index = -1;
    arg.type_ = match spec.kind {
        ArgKind::Key if keys == Keys::None => {
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING
        }
        ArgKind::Key => {
            arg.key_spec_index = 0;
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY
        }
        ArgKind::Text => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
        ArgKind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
        ArgKind::Flag => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
        ArgKind::Block(inner) => {
            arg.subargs = args(inner, keys);
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK
        }
        ArgKind::OneOf(inner) => {
            arg.subargs = args(inner, keys);
            raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF
        }
    };
    if let Some(token) = spec.token {
        arg.token = leak(token);
    }
    if spec.optional {
        arg.flags |= raw::REDISMODULE_CMD_ARG_OPTIONAL as i32;
    }
    if spec.multiple {
        arg.flags |= raw::REDISMODULE_CMD_ARG_MULTIPLE as i32;
    }
    arg
}

fn c_string(text: &str) -> CString {
    super::log::one_line(text)
}

/// Descriptions live as long as the module, which is never unloaded.
fn leak(text: &str) -> *const c_char {
    c_string(text).into_raw()
}

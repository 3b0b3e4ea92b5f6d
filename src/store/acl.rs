//! Key permissions of the current user, for commands whose keys the server can't see.

use redis_module::raw;

use super::{api, Ctx, RString};

/// What a command does with a key.
#[derive(Clone, Copy)]
pub enum Access {
    Read,
    Write,
}

impl Ctx<'_> {
    /// Whether the user behind this command may use `key`. Where there is no user (the link to a
    /// master, the append-only file) everything is allowed, as it is for built-in commands.
    pub fn may(&self, access: Access, key: &RString) -> bool {
        let flags = match access {
            Access::Read => raw::REDISMODULE_CMD_KEY_ACCESS,
            Access::Write => {
                raw::REDISMODULE_CMD_KEY_ACCESS
                    | raw::REDISMODULE_CMD_KEY_UPDATE
                    | raw::REDISMODULE_CMD_KEY_INSERT
                    | raw::REDISMODULE_CMD_KEY_DELETE
            }
        };
        // SAFETY: a live context; name and user are ours and freed here.
        unsafe {
            let name = api!(RedisModule_GetCurrentUserName)(self.raw);
            if name.is_null() {
                return true;
            }
            let name = RString::from_raw(name);
            let user = api!(RedisModule_GetModuleUserFromUserName)(name.as_ptr());
            if user.is_null() {
                return true;
            }
            let allowed =
                api!(RedisModule_ACLCheckKeyPermissions)(user, key.as_ptr(), flags as i32);
            api!(RedisModule_FreeModuleUser)(user);
            allowed == raw::REDISMODULE_OK as i32
        }
    }
}

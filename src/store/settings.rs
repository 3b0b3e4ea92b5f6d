//! The module's configuration, as the server's `CONFIG` command sees it.
//!
//! Every setting is registered as a string with a parser of its own, so that durations may carry a
//! unit and every refusal says what is allowed.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;

use redis_module::raw;

use super::rstring::bytes_of;
use super::{api, guarded, Ctx, RString};

/// One setting of the module.
pub trait Setting: Sync {
    fn name(&self) -> &'static str;
    /// Takes a new value, or says why not.
    fn set(&self, value: &[u8]) -> Result<(), String>;
    /// Takes its default again.
    fn reset(&self);
    /// The value as `CONFIG GET` shows it.
    fn get(&self) -> String;
    /// Whether it can be set only when the module is loaded.
    fn is_fixed(&self) -> bool;
}

impl Ctx<'_> {
    /// Registers a setting with the value it has when the configuration file names none.
    pub fn register_setting(
        &self,
        setting: &'static dyn Setting,
        default: &str,
    ) -> Result<(), String> {
        let name = super::log::one_line(setting.name());
        let default = super::log::one_line(default);
        let flags = if setting.is_fixed() {
            raw::REDISMODULE_CONFIG_IMMUTABLE
        } else {
            raw::REDISMODULE_CONFIG_DEFAULT
        };
        // One fat pointer per setting, for the life of the module.
        let data = Box::into_raw(Box::new(setting)).cast::<c_void>();
        // SAFETY: live context; strings that end in NUL; callbacks that fit; `data` is never freed.
        let registered = unsafe {
            api!(RedisModule_RegisterStringConfig)(
                self.raw,
                name.as_ptr(),
                default.as_ptr(),
                flags,
                Some(get_entry),
                Some(set_entry),
                None,
                data,
            )
        };
        if registered == raw::REDISMODULE_OK as i32 {
            Ok(())
        } else {
            Err(format!("can't register the setting {}", setting.name()))
        }
    }

    /// Applies what the configuration file says, or the defaults.
    pub fn load_settings(&self) -> Result<(), String> {
        // SAFETY: live context.
        match unsafe { api!(RedisModule_LoadConfigs)(self.raw) } {
            ok if ok == raw::REDISMODULE_OK as i32 => Ok(()),
            _ => Err("a devicestate.* setting of the configuration file was refused".into()),
        }
    }
}

/// SAFETY: `data` is what `register_setting` registered.
unsafe fn setting_of(data: *mut c_void) -> &'static dyn Setting {
    // SAFETY: the caller's promise.
    unsafe { *data.cast::<&'static dyn Setting>() }
}

extern "C" fn get_entry(_: *const c_char, data: *mut c_void) -> *mut raw::RedisModuleString {
    // SAFETY: the server passes the data registered with the setting.
    let setting = unsafe { setting_of(data) };
    // The server does not free what a getter returns, so the last answer of each setting is kept
    // until the next one.
    thread_local!(static SHOWN: std::cell::RefCell<Vec<(&'static str, RString)>> =
        const { std::cell::RefCell::new(Vec::new()) });
    guarded(|| {
        let value = RString::new(setting.get().as_bytes());
        let raw = value.as_ptr();
        SHOWN.with_borrow_mut(|shown| {
            shown.retain(|(name, _)| *name != setting.name());
            shown.push((setting.name(), value));
        });
        raw
    })
    .unwrap_or(ptr::null_mut())
}

extern "C" fn set_entry(
    _: *const c_char,
    value: *mut raw::RedisModuleString,
    data: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: the server passes the data registered with the setting and a live value.
    let (setting, value) = unsafe { (setting_of(data), bytes_of(value)) };
    let refused = match guarded(|| setting.set(value)) {
        Some(Ok(())) => return raw::REDISMODULE_OK as c_int,
        Some(Err(reason)) => reason,
        None => "internal error".to_owned(),
    };
    if !error.is_null() {
        let text = super::log::one_line(&refused);
        // SAFETY: the server takes over the string put here; `RString`'s own reference is given up.
        unsafe {
            let string = std::mem::ManuallyDrop::new(RString::new(CStr::to_bytes(&text)));
            *error = string.as_ptr();
        }
    }
    raw::REDISMODULE_ERR as c_int
}

//! Constants of the program's as strings of the server's, each made once.

use std::cell::RefCell;

use redis_module::raw;

use super::RString;

/// A constant and its string.
type Named = Option<(&'static str, RString)>;

/// More than there are constants, and a power of two.
const PLACES: usize = 512;

thread_local! {
    /// Those in use, each at the place that its address says, or the next free one.
    static NAMES: RefCell<Vec<Named>> = RefCell::new((0..PLACES).map(|_| None).collect());
}

/// The string of a constant, which lives as long as the module.
pub(super) fn string_of(name: &'static str) -> *mut raw::RedisModuleString {
    NAMES.with_borrow_mut(|names| {
        let mut place = name.as_ptr() as usize ^ name.len() << 4;
        loop {
            place %= PLACES;
            match &mut names[place] {
                Some((known, string)) if std::ptr::eq(*known, name) => return string.as_ptr(),
                Some(_) => place += 1,
                free => {
                    let string = RString::new(name.as_bytes());
                    let raw = string.as_ptr();
                    *free = Some((name, string));
                    return raw;
                }
            }
        }
    })
}

//! The module's allocator: the server's, so that `used_memory` and `maxmemory` see what the module
//! holds, with the blocks of one command kept for the next.
//!
//! The server counts every block, and asks the allocator below for its size to do so, when it is
//! taken and again when it is given back: for the many small blocks of a report that was a tenth of
//! all its work. So small blocks that are given back wait here, by size, for the next taker. How
//! much may wait is bounded, and it stays counted.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr;

use redis_module::alloc::RedisAlloc;

/// Sizes are rounded up to a multiple of this, and no block is aligned to more.
const STEP: usize = 16;
/// Blocks larger than this, in bytes, are not kept.
const LARGEST: usize = 1_024;
/// How many bytes of each size may wait.
const WAITING_BYTES: usize = 16 * 1_024;

pub struct Alloc;

/// The blocks of one size that wait: each holds the address of the next.
struct Waiting {
    first: Cell<*mut u8>,
    bytes: Cell<usize>,
}

thread_local! {
    static WAITING: [Waiting; LARGEST / STEP] = const {
        [const {
            Waiting {
                first: Cell::new(ptr::null_mut()),
                bytes: Cell::new(0),
            }
        }; LARGEST / STEP]
    };
}

/// Which size a block has; `None` for one that is not kept: no block is when a memory checker looks on.
fn class_of(layout: Layout) -> Option<usize> {
    if cfg!(feature = "every-block") {
        return None;
    }
    let is_kept = layout.size() > 0 && layout.size() <= LARGEST && layout.align() <= STEP;
    is_kept.then(|| (layout.size() - 1) / STEP)
}

/// How large the blocks of a class are, in bytes.
fn size_of(class: usize) -> usize {
    (class + 1) * STEP
}

/// How blocks of a size are taken from the server.
fn layout_of(class: usize) -> Layout {
    // SAFETY: a power of two, and sizes of at most `LARGEST`.
    unsafe { Layout::from_size_align_unchecked(size_of(class), STEP) }
}

// SAFETY: blocks come from the server and are as large as asked for or larger; one that waits is in
// one list of one thread, and is taken out before it is handed out.
unsafe impl GlobalAlloc for Alloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { RedisAlloc.alloc(layout) };
        };
        let waiting = WAITING.with(|waiting| {
            let waiting = &waiting[class];
            let first = waiting.first.get();
            if !first.is_null() {
                // SAFETY: a block that waits holds the address of the next one.
                waiting.first.set(unsafe { first.cast::<*mut u8>().read() });
                waiting.bytes.set(waiting.bytes.get() - size_of(class));
            }
            first
        });
        if waiting.is_null() {
            // SAFETY: a layout that is not empty.
            return unsafe { RedisAlloc.alloc(layout_of(class)) };
        }
        waiting
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { RedisAlloc.dealloc(block, layout) };
        };
        let is_kept = WAITING.with(|waiting| {
            let waiting = &waiting[class];
            let bytes = waiting.bytes.get() + size_of(class);
            let has_room = bytes <= WAITING_BYTES;
            if has_room {
                // SAFETY: the block is ours again, and large enough for an address.
                unsafe { block.cast::<*mut u8>().write(waiting.first.get()) };
                waiting.first.set(block);
                waiting.bytes.set(bytes);
            }
            has_room
        });
        if !is_kept {
            // SAFETY: the layout that it was taken with.
            unsafe { RedisAlloc.dealloc(block, layout_of(class)) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: the size is not zero and does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        match (class_of(layout), class_of(new_layout)) {
            (None, None) => {
                // SAFETY: the caller's promise.
                unsafe { RedisAlloc.realloc(block, layout, new_size) }
            }
            (old, new) if old == new => block,
            _ => {
                // SAFETY: a new block, and as many bytes as both hold.
                unsafe {
                    let new = self.alloc(new_layout);
                    if !new.is_null() {
                        ptr::copy_nonoverlapping(block, new, layout.size().min(new_size));
                        self.dealloc(block, layout);
                    }
                    new
                }
            }
        }
    }
}

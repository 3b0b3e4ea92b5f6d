//! Messages between the modules of a cluster's nodes, over the bus that the nodes have anyway.

use std::ffi::c_char;

use redis_module::raw;

use super::{guarded, Ctx};

/// Messages are told apart by this number and by the module that sent them, by name. Names that are not
/// nine characters long, as ours, all count as the same one: so this is a number that others hardly use,
/// and what a message holds must be checked.
const KIND: u8 = 0xD5;

/// How long the name of a node is.
const NODE_BYTES: usize = 40;

/// The name of a node, and a NUL behind it: servers hand names out without one, and want one where they
/// take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeId([u8; NODE_BYTES + 1]);

impl NodeId {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0[..NODE_BYTES]).into_owned()
    }
}

/// Takes messages.
pub trait Receiver {
    /// Another node says this, whatever it is. Nothing may be written here.
    fn received(ctx: &Ctx<'_>, from: &NodeId, message: &[u8]);
}

impl Ctx<'_> {
    /// From now on `R` hears what other nodes send.
    pub fn receive<R: Receiver>(&self) {
        // SAFETY: a function out of the table of the API, if it is there; live context, and a callback that
        // fits.
        unsafe {
            if let Some(register) = raw::RedisModule_RegisterClusterMessageReceiver {
                register(self.raw, KIND, Some(message_entry::<R>));
            }
        }
    }

    /// Takes [`Ctx::receive`] back: a server that unloads a module does not.
    pub(super) fn stop_receiving(&self) {
        // SAFETY: as in `receive`; null takes the callback away.
        unsafe {
            if let Some(register) = raw::RedisModule_RegisterClusterMessageReceiver {
                register(self.raw, KIND, None);
            }
        }
    }

    /// The name of this node; `None` on a single server.
    pub fn node_id(&self) -> Option<NodeId> {
        // SAFETY: a function out of the table of the API, if it is there; it takes nothing, and answers with
        // that many bytes or null.
        unsafe {
            let id = raw::RedisModule_GetMyClusterID?();
            (!id.is_null()).then(|| node_at(id))
        }
    }

    /// Sends a message to a node, or to all others. It may be lost.
    pub fn send(&self, to: Option<&NodeId>, message: &[u8]) {
        let Ok(length) = u32::try_from(message.len()) else {
            return;
        };
        let to = to.map_or(std::ptr::null(), |node| node.0.as_ptr().cast());
        // SAFETY: as above; live context, the name of a node that ends in NUL, or null for all, a live slice and its length.
        unsafe {
            if let Some(send) = raw::RedisModule_SendClusterMessage {
                send(self.raw, to, KIND, message.as_ptr().cast(), length);
            }
        }
    }
}

/// SAFETY (for callers): so many bytes are there.
unsafe fn node_at(id: *const c_char) -> NodeId {
    // SAFETY: the caller's promise; any bytes are a name.
    let name = unsafe { id.cast::<[u8; NODE_BYTES]>().read() };
    let mut id = [0; NODE_BYTES + 1];
    id[..NODE_BYTES].copy_from_slice(&name);
    NodeId(id)
}

extern "C" fn message_entry<R: Receiver>(
    ctx: *mut raw::RedisModuleCtx,
    sender: *const c_char,
    _kind: u8,
    message: *const u8,
    length: u32,
) {
    if sender.is_null() || message.is_null() {
        return;
    }
    // SAFETY: the server passes the callback's context, the name of a node, and a message of that length.
    let (ctx, from, message) = unsafe {
        (
            Ctx::new(ctx, false),
            node_at(sender),
            std::slice::from_raw_parts(message, length as usize),
        )
    };
    guarded(|| R::received(&ctx, &from, message));
}

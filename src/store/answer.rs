//! What the server's own commands answer when they are called.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use devicestate_core::resp::{Item, Reader};
use redis_module::raw;

use super::api;

/// What a called command answered.
pub struct Reply {
    pub(super) raw: *mut raw::RedisModuleCallReply,
}

impl Drop for Reply {
    fn drop(&mut self) {
        // SAFETY: our own reply, freed once.
        unsafe { api!(RedisModule_FreeCallReply)(self.raw) }
    }
}

impl Reply {
    fn kind(&self) -> i32 {
        // SAFETY: a live reply.
        unsafe { api!(RedisModule_CallReplyType)(self.raw) }
    }

    /// The reply as it would go to a client. To read that is cheap: for whatever else is asked of it, the
    /// server first makes a tree of it.
    pub(super) fn wire(&self) -> &[u8] {
        let mut length = 0;
        // SAFETY: a live reply, and the bytes live as long as it does.
        unsafe {
            let data = api!(RedisModule_CallReplyProto)(self.raw, &mut length);
            if data.is_null() {
                return &[];
            }
            std::slice::from_raw_parts(data.cast(), length)
        }
    }

    /// An integer reply; 0 for anything else.
    pub fn int(&self) -> u64 {
        match Reader::new(self.wire()).next() {
            Some(Item::Int(value)) => u64::try_from(value).unwrap_or(0),
            _ => 0,
        }
    }

    /// Zero, nothing, or none.
    pub fn is_nothing(&self) -> bool {
        matches!(
            Reader::new(self.wire()).next(),
            None | Some(Item::Int(0) | Item::Array(0) | Item::Null)
        )
    }

    /// A string reply; `None` for null and anything else.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self.kind() {
            k if k == raw::REDISMODULE_REPLY_STRING as i32 => {}
            _ => return None,
        }
        // SAFETY: a live reply of this type; the bytes live as long as it does.
        unsafe { element_bytes(self.raw) }
    }

    /// How many elements an array reply has.
    pub fn len(&self) -> usize {
        if self.kind() != raw::REDISMODULE_REPLY_ARRAY as i32 {
            return 0;
        }
        // SAFETY: a live reply of this type.
        unsafe { api!(RedisModule_CallReplyLength)(self.raw) }
    }

    /// The bytes of element `index` of an array reply.
    pub fn at(&self, index: usize) -> Option<&[u8]> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: a live array reply and an index within it; elements live as long as their array.
        unsafe {
            let element = api!(RedisModule_CallReplyArrayElement)(self.raw, index);
            element_bytes(element)
        }
    }

    /// The elements of an array reply, as bytes.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.at(index))
    }

    /// The pairs of a flat array reply (a hash, or members with their scores).
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len() / 2).filter_map(|i| Some((self.at(2 * i)?, self.at(2 * i + 1)?)))
    }

    /// Element `index` of an array reply, whatever it is.
    pub fn part(&self, index: usize) -> Option<Part<'_>> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: a live array reply and an index within it; the element lives as long as it does,
        // and is not freed by itself.
        let raw = unsafe { api!(RedisModule_CallReplyArrayElement)(self.raw, index) };
        (!raw.is_null()).then(|| Part {
            reply: ManuallyDrop::new(Reply { raw }),
            _whole: PhantomData,
        })
    }

    /// The elements of an array reply, whatever they are.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        (0..self.len()).filter_map(|index| self.part(index))
    }

    /// The entries of a range of a stream.
    pub fn stream_entries(&self) -> Vec<StreamEntry> {
        let entries = (0..self.len()).filter_map(|index| {
            // SAFETY: a live array reply and an index within it; the elements live as long as it
            // does, and are not freed by themselves.
            let (entry, fields) = unsafe {
                let raw = api!(RedisModule_CallReplyArrayElement)(self.raw, index);
                if raw.is_null() {
                    return None;
                }
                let entry = ManuallyDrop::new(Reply { raw });
                let raw = api!(RedisModule_CallReplyArrayElement)(entry.raw, 1);
                if raw.is_null() {
                    return None;
                }
                (entry, ManuallyDrop::new(Reply { raw }))
            };
            Some(StreamEntry {
                id: entry.at(0)?.to_vec(),
                fields: fields
                    .pairs()
                    .map(|(field, value)| (field.to_vec(), value.to_vec()))
                    .collect(),
            })
        });
        entries.collect()
    }

    /// The reply of SCAN and its kin: the next cursor and the page.
    pub fn into_page(self) -> Option<Page> {
        let cursor = super::parse_u64(self.at(0)?)?;
        // SAFETY: an array of two (SCAN); the element lives as long as the array, which `Page` owns.
        let raw = unsafe { api!(RedisModule_CallReplyArrayElement)(self.raw, 1) };
        let items = Reply { raw };
        Some(Page {
            cursor,
            items: ManuallyDrop::new(items),
            _whole: self,
        })
    }
}

/// An element of a reply, which lives as long as the whole.
pub struct Part<'a> {
    reply: ManuallyDrop<Reply>,
    _whole: PhantomData<&'a Reply>,
}

impl std::ops::Deref for Part<'_> {
    type Target = Reply;

    fn deref(&self) -> &Reply {
        &self.reply
    }
}

/// One entry of a stream.
pub struct StreamEntry {
    pub id: Vec<u8>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One page of a scan.
pub struct Page {
    pub cursor: u64,
    /// Part of `_whole`, which frees it.
    items: ManuallyDrop<Reply>,
    _whole: Reply,
}

impl std::ops::Deref for Page {
    type Target = Reply;

    fn deref(&self) -> &Reply {
        &self.items
    }
}

/// SAFETY: `raw` is null or a live reply, and stays so for `'a`.
unsafe fn element_bytes<'a>(raw: *mut raw::RedisModuleCallReply) -> Option<&'a [u8]> {
    if raw.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: the caller's promise; the server answers null for a reply that is no string.
    unsafe {
        let data = api!(RedisModule_CallReplyStringPtr)(raw, &mut length);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data.cast(), length))
    }
}

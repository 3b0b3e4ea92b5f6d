//! The argument cursor: every command reads its words through it, and every complaint about a word
//! is made here.

use std::collections::HashSet;

use devicestate_core::alert::MAX_SEVERITY;
use devicestate_core::duration;
use devicestate_core::escape::Quoted;
use devicestate_core::event_cursor::Cursor;
use devicestate_core::json::{self, Object};
use devicestate_core::name::{self, InvalidName};
use devicestate_core::queue::{times, Id};
use serde_json::value::RawValue;

use crate::fleet::error::{Error, Result};
use crate::fleet::settings;
use crate::store::{parse_u64, text, RString, RawArgs};

/// How many users one raise notifies.
const MAX_USERS: u64 = 64;

/// The longest name of a shadow, in bytes: AWS IoT's limit.
const MAX_SHADOW_NAME: usize = 64;

/// The longest name of a worker, in bytes.
const MAX_WORKER: usize = 256;
/// As many messages as one command takes.
pub const MAX_MESSAGES: usize = 10_000;

/// Reads a command's words from left to right.
pub struct Args<'a> {
    raw: RawArgs<'a>,
    next: usize,
}

impl<'a> Args<'a> {
    /// Behind the command's name.
    pub fn new(raw: RawArgs<'a>) -> Args<'a> {
        Args { raw, next: 1 }
    }

    /// The next word as it is. The server has checked the arity, so a missing word is one that
    /// belongs to a keyword.
    pub fn next_bytes(&mut self, argument: &str) -> Result<&'a [u8]> {
        let word = self.raw.get(self.next);
        self.next += 1;
        word.ok_or_else(|| missing(argument))
    }

    /// How many words are left.
    pub fn left(&self) -> usize {
        self.raw.len().saturating_sub(self.next)
    }

    pub fn next_id(&mut self) -> Result<&'a str> {
        self.next_name("device id")
    }

    /// The next word as a key, which may be any bytes.
    pub fn next_key(&mut self, argument: &str) -> Result<&'a RString> {
        let key = self.raw.string(self.next);
        self.next += 1;
        key.ok_or_else(|| missing(argument))
    }

    /// An id, also as a key: what clients watch and track.
    pub fn next_id_and_key(&mut self) -> Result<(&'a str, &'a RString)> {
        self.next_name_and_string("device id")
    }

    /// The name of an alert, also as the field of its record.
    pub fn next_alert_and_field(&mut self) -> Result<(&'a str, &'a RString)> {
        self.next_name_and_string("alert name")
    }

    fn next_name_and_string(&mut self, what: &str) -> Result<(&'a str, &'a RString)> {
        let string = self.raw.string(self.next);
        let name = self.next_name(what)?;
        Ok((name, string.ok_or_else(|| missing(what))?))
    }

    /// Whether the next word is one of these keywords.
    pub fn is_at_keyword(&self, known: &[&str]) -> bool {
        let word = self.raw.get(self.next).unwrap_or_default();
        known.iter().any(|keyword| is_keyword(word, keyword))
    }

    pub fn next_type(&mut self) -> Result<&'a str> {
        self.next_name("device type")
    }

    pub fn next_shadow_name(&mut self) -> Result<&'a str> {
        let name = self.next_name("shadow name")?;
        if name.len() > MAX_SHADOW_NAME {
            return Err(Error::usage(format_args!(
                "invalid shadow name: {}: longer than {MAX_SHADOW_NAME} bytes",
                Quoted(name.as_bytes())
            )));
        }
        Ok(name)
    }

    pub fn next_alert(&mut self) -> Result<&'a str> {
        self.next_name("alert name")
    }

    pub fn next_rule(&mut self) -> Result<&'a str> {
        self.next_name("rule name")
    }

    pub fn next_user(&mut self) -> Result<&'a str> {
        self.next_name("user")
    }

    /// A list of users, as keys, that begins with its length; each is kept once.
    pub fn next_users(&mut self, argument: &str) -> Result<Vec<&'a RString>> {
        let count = self.next_bounded(argument, 0, MAX_USERS)?;
        let mut users: Vec<&RString> = Vec::with_capacity(self.left().min(MAX_USERS as usize));
        for _ in 0..count {
            let (_, user) = self.next_name_and_string("user")?;
            if !users.iter().any(|known| known.bytes() == user.bytes()) {
                users.push(user);
            }
        }
        Ok(users)
    }

    /// How bad an alert is.
    pub fn next_severity(&mut self) -> Result<u32> {
        let severity = self.next_bounded("SEVERITY", 0, MAX_SEVERITY.into())?;
        Ok(u32::try_from(severity).unwrap_or(MAX_SEVERITY))
    }

    fn next_name(&mut self, what: &str) -> Result<&'a str> {
        let bytes = self.next_bytes(what)?;
        text(bytes)
            .map_or(Err(InvalidName::NotUtf8), name::check_text)
            .map_err(|why| Error::usage(format_args!("invalid {what}: {}: {why}", Quoted(bytes))))
    }

    /// A whole number.
    pub fn next_number(&mut self, argument: &str) -> Result<u64> {
        let bytes = self.next_bytes(argument)?;
        parse_u64(bytes).ok_or_else(|| {
            Error::usage(format_args!(
                "{argument}: {} is not a whole number from 0 to 18446744073709551615",
                Quoted(bytes)
            ))
        })
    }

    /// A whole number that may be negative.
    pub fn next_signed(&mut self, argument: &str) -> Result<i64> {
        let bytes = self.next_bytes(argument)?;
        let text = std::str::from_utf8(bytes).ok();
        let number = text.filter(|text| !text.starts_with('+'));
        number.and_then(|text| text.parse().ok()).ok_or_else(|| {
            Error::usage(format_args!(
                "{argument}: {} is not a whole number of 64 bits",
                Quoted(bytes)
            ))
        })
    }

    /// The name of a worker: any bytes but `-`, which stands for nobody.
    pub fn next_worker(&mut self) -> Result<&'a [u8]> {
        let bytes = self.next_bytes("worker")?;
        if bytes.is_empty() || bytes.len() > MAX_WORKER || bytes == b"-" {
            return Err(Error::usage(format_args!(
                "worker: {} is not 1 to {MAX_WORKER} bytes other than '-'",
                Quoted(&bytes[..bytes.len().min(64)])
            )));
        }
        Ok(bytes)
    }

    /// The id of one message or command.
    pub fn next_message_id(&mut self, argument: &str) -> Result<Id> {
        let bytes = self.next_bytes(argument)?;
        Id::parse(bytes).ok_or_else(|| {
            Error::usage(format_args!(
                "{argument}: {} is not that of a message",
                Quoted(bytes)
            ))
        })
    }

    /// The ids of messages, at least one, up to one of these keywords or the end; each once.
    pub fn next_messages(&mut self, until: &[&str]) -> Result<Vec<Id>> {
        let mut ids = Vec::with_capacity(self.left());
        let mut seen = HashSet::new();
        while ids.is_empty() || self.left() > 0 && !self.is_at_keyword(until) {
            let id = self.next_message_id("id")?;
            // Of one there is no other.
            if self.left() == 0 && ids.is_empty() || seen.insert(id) {
                ids.push(id);
            }
            if ids.len() > MAX_MESSAGES {
                return Err(Error::usage(format_args!(
                    "id: more than {MAX_MESSAGES} messages"
                )));
            }
        }
        Ok(ids)
    }

    /// How far events were read.
    pub fn next_event_cursor(&mut self, argument: &str) -> Result<Cursor> {
        let bytes = self.next_bytes(argument)?;
        Cursor::parse(bytes).ok_or_else(|| {
            Error::usage(format_args!(
                "{argument}: {} is no cursor of DEVICE.EVENTS",
                Quoted(&bytes[..bytes.len().min(64)])
            ))
        })
    }

    /// How long something of a queue lasts, in milliseconds: at least `min`, and not over ten years.
    pub fn next_lasting(&mut self, argument: &str, min: u64) -> Result<u64> {
        let ms = self.next_ms(argument)?;
        if (min..=times::MAX_MS).contains(&ms) {
            return Ok(ms);
        }
        Err(Error::usage(format_args!(
            "{argument}: {ms} ms is not from {min} ms to 10 years"
        )))
    }

    /// A number within bounds.
    pub fn next_bounded(&mut self, argument: &str, min: u64, max: u64) -> Result<u64> {
        let bytes = self.next_bytes(argument)?;
        parse_u64(bytes)
            .filter(|n| (min..=max).contains(n))
            .ok_or_else(|| {
                Error::usage(format_args!(
                    "{argument}: {} is not a whole number from {min} to {max}",
                    Quoted(bytes)
                ))
            })
    }

    /// A duration in milliseconds.
    pub fn next_ms(&mut self, argument: &str) -> Result<u64> {
        let bytes = self.next_bytes(argument)?;
        duration::parse(bytes)
            .map_err(|why| Error::usage(format_args!("{argument}: {} {why}", Quoted(bytes))))
    }

    /// Any JSON value, as text.
    pub fn next_value(&mut self, argument: &str) -> Result<String> {
        let bytes = self.next_document(argument)?;
        let value = json::parse_value(bytes, settings::max_document_depth())
            .map_err(|error| Error::bad_json(argument, &error))?;
        let text = value.to_string();
        let limit = settings::MAX_DOCUMENT_BYTES.value();
        if text.len() as u64 > limit {
            return Err(Error::too_large(argument, text.len(), limit));
        }
        Ok(text)
    }

    /// A JSON object that is kept as it is.
    pub fn next_data(&mut self, argument: &str) -> Result<Box<RawValue>> {
        let object = self.next_json(argument)?;
        let text = self.within_limit(argument, &object)?;
        RawValue::from_string(text)
            .map_err(|error| Error::usage(format_args!("{argument}: {error}")))
    }

    /// A device's timeout: 0 for none, else from 100 ms to 10 years.
    pub fn next_timeout(&mut self) -> Result<u64> {
        let ms = self.next_ms("TIMEOUT")?;
        if settings::is_timeout(ms) {
            return Ok(ms);
        }
        Err(Error::usage(format_args!(
            "TIMEOUT: {ms} ms is neither 0 nor from 100 ms to 10 years"
        )))
    }

    /// A JSON object, no deeper than the settings allow.
    pub fn next_json(&mut self, argument: &str) -> Result<Object> {
        let bytes = self.next_document(argument)?;
        json::parse_object(bytes, settings::max_document_depth())
            .map_err(|error| Error::bad_json(argument, &error))
    }

    /// The bytes of a document that may be worth parsing.
    pub fn next_document(&mut self, argument: &str) -> Result<&'a [u8]> {
        let bytes = self.next_bytes(argument)?;
        let limit = settings::MAX_DOCUMENT_BYTES.value();
        // White space doesn't count against the limit, but ten times of it is no document.
        if bytes.len() as u64 > limit.saturating_mul(10) {
            return Err(Error::too_large(argument, bytes.len(), limit));
        }
        Ok(bytes)
    }

    /// A document that is stored as it is: its text, when it keeps the size limit.
    pub fn within_limit(&self, argument: &str, object: &Object) -> Result<String> {
        let text = serde_json::to_string(object)
            .map_err(|error| Error::usage(format_args!("{argument}: {error}")))?;
        let limit = settings::MAX_DOCUMENT_BYTES.value();
        if text.len() as u64 > limit {
            return Err(Error::too_large(argument, text.len(), limit));
        }
        Ok(text)
    }

    /// Short free text.
    pub fn next_text(&mut self, argument: &str, max_bytes: usize) -> Result<&'a str> {
        let bytes = self.next_bytes(argument)?;
        if bytes.len() > max_bytes {
            return Err(Error::usage(format_args!(
                "{argument} is longer than {max_bytes} bytes"
            )));
        }
        std::str::from_utf8(bytes)
            .map_err(|_| Error::usage(format_args!("{argument}: {} is not UTF-8", Quoted(bytes))))
    }

    /// The next keyword in upper case, or `None` at the end. `seen` refuses repetitions.
    pub fn next_keyword<'k>(
        &mut self,
        known: &[&'k str],
        seen: &mut Vec<&'k str>,
    ) -> Result<Option<&'k str>> {
        let Some(keyword) = self.next_option(known)? else {
            return Ok(None);
        };
        if seen.contains(&keyword) {
            return Err(given_twice(keyword));
        }
        seen.push(keyword);
        Ok(Some(keyword))
    }

    /// As [`Args::next_keyword`], for who refuses repetitions without a list (see [`given_twice`]).
    pub fn next_option<'k>(&mut self, known: &[&'k str]) -> Result<Option<&'k str>> {
        let Some(word) = self.raw.get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        let keyword = known.iter().find(|keyword| is_keyword(word, keyword));
        keyword.copied().map(Some).ok_or_else(|| {
            Error::usage(format_args!(
                "unknown option {}, expected {}",
                Quoted(word),
                known.join(", ")
            ))
        })
    }

    /// Nothing may be left.
    pub fn finish(self) -> Result<()> {
        match self.raw.get(self.next) {
            None => Ok(()),
            Some(word) => Err(Error::usage(format_args!(
                "unexpected argument {}",
                Quoted(word)
            ))),
        }
    }
}

/// Whether a word is this keyword, which is in upper case.
fn is_keyword(word: &[u8], keyword: &str) -> bool {
    let mut pairs = word.iter().zip(keyword.as_bytes());
    word.len() == keyword.len() && pairs.all(|(byte, wanted)| byte.to_ascii_uppercase() == *wanted)
}

/// An option that is there already.
pub fn given_twice(keyword: &str) -> Error {
    Error::usage(format_args!("option {keyword} is given twice"))
}

fn missing(argument: &str) -> Error {
    Error::usage(format_args!("{argument} is missing"))
}

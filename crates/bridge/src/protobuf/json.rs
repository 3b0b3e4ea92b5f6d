//! From a decoded message to the JSON of a report: ProtoJSON (protobuf.dev/programming-guides/json),
//! except where that would spoil a shadow.
//!
//! - Fields are named as in the `.proto` file, and 64-bit integers are numbers. ProtoJSON would
//!   write camelCase names and strings.
//! - What JSON has no word for (not a number, infinities, a `Value` without a kind) is left out with
//!   its field, or its entry of a map. A list that holds one is left out whole: without it, the
//!   others would move up.
//! - An implicit field with its default value is left out unless its type is among those `written`.
//!
//! Hostile payloads are bounded: messages nest [`DEEPEST`] levels, those inside an `Any` included
//! (the decoder's own limit starts afresh in each), and the text has a longest length, because two
//! bytes of payload can become hundreds of JSON.

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Levels of messages; protobuf's usual limit.
const DEEPEST: usize = 100;

/// False where nothing was written, because JSON has no word for the value.
type Written = Result<bool, String>;

/// The text of one JSON object, of `most` bytes at most. The error is a sentence.
pub fn write(
    message: &DynamicMessage,
    written: &HashSet<String>,
    most: usize,
) -> Result<String, String> {
    let mut writer = Writer {
        text: Vec::with_capacity(256),
        written,
        most,
        depth: 0,
    };
    if !writer.message(message)? {
        return Err("JSON has no word for its value".into());
    }
    String::from_utf8(writer.text).map_err(|error| error.to_string())
}

/// Whether messages of this type are objects in JSON. Some well-known types are not.
pub fn is_object(message: &MessageDescriptor) -> bool {
    !matches!(
        message.full_name(),
        "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask"
            | "google.protobuf.ListValue"
            | "google.protobuf.Value"
    ) && !is_wrapper(message.full_name())
}

fn is_wrapper(name: &str) -> bool {
    matches!(
        name,
        "google.protobuf.BoolValue"
            | "google.protobuf.BytesValue"
            | "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int32Value"
            | "google.protobuf.Int64Value"
            | "google.protobuf.StringValue"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.UInt64Value"
    )
}

struct Writer<'a> {
    text: Vec<u8>,
    written: &'a HashSet<String>,
    most: usize,
    depth: usize,
}

impl Writer<'_> {
    fn message(&mut self, message: &DynamicMessage) -> Written {
        if self.depth == DEEPEST {
            return Err(format!("its messages nest more than {DEEPEST} levels"));
        }
        self.depth += 1;
        let descriptor = message.descriptor();
        let done = match descriptor.full_name() {
            // Texts, written by the library: dates with their ranges checked, paths in camelCase.
            "google.protobuf.Timestamp"
            | "google.protobuf.Duration"
            | "google.protobuf.FieldMask" => self.put(message),
            "google.protobuf.Struct" | "google.protobuf.ListValue" => self.only_field(message),
            "google.protobuf.Value" => match message.fields().next() {
                Some((field, value)) => self.value(value, &field.kind()),
                None => Ok(false),
            },
            "google.protobuf.Any" => self.any(message),
            name if is_wrapper(name) => self.only_field(message),
            _ => {
                self.text.push(b'{');
                self.fields(message)?;
                self.text.push(b'}');
                Ok(true)
            }
        };
        self.depth -= 1;
        done
    }

    /// A message that stands for its field number 1.
    fn only_field(&mut self, message: &DynamicMessage) -> Written {
        match message.descriptor().get_field(1) {
            Some(field) => self.value(&message.get_field(&field), &field.kind()),
            None => Ok(false),
        }
    }

    /// `@type`, then the fields of the message inside, or `value` where that is no object. One that
    /// was never filled is an empty object.
    fn any(&mut self, any: &DynamicMessage) -> Written {
        let url = any.get_field_by_number(1);
        let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
        let bytes = any.get_field_by_number(2);
        let bytes = bytes.as_deref().and_then(Value::as_bytes);
        let bytes = bytes.map_or(&[][..], |bytes| bytes);
        if url.is_empty() && bytes.is_empty() {
            self.text.extend(b"{}");
            return Ok(true);
        }
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(inside) = any.descriptor().parent_pool().get_message_by_name(name) else {
            return Err(format!("its Any holds '{name}', which protobuf.files lack"));
        };
        let plain_object = is_object(&inside)
            && !matches!(
                inside.full_name(),
                "google.protobuf.Any" | "google.protobuf.Empty" | "google.protobuf.Struct"
            );
        let inside = DynamicMessage::decode(inside, bytes).map_err(|error| {
            format!(
                "its Any holds no {name}: {}",
                super::compile::reason(&error)
            )
        })?;
        let start = self.text.len();
        self.text.extend(b"{\"@type\":");
        self.put(url)?;
        if plain_object {
            self.fields(&inside)?;
        } else {
            self.text.extend(b",\"value\":");
            if !self.message(&inside)? {
                self.text.truncate(start);
                return Ok(false);
            }
        }
        self.text.push(b'}');
        Ok(true)
    }

    /// The members of an object.
    fn fields(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let descriptor = message.descriptor();
        if self.written.contains(descriptor.full_name()) {
            for field in descriptor.fields() {
                if message.has_field(&field) || !field.supports_presence() {
                    self.member(field.name(), &message.get_field(&field), &field.kind())?;
                }
            }
        } else {
            for (field, value) in message.fields() {
                self.member(field.name(), value, &field.kind())?;
            }
        }
        for (extension, value) in message.extensions() {
            self.member(extension.json_name(), value, &extension.kind())?;
        }
        Ok(())
    }

    fn member(&mut self, name: &str, value: &Value, kind: &Kind) -> Result<(), String> {
        let start = self.text.len();
        self.separate(b'{');
        self.put(name)?;
        self.text.push(b':');
        if !self.value(value, kind)? {
            self.text.truncate(start);
        }
        self.check_length()
    }

    fn value(&mut self, value: &Value, kind: &Kind) -> Written {
        match value {
            Value::Bool(value) => self.put(value),
            Value::I32(number) => self.put(number),
            Value::I64(number) => self.put(number),
            Value::U32(number) => self.put(number),
            Value::U64(number) => self.put(number),
            // As a float, not widened: 21.4 stays 21.4.
            Value::F32(number) if number.is_finite() => self.put(number),
            Value::F64(number) if number.is_finite() => self.put(number),
            Value::F32(_) | Value::F64(_) => Ok(false),
            Value::String(text) => self.put(text),
            // The library's own wrapper of bytes is base64 in its JSON.
            Value::Bytes(bytes) => self.put(&bytes.to_vec().transcode_to_dynamic()),
            Value::EnumNumber(number) => self.enumeration(*number, kind),
            Value::Message(message) => self.message(message),
            Value::List(values) => self.list(values, kind),
            Value::Map(entries) => self.map(entries, kind),
        }
    }

    /// The name of an enum value, or the number of one that the files do not have.
    fn enumeration(&mut self, number: i32, kind: &Kind) -> Written {
        let Kind::Enum(descriptor) = kind else {
            return self.put(&number);
        };
        if descriptor.full_name() == "google.protobuf.NullValue" {
            return self.put(&());
        }
        match descriptor.get_value(number) {
            Some(value) => self.put(value.name()),
            None => self.put(&number),
        }
    }

    fn list(&mut self, values: &[Value], kind: &Kind) -> Written {
        let start = self.text.len();
        self.text.push(b'[');
        for value in values {
            self.separate(b'[');
            if !self.value(value, kind)? {
                self.text.truncate(start);
                return Ok(false);
            }
            self.check_length()?;
        }
        self.text.push(b']');
        Ok(true)
    }

    /// Entries are sorted, so that the same message always becomes the same text.
    fn map(&mut self, entries: &HashMap<MapKey, Value>, kind: &Kind) -> Written {
        let Some(entry) = kind.as_message().filter(|message| message.is_map_entry()) else {
            return Ok(false);
        };
        let kind = entry.map_entry_value_field().kind();
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.text.push(b'{');
        for (key, value) in entries {
            match key {
                MapKey::Bool(key) => self.member(&key.to_string(), value, &kind)?,
                MapKey::I32(key) => self.member(&key.to_string(), value, &kind)?,
                MapKey::I64(key) => self.member(&key.to_string(), value, &kind)?,
                MapKey::U32(key) => self.member(&key.to_string(), value, &kind)?,
                MapKey::U64(key) => self.member(&key.to_string(), value, &kind)?,
                MapKey::String(key) => self.member(key, value, &kind)?,
            }
        }
        self.text.push(b'}');
        Ok(true)
    }

    /// A comma, unless the next value is the first behind `opening`.
    fn separate(&mut self, opening: u8) {
        if self.text.last() != Some(&opening) {
            self.text.push(b',');
        }
    }

    fn put(&mut self, value: &(impl Serialize + ?Sized)) -> Written {
        serde_json::to_writer(&mut self.text, value).map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn check_length(&self) -> Result<(), String> {
        if self.text.len() > self.most {
            return Err(format!(
                "its JSON has more than max_payload ({}) bytes",
                self.most
            ));
        }
        Ok(())
    }
}

//! What a device reports of itself: its reported document.

use devicestate_core::json::{self, Object};
use devicestate_core::merge;

use super::{settings, Device, Error, Fleet, Result};
use crate::store::Ctx;

/// A report as it came: parsed, and not yet merged.
pub struct Report {
    pub patch: Object,
    /// Takes the place of the whole document.
    pub replace: bool,
}

/// The document after a report, checked against the limits: writing it can't fail any more.
pub struct Merged {
    pub document: String,
}

impl Report {
    /// Merges into the stored document; `device` is `None` for one that is about to register.
    pub fn merge(&self, ctx: &Ctx<'_>, fleet: &Fleet, device: Option<&Device>) -> Result<Merged> {
        if ctx.flags().is_out_of_memory() {
            return Err(Error::out_of_memory());
        }
        let stored = match device {
            Some(device) if !self.replace => stored_document(ctx, fleet, device)?,
            _ => Object::new(),
        };
        let mut document = stored;
        merge::merge(&mut document, self.patch.clone());
        let document = serde_json::Value::Object(document).to_string();
        let limit = settings::MAX_DOCUMENT_BYTES.value();
        if document.len() as u64 > limit {
            return Err(Error::too_large("REPORTED", document.len(), limit));
        }
        Ok(Merged { document })
    }
}

fn stored_document(ctx: &Ctx<'_>, fleet: &Fleet, device: &Device) -> Result<Object> {
    match device.field(ctx, &fleet.fields.reported_state) {
        None => Ok(Object::new()),
        Some(text) if text.bytes().is_empty() => Ok(Object::new()),
        Some(text) => json::stored_object(text.bytes()).ok_or_else(|| {
            Error::usage(format_args!(
                "the stored reported_state of device '{}' is not a JSON object; report with REPLACE",
                device.id
            ))
        }),
    }
}

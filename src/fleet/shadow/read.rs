//! Reading a shadow: the whole document, both sides of what is outstanding, the names there are.

use devicestate_core::shadow::delta::both_sides;
use devicestate_core::shadow::document::Document;

use super::{Device, Error, Fleet, Name, Place, Result, Section, Stored};
use crate::fleet::fields::VERSION_OF;
use crate::fleet::presence::expect;
use crate::fleet::{events, settings};
use crate::store::{Arg, Ctx, KeyType};

/// The whole shadow as AWS IoT shows it, with times in milliseconds, as JSON and without what is
/// empty; `None` when there is none.
pub fn document(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    name: Name<'_>,
    now: u64,
) -> Result<Option<String>> {
    let Some(device) = Device::load(ctx, fleet, id)? else {
        return Ok(None);
    };
    let stored = Stored::read(ctx, Some(&device), &Place::new(fleet, id, name))?;
    if !stored.exists {
        return Ok(None);
    }
    let (mut state, mut metadata) = (Vec::new(), Vec::new());
    let sections = [("desired", &stored.desired), ("reported", &stored.reported)];
    for (name, section) in sections {
        let document = section.document();
        if document.is_empty() {
            continue;
        }
        if has_metadata(section, &document) {
            let times = section.times(&document).metadata(&document);
            metadata.push(format!("\"{name}\":{times}"));
        }
        state.push(format!("\"{name}\":{}", document.text()));
    }
    let outstanding = stored.delta_of_documents();
    if !outstanding.is_empty() {
        state.push(format!("\"delta\":{outstanding}"));
    }
    let (state, metadata, version) = (state.join(","), metadata.join(","), stored.version);
    Ok(Some(format!(
        "{{\"state\":{{{state}}},\"metadata\":{{{metadata}}},\"version\":{version},\"timestamp\":{now}}}"
    )))
}

/// Empty objects have no leaf, so no times are stored for a document that holds nothing else.
fn has_metadata(section: &Section, document: &Document<'_>) -> bool {
    section.meta.is_some() || (document.leaves() == 0 && settings::SHADOW_METADATA.is_on())
}

/// Desired and reported value of every top-level member that differs, as JSON.
pub fn sides(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, name: Name<'_>) -> Result<String> {
    let device = Device::registered(ctx, fleet, id)?;
    let stored = Stored::read(ctx, Some(&device), &Place::new(fleet, id, name))?;
    if let Some(name) = name.filter(|_| !stored.exists) {
        return Err(Error::no_shadow(name));
    }
    let sides = both_sides(&stored.desired.document(), &stored.reported.document());
    let mut answer = events::Message::about(id);
    if let Some(name) = name {
        answer.text("name", name);
    }
    answer.json("in_sync", if sides == "{}" { "true" } else { "false" });
    answer.number("version", stored.version);
    answer.json("delta", &sides);
    Ok(answer.finish())
}

/// The named shadows that exist, sorted.
pub fn names(ctx: &Ctx<'_>, fleet: &Fleet, id: &str) -> Result<Vec<Vec<u8>>> {
    Device::registered(ctx, fleet, id)?;
    let key = fleet.keys.shadows(id);
    expect(ctx, &key, KeyType::Hash)?;
    let fields = ctx.read(c"HKEYS", &[Arg::Str(&key)])?;
    let mut names: Vec<Vec<u8>> = fields
        .iter()
        .filter_map(|field| field.strip_prefix(VERSION_OF.as_bytes()))
        .map(<[u8]>::to_vec)
        .collect();
    names.sort();
    Ok(names)
}

//! What belongs to a device: it goes with the device, and is whole. Documents are the truth of a
//! shadow; its delta must be what they amount to.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::data::{Data, Fields};

pub fn faults(data: &Data) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["shadows", "history", "commands", "outcomes", "alerts"] {
        for id in data.names(&format!("device:{part}:")) {
            if data.device(id).is_none() {
                found.push(format!("device:{part}:{id} is of no device"));
            }
        }
    }
    for (key, fields) in &data.hashes {
        if let Some(id) = key.strip_prefix("device:state:") {
            if data.device(id).is_some() && fields.contains_key("version") {
                found.extend(delta(fields, "", &format!("{id}: ")));
            }
        } else if let Some(id) = key.strip_prefix("device:shadows:") {
            found.extend(named_shadows(id, fields));
        } else if let Some(id) = key.strip_prefix("device:alerts:") {
            found.extend(alerts(id, fields));
        }
    }
    found
}

fn named_shadows(id: &str, fields: &Fields) -> Vec<String> {
    let mut found = Vec::new();
    let names: BTreeSet<&str> = fields
        .keys()
        .filter_map(|field| Some(field.split_once(':')?.1))
        .collect();
    for name in names {
        let has = |part: &str| fields.contains_key(&format!("{part}:{name}"));
        let (is_there, was_deleted) = (has("version"), has("deleted"));
        let has_parts = ["reported", "desired", "delta"].into_iter().any(has);
        if is_there == was_deleted || has_parts && !is_there {
            found.push(format!(
                "{id} {name}: version {is_there}, deleted {was_deleted}, documents {has_parts}"
            ));
        }
        found.extend(delta(
            fields,
            &format!(":{name}"),
            &format!("{id} {name}: "),
        ));
    }
    found
}

/// Whether the stored delta of one shadow is the one of its documents.
fn delta(fields: &Fields, suffix: &str, whose: &str) -> Option<String> {
    let document = |part: &str| -> Option<Value> {
        let text = fields.get(&format!("{part}{suffix}"))?;
        Some(serde_json::from_str(text).unwrap_or(Value::Null))
    };
    let classic = if suffix.is_empty() { "_state" } else { "" };
    let empty = || Value::Object(Map::new());
    let desired = document(&format!("desired{classic}")).unwrap_or_else(empty);
    let reported = document(&format!("reported{classic}")).unwrap_or_else(empty);
    let wanted = outstanding(&desired, &reported);
    let stored = document("delta");
    (stored != wanted).then(|| format!("{whose}delta {stored:?}, not {wanted:?}"))
}

/// What of `desired` is not so in `reported`: objects recurse, everything else is taken whole.
fn outstanding(desired: &Value, reported: &Value) -> Option<Value> {
    let (Value::Object(desired), Value::Object(reported)) = (desired, reported) else {
        return (desired != reported).then(|| desired.clone());
    };
    let members = desired.iter().filter_map(|(name, wanted)| {
        let left = match reported.get(name) {
            Some(found) => outstanding(wanted, found),
            None => Some(wanted.clone()),
        };
        Some((name.clone(), left?))
    });
    let members: Map<String, Value> = members.collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

fn alerts(id: &str, fields: &Fields) -> Vec<String> {
    let mut found = Vec::new();
    for (alert, text) in fields {
        let record: Value = serde_json::from_str(text).unwrap_or_default();
        let state = record["state"].as_str().unwrap_or_default();
        let is_whole = matches!(state, "held" | "firing" | "cleared")
            && record["count"].as_u64() > Some(0)
            // What fires has been told to be firing.
            && (state != "firing" || record["told"].is_object());
        if !is_whole {
            found.push(format!("alert {alert} of {id}: {text}"));
        }
    }
    found
}

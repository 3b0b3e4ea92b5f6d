//! The peers in Lua, on a server without the module: `benches/lua/`.

use serde_json::Value;

use super::documents::{self, Object};
use super::driver::each;
use super::load;
use crate::support::*;

const SET: &str = concat!(
    include_str!("../lua/shadow.lua"),
    include_str!("../lua/shadow_set.lua")
);
const REPORTED: &str = concat!(
    include_str!("../lua/shadow.lua"),
    include_str!("../lua/heartbeat_reported.lua")
);

/// What `devicestate.heartbeat-timeout` would say.
const DEFAULT_TIMEOUT_MS: &str = "60000";

/// The scripts' digests, once a server knows them.
pub struct Scripts {
    set: String,
    reported: String,
}

impl Scripts {
    pub fn load(server: &Server) -> Scripts {
        let load = |script| cmd!(server.connection(), "SCRIPT LOAD", script).text();
        Scripts {
            set: load(SET),
            reported: load(REPORTED),
        }
    }

    /// As DEVICE.SHADOW.SET.
    pub fn set(&self, id: &str, patch: &Object) -> Vec<String> {
        Scripts::call(&self.set, id, patch)
    }

    /// As DEVICE.HEARTBEAT with REPORTED.
    pub fn reported(&self, id: &str, patch: &Object) -> Vec<String> {
        let mut args = Scripts::call(&self.reported, id, patch);
        args.push(DEFAULT_TIMEOUT_MS.to_owned());
        args
    }

    fn call(digest: &str, id: &str, patch: &Object) -> Vec<String> {
        let patch = Value::Object(patch.clone()).to_string();
        vec![
            "EVALSHA".to_owned(),
            digest.to_owned(),
            "4".to_owned(),
            format!("device:state:{id}"),
            format!("device:history:{id}"),
            "devices:outofsync".to_owned(),
            "devices:events".to_owned(),
            id.to_owned(),
            patch,
        ]
    }
}

pub fn module_set(id: &str, patch: &Object) -> Vec<String> {
    let patch = Value::Object(patch.clone()).to_string();
    vec!["DEVICE.SHADOW.SET".to_owned(), id.to_owned(), patch]
}

pub fn module_reported(id: &str, patch: &Object) -> Vec<String> {
    let patch = Value::Object(patch.clone()).to_string();
    let words = ["DEVICE.HEARTBEAT", id, "REPORTED", &patch];
    words.map(str::to_owned).into()
}

/// Appends one command.
pub fn append(out: &mut Vec<u8>, args: &[String]) {
    let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
    load::command(out, &args);
}

/// Gives each device its documents, by the module.
pub fn document_module(server: &Server, devices: usize) {
    use documents::{desired, id, reported};
    each(server, 0..devices, |n, out| {
        append(out, &module_reported(&id(n), &reported(n)))
    });
    each(server, 0..devices, |n, out| {
        append(out, &module_set(&id(n), &desired(n)))
    });
}

/// The same by the scripts.
pub fn document_scripts(server: &Server, scripts: &Scripts, devices: usize) {
    use documents::{desired, id, reported};
    each(server, 0..devices, |n, out| {
        append(out, &scripts.reported(&id(n), &reported(n)))
    });
    each(server, 0..devices, |n, out| {
        append(out, &scripts.set(&id(n), &desired(n)))
    });
}

/// The same by plain writes.
pub fn document_plain(server: &Server, devices: usize) {
    use documents::{desired, id, reported};
    each(server, 0..devices, |n, out| {
        let text = |document| Value::Object(document).to_string();
        let state = format!("device:state:{}", id(n));
        let (desired, reported) = (text(desired(n)), text(reported(n)));
        let words = [
            "HSET",
            &state,
            "reported_state",
            &reported,
            "desired_state",
            &desired,
        ];
        append(out, &words.map(str::to_owned));
    });
}

//! Any bytes are a message or are refused; what is read can be written as JSON and read again.
//!
//! `cargo +nightly fuzz run message -- -max_total_time=60`

#![no_main]

use devicestate_core::{json, message};
use libfuzzer_sys::fuzz_target;

const DEPTH: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let _ = message::from_base64(bytes);
    let Ok(beat) = message::decode(bytes, DEPTH) else {
        return;
    };
    assert!(beat.seq.is_none() || beat.session.is_some());
    if let Some(report) = beat.report {
        let text = serde_json::to_string(&report).expect("JSON");
        let again = json::parse_object(text.as_bytes(), DEPTH);
        assert_eq!(again.expect("the same document"), report);
    }
    for detail in beat.results.iter().filter_map(|result| result.detail.as_ref()) {
        json::parse_value(detail.as_bytes(), DEPTH).expect("JSON");
    }
});

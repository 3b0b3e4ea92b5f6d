//! The log: one line for each event, as a sentence or as a JSON object.
//!
//! Events carry their particulars twice: in the sentence, and as fields. As text only the sentence is
//! written; the fields become members of the JSON object.

use crate::config::{LogFormat, LogLevel};
use std::io::IsTerminal;
use tracing::Level;
use tracing_subscriber::fmt::format;

/// To be called once, before the first line.
pub fn init(level: LogLevel, log_format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_max_level(Level::from(level));
    match log_format {
        LogFormat::Text => {
            let sentence = format::debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{value:?}"),
                _ => Ok(()),
            });
            log.with_ansi(std::io::stderr().is_terminal())
                .fmt_fields(sentence)
                .init();
        }
        LogFormat::Json => log
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
}

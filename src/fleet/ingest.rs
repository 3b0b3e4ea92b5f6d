//! A device's message in protobuf: a heartbeat, and the results of commands it took.

use devicestate_core::message::{Beat, Outcome as CommandResult};
use devicestate_core::queue::Id;

use super::device_commands::{self, outcomes::Outcome};
use super::heartbeat::{self, Heartbeat};
use super::shadow::{Fence, Patch};
use super::sweeper::Trouble;
use super::{settings, Error, Fleet, Result};
use crate::store::{Ctx, RString};

/// Handles a message that was read. A message that is ignored as stale settles no commands.
pub fn ingest(
    ctx: &Ctx<'_>,
    fleet: &Fleet,
    id: &str,
    id_key: &RString,
    beat: Beat,
    now: u64,
) -> Result<heartbeat::Outcome> {
    if let Some(timeout) = beat.timeout.filter(|ms| !settings::is_timeout(*ms)) {
        return Err(Error::bad_payload(format_args!(
            "timeout_ms: {timeout} ms is neither 0 nor from 100 ms to 10 years"
        )));
    }
    let limit = settings::MAX_DOCUMENT_BYTES.value();
    let details = beat.results.iter().filter_map(|r| r.detail.as_deref());
    if let Some(detail) = details.into_iter().find(|text| text.len() as u64 > limit) {
        return Err(Error::too_large("detail_json", detail.len(), limit));
    }
    let replace = beat.replace;
    let heartbeat = Heartbeat {
        report: beat.report.map(|document| Patch { document, replace }),
        argument: "payload",
        timeout: beat.timeout,
        fence: Fence {
            session: beat.session,
            seq: beat.seq,
        },
    };
    let outcome = heartbeat::beat(ctx, fleet, id, id_key, heartbeat, now)?;
    if !outcome.applied || beat.results.is_empty() {
        return Ok(outcome);
    }
    for result in &beat.results {
        settle(ctx, fleet, id, result, now);
    }
    Ok(heartbeat::Outcome {
        commands: device_commands::waiting(ctx, fleet, id, now),
        ..outcome
    })
}

/// The beat counts whatever comes of its results: a command that is not there any more was settled by
/// an earlier message.
fn settle(ctx: &Ctx<'_>, fleet: &Fleet, id: &str, result: &CommandResult, now: u64) {
    let Some(command) = Id::parse(result.command.as_bytes()) else {
        return;
    };
    let (outcome, detail) = (Outcome::Done(result.status), result.detail.as_deref());
    let settled = device_commands::finish(ctx, fleet, id, command, outcome, detail, now);
    if let Err(error) = settled {
        let text = format!("the result of a command can't be stored: {error}");
        fleet.complain(ctx, Trouble::Stream, &text);
    }
}

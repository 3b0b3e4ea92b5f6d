//! Messages that can never be applied. Each has to be refused and acknowledged, or it would stand
//! in the window for ever and stop all others.

use crate::failure::Result;
use crate::stage::{Context, Setup, Stage, Tally};

/// More than the bridge's `max_payload`.
const TOO_LARGE: usize = 300 * 1024;

/// The poison with this number: its topic and payload.
fn poison(number: usize) -> (String, Vec<u8>) {
    let topic = format!("devices/poison-{number}/reported");
    let payload = match number % 8 {
        0 => br#"{"reported":{"a":1}"#.to_vec(),
        // The beginning of a protobuf message.
        1 => vec![0x0a, 0x07, b'p', b'u', b'm'],
        2 => Vec::new(),
        3 => br#"{"reported":5}"#.to_vec(),
        4 => b"{\"reported\":{\"a\":\"\0\"}}".to_vec(),
        5 => b"{\"reported\":{\"a\":\"\xff\xfe\"}}".to_vec(),
        6 => br#"{"reported":{"a":1},"seq":"one"}"#.to_vec(),
        // Some of them only: the others are as wrong, and smaller.
        _ if number % 80 == 7 => vec![b' '; TOO_LARGE],
        _ => b"[]".to_vec(),
    };
    (topic, payload)
}

pub fn run(context: &Context) -> Result<Tally> {
    let mut load = context.load();
    load.fiftieth = Some(poison);
    let setup = Setup {
        retained: 50,
        ..Setup::default()
    };
    Stage::start(context, setup, load)?.finish()
}

//! The report of a bench, begun the same way by all.

use devicestate_report::{server_version, Machine, Report};

use super::{machine, Options};
use crate::support::*;

pub const NO_AOF: &str = "no append-only file";
pub const EVERYSEC: &str = "appendfsync everysec";

/// The two settings that figures are taken with: the last part of a table's id, the same for its
/// title, and whether there is an append-only file.
pub const BOTH: [(&str, &str, bool); 2] = [("no_aof", NO_AOF, false), ("aof", EVERYSEC, true)];

/// Looks at the machine, before anything else runs, and says what it is.
pub fn begin(bench: &str, options: &Options) -> Report {
    let machine = Machine {
        pinned: machine::can_pin(),
        ..Machine::here()
    };
    let server = Server::builder().without_module().start();
    let machine = Machine {
        server: server_version(&cmd!(server.connection(), "INFO", "server").text()),
        ..machine
    };
    println!("{}", machine.line());
    let mut report = Report::new(bench, options.quick, machine);
    let numbers = options.numbers();
    let listed = numbers.map(|(name, value)| {
        report.setting(name, value);
        format!("{name} {value}")
    });
    println!("{}", listed.collect::<Vec<_>>().join(", "));
    report
}

//! What must hold after any fault, and in the midst of any load: that everything which is stored says
//! the same, and that the stream of events tells each thing once. All of it is read in one atomic step.

mod damage;
mod data;
mod events;
mod indexes;
mod owned;
mod users;

use redis::Connection;

use crate::support::*;
use data::Data;

/// Asserts everything: that indexes, shadows, history, commands, alerts and users say what the hashes
/// say, that the stream tells each thing once and ends as the hashes are, and that the module's own
/// `DEVICE.CHECK` finds nothing either.
#[track_caller]
pub fn assert_sound(con: &mut Connection) {
    assert_none(&faults(con));
}

/// Everything that is wrong, a line each.
#[track_caller]
pub fn faults(con: &mut Connection) -> Vec<String> {
    all_faults(&Data::read_and_check(con))
}

fn all_faults(data: &Data) -> Vec<String> {
    let mut found = indexes::inconsistencies(data);
    found.extend(owned::faults(data));
    found.extend(users::faults(data));
    found.extend(events::faults(data));
    let own = data.check.iter().filter(|(name, _)| *name != "checked");
    found.extend(own.map(|(name, count)| format!("DEVICE.CHECK: {count} {name}")));
    found
}

/// Asserts that [`inconsistencies`] finds nothing.
#[track_caller]
pub fn assert_consistent(con: &mut Connection) {
    assert_none(&inconsistencies(con));
}

/// What the indexes of devices and the hashes disagree about, a line each.
/// Devices of the plain recipe that nobody has adopted are left out: their indexes are not ours yet.
#[track_caller]
pub fn inconsistencies(con: &mut Connection) -> Vec<String> {
    indexes::inconsistencies(&Data::read(con))
}

/// Asserts that a user is in `alerts:due` exactly while there is a batch to fetch, at the time at which
/// it can be fetched, and that a batch that is out has as many items as it says.
#[track_caller]
pub fn assert_users_consistent(con: &mut Connection) {
    assert_none(&users::faults(&Data::read(con)));
}

/// Asserts that in the stream `online` and `offline` of each device take turns, beginning with
/// `online`, that stream ids go up, and that the last one is what the hash says.
#[track_caller]
pub fn assert_told_once(con: &mut Connection) {
    assert_none(&events::told_twice(&Data::read(con)));
}

#[track_caller]
fn assert_none(found: &[String]) {
    let shown = &found[..found.len().min(30)];
    assert!(
        found.is_empty(),
        "{} faults:\n{}",
        found.len(),
        shown.join("\n")
    );
}

/// After a load of everything, all that is asserted holds, and the background had nothing to mend.
#[test]
fn everything_is_sound_after_any_workload() {
    let server = crate::devices::quick();
    let mut con = server.connection();
    let mut workload = crate::workload::Workload::new(3);
    for _ in 0..5 {
        workload.run(&mut con, 600);
        assert_sound(&mut con);
    }
    assert_eq!(crate::devices::info_number(&mut con, "mended"), 0);
}

//! Peers that take turns, so that whatever the machine does meanwhile meets all of them alike.

use super::driver::Driver;
use super::{machine, Rounds};
use crate::support::*;

/// One peer on its server: runs about so many operations; gives operations per second, and the
/// server's processor time for each in microseconds.
pub struct Turn<'a> {
    run: Box<dyn FnMut(usize) -> (f64, f64) + 'a>,
    /// How many operations make a round.
    operations: usize,
}

impl<'a> Turn<'a> {
    pub fn new(run: impl FnMut(usize) -> (f64, f64) + 'a) -> Turn<'a> {
        Turn {
            run: Box::new(run),
            operations: 0,
        }
    }

    /// Each turn does the same number of operations, and none before the first.
    pub fn of(mut self, operations: usize) -> Turn<'a> {
        self.operations = operations;
        self
    }

    /// Warms up; how many operations take about so many milliseconds.
    fn operations_in(&mut self, milliseconds: usize) -> usize {
        let mut tried = milliseconds * 20;
        loop {
            let (rate, _) = (self.run)(tried);
            // redis-benchmark counts whole milliseconds: less than one is a rate without end.
            if rate.is_finite() {
                return (rate * milliseconds as f64 / 1_000.0) as usize + 1;
            }
            tried *= 2;
        }
    }
}

/// A run of a driver's, as a turn wants it.
pub fn drive(server: &Server, driver: &mut Driver, operations: usize) -> (f64, f64) {
    let before = machine::processor_seconds(server);
    let (operations, took) = driver.run(operations);
    let used = machine::processor_seconds(server) - before;
    let rate = operations as f64 / took.as_secs_f64();
    (rate, used * 1e6 / operations as f64)
}

/// All of them in turn, `rounds` times, each time with another one first; `all` has one entry for
/// each. A first run warms up and tells how many operations take so many milliseconds. `is_over` hears
/// of the end of each round.
pub fn take(
    turns: &mut [Turn<'_>],
    all: &mut [Rounds],
    rounds: usize,
    milliseconds: usize,
    mut is_over: impl FnMut(),
) {
    assert_eq!(turns.len(), all.len());
    for turn in turns.iter_mut().filter(|turn| turn.operations == 0) {
        turn.operations = turn.operations_in(milliseconds);
    }
    for round in 0..rounds {
        for at in 0..turns.len() {
            let at = (at + round) % turns.len();
            let operations = turns[at].operations;
            let (rate, micros) = (turns[at].run)(operations);
            all[at].add(rate, micros);
        }
        is_over();
    }
}

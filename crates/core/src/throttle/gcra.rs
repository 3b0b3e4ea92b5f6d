//! The generic cell rate algorithm: hits drain at an even rate, and up to the limit may come at once.
//!
//! The state of a limit is one moment, the theoretical arrival time: how far ahead of now the hits
//! so far reach. A hit of cost `n` moves it by `n` intervals (period / limit) and passes while it is
//! no more than the whole limit ahead. Times are nanoseconds, so that high rates keep their exact
//! interval. As redis-cell, except that a changed limit or a clock set back is clamped to one full
//! limit ahead (redis-cell#54), and that several limits are charged together or not at all.

use std::fmt::Write;

use super::{Answer, Limit};

const NS_PER_MS: u64 = 1_000_000;

/// Begins every stored state.
const PREFIX: &str = "g1:";

/// The arrival times of several limits, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State(Vec<u64>);

impl State {
    /// `None`: this is no state of ours.
    pub fn decode(text: &[u8]) -> Option<State> {
        let times = std::str::from_utf8(text).ok()?.strip_prefix(PREFIX)?;
        let times = times.split(',').map(|time| time.parse().ok());
        times.collect::<Option<Vec<u64>>>().map(State)
    }

    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + 20 * self.0.len());
        text.push_str(PREFIX);
        for (index, time) in self.0.iter().enumerate() {
            // Writing to a string can't fail.
            let comma = if index > 0 { "," } else { "" };
            let _ = write!(text, "{comma}{time}");
        }
        text
    }
}

/// What has to be stored after a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing changes.
    Keep,
    /// Nothing is charged any more.
    Clear,
    /// To be kept until this moment, in milliseconds since the Unix epoch.
    Store(State, u64),
}

/// One limit in nanoseconds.
struct Cell {
    limit: u64,
    interval: u64,
    /// The furthest ahead of now that the arrival time may be.
    full: u64,
    /// How far ahead it is.
    ahead: u64,
}

impl Cell {
    fn new(limit: &Limit, arrival: u64, now: u64) -> Cell {
        // At least a nanosecond: the limits are checked (see `is_too_fast`).
        let interval = limit.period_ms.saturating_mul(NS_PER_MS) / limit.limit.max(1);
        let full = interval.saturating_mul(limit.limit);
        Cell {
            limit: limit.limit,
            interval: interval.max(1),
            full,
            ahead: arrival.saturating_sub(now).min(full),
        }
    }

    fn remaining(&self, ahead: u64) -> u64 {
        (self.full - ahead) / self.interval
    }

    /// How far ahead the arrival time would be after this cost.
    fn after(&self, cost: i64) -> i128 {
        let after = i128::from(self.ahead) + i128::from(cost) * i128::from(self.interval);
        after.max(0)
    }

    /// By how many nanoseconds a hit of this cost is too early; `None`: it will never pass.
    fn too_early(&self, cost: i64) -> Option<u64> {
        if i128::from(cost) > i128::from(self.limit) {
            return None;
        }
        let excess = self.after(cost) - i128::from(self.full);
        Some(u64::try_from(excess).unwrap_or(0))
    }
}

/// Whether a limit is beyond what nanoseconds can tell.
pub fn is_too_fast(limit: &Limit) -> bool {
    limit.period_ms.saturating_mul(NS_PER_MS) < limit.limit
}

/// Charges `cost` to all limits, or to none if one of them has no room; a negative cost gives back.
/// With a cost of 0 it only looks: limited then means that nothing remains. The answer is that of
/// the limit which binds: the one to wait for longest, else the one with the least remaining. A
/// state of another number of limits starts afresh. `limits` is not empty, `now_ms` is milliseconds
/// since the Unix epoch.
pub fn hit(stored: Option<&State>, limits: &[Limit], cost: i64, now_ms: u64) -> (Answer, Next) {
    let now = now_ms.saturating_mul(NS_PER_MS);
    let stored = stored.filter(|state| state.0.len() == limits.len());
    let cells: Vec<Cell> = limits
        .iter()
        .enumerate()
        .map(|(index, limit)| Cell::new(limit, stored.map_or(now, |state| state.0[index]), now))
        .collect();
    let asked = if cost == 0 { 1 } else { cost };
    // No hit waits longer than one that never passes.
    let wait = |cell: &Cell| cell.too_early(asked).unwrap_or(u64::MAX);
    let limited = cells.iter().any(|cell| wait(cell) > 0);
    let ahead = |cell: &Cell| match cost {
        0 => cell.ahead,
        _ if limited => cell.ahead,
        cost => u64::try_from(cell.after(cost))
            .unwrap_or(u64::MAX)
            .min(cell.full),
    };
    let binding = cells.iter().reduce(|best, cell| {
        let binds_more = if limited {
            wait(cell) > wait(best)
        } else {
            cell.remaining(ahead(cell)) < best.remaining(ahead(best))
        };
        if binds_more {
            cell
        } else {
            best
        }
    });
    let answer = binding.map_or(NO_LIMIT, |cell| Answer {
        limited,
        limit: cell.limit,
        remaining: cell.remaining(ahead(cell)),
        retry_ms: match limited {
            true => cell.too_early(asked).map(|wait| wait.div_ceil(NS_PER_MS)),
            false => None,
        },
        reset_ms: ahead(cell).div_ceil(NS_PER_MS),
    });
    // A denied hit leaves the state alone, unless that has to be clamped: who waits as told passes.
    let is_clamped = stored.is_some_and(|state| {
        let mut arrivals = state.0.iter().zip(&cells);
        arrivals.any(|(arrival, cell)| arrival.saturating_sub(now) > cell.full)
    });
    let next = if cost == 0 || (limited && !is_clamped) {
        Next::Keep
    } else {
        let furthest = cells.iter().map(ahead).max().unwrap_or(0);
        match (furthest, stored) {
            (0, None) => Next::Keep,
            (0, Some(_)) => Next::Clear,
            (furthest, _) => {
                let times = cells.iter().map(|cell| now.saturating_add(ahead(cell)));
                let until = now.saturating_add(furthest).div_ceil(NS_PER_MS);
                Next::Store(State(times.collect()), until)
            }
        }
    };
    (answer, next)
}

/// What is answered without any limit.
const NO_LIMIT: Answer = Answer {
    limited: false,
    limit: u64::MAX,
    remaining: u64::MAX,
    retry_ms: None,
    reset_ms: 0,
};

#[cfg(test)]
mod tests;

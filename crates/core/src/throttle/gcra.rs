//! The generic cell rate algorithm: hits drain at an even rate, and up to the limit may come at once.
//!
//! The state of a limit is one moment, the theoretical arrival time: how far ahead of now the hits
//! so far reach. A hit of cost `n` moves it by `n` intervals (period / limit) and passes while it is
//! no more than the whole limit ahead. Times are nanoseconds, so that high rates keep their exact
//! interval. As redis-cell, except that a changed limit or a clock set back is clamped to one full
//! limit ahead (redis-cell#54), and that several limits are charged together or not at all.

use super::{Answer, Limit, MAX_LIMITS};
use crate::digits::leading_u64;

const NS_PER_MS: u64 = 1_000_000;

/// Begins every stored state.
const PREFIX: &str = "g1:";
/// The digits of the largest time, and a comma.
const LONGEST_TIME: usize = 21;

/// The arrival times of several limits, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    times: [u64; MAX_LIMITS],
    count: usize,
}

impl State {
    /// `None`: this is no state of ours.
    pub fn decode(text: &[u8]) -> Option<State> {
        let mut state = State::default();
        let mut rest = text.strip_prefix(PREFIX.as_bytes())?;
        loop {
            let (time, behind) = leading_u64(rest)?;
            state.push(time)?;
            match behind {
                [] => return Some(state),
                [b',', more @ ..] => rest = more,
                _ => return None,
            }
        }
    }

    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(PREFIX.len() + LONGEST_TIME * self.count);
        text.push_str(PREFIX);
        let mut digits = itoa::Buffer::new();
        for (index, time) in self.times().iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(digits.format(*time));
        }
        text
    }

    fn times(&self) -> &[u64] {
        &self.times[..self.count]
    }

    /// `None`: there are too many.
    fn push(&mut self, time: u64) -> Option<()> {
        *self.times.get_mut(self.count)? = time;
        self.count += 1;
        Some(())
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

/// One limit and how far it is charged, in nanoseconds.
#[derive(Clone, Copy, Default)]
struct Cell {
    limit: u64,
    interval: u64,
    /// The furthest ahead of now that the arrival time may be.
    full: u64,
    /// How far ahead it is.
    ahead: u64,
    /// What was stored lies further ahead than that.
    is_clamped: bool,
}

/// The wait for what never passes; no other is as long.
const NEVER: u64 = u64::MAX;

impl Cell {
    fn new(limit: &Limit, arrival: u64, now: u64) -> Cell {
        // At least a nanosecond: the limits are checked (see `is_too_fast`).
        let interval = limit.period_ms.saturating_mul(NS_PER_MS) / limit.limit.max(1);
        let full = interval.saturating_mul(limit.limit);
        let ahead = arrival.saturating_sub(now);
        Cell {
            limit: limit.limit,
            interval: interval.max(1),
            full,
            ahead: ahead.min(full),
            is_clamped: ahead > full,
        }
    }

    fn remaining(&self) -> u64 {
        (self.full - self.ahead) / self.interval
    }

    /// How far ahead the arrival time would be after this cost, however far that is.
    fn after(&self, cost: i64) -> u64 {
        let step = self.interval.saturating_mul(cost.unsigned_abs());
        match cost < 0 {
            true => self.ahead.saturating_sub(step),
            false => self.ahead.saturating_add(step),
        }
    }

    /// How long a hit of this cost has to wait.
    fn wait(&self, cost: i64) -> u64 {
        match u64::try_from(cost) {
            Ok(cost) if cost > self.limit => NEVER,
            _ => self.after(cost).saturating_sub(self.full),
        }
    }
}

/// Whether a limit is beyond what nanoseconds can tell.
pub fn is_too_fast(limit: &Limit) -> bool {
    limit.period_ms.saturating_mul(NS_PER_MS) < limit.limit
}

/// Charges `cost` to all limits, or to none if one of them has no room; a negative cost gives back.
/// With a cost of 0 it only looks: limited then means that nothing remains. The answer is that of
/// the limit which binds: the one to wait for longest, else the one with the least remaining. A
/// state of another number of limits starts afresh. There are from one to [`MAX_LIMITS`] limits,
/// `now_ms` is milliseconds since the Unix epoch.
pub fn hit(stored: Option<&State>, limits: &[Limit], cost: i64, now_ms: u64) -> (Answer, Next) {
    let now = now_ms.saturating_mul(NS_PER_MS);
    let stored = stored
        .map(State::times)
        .filter(|times| times.len() == limits.len());
    let mut cells = [Cell::default(); MAX_LIMITS];
    let cells = &mut cells[..limits.len().min(MAX_LIMITS)];
    for (index, cell) in cells.iter_mut().enumerate() {
        let arrival = stored.map_or(now, |times| times[index]);
        *cell = Cell::new(&limits[index], arrival, now);
    }
    let asked = if cost == 0 { 1 } else { cost };
    let limited = cells.iter().any(|cell| cell.wait(asked) > 0);
    if !limited && cost != 0 {
        for cell in cells.iter_mut() {
            cell.ahead = cell.after(cost);
        }
    }
    let answer = cells.iter().reduce(|best, cell| {
        let binds_more = match limited {
            true => cell.wait(asked) > best.wait(asked),
            false => cell.remaining() < best.remaining(),
        };
        if binds_more {
            cell
        } else {
            best
        }
    });
    let answer = answer.map_or(NO_LIMIT, |cell| Answer {
        limited,
        limit: cell.limit,
        remaining: cell.remaining(),
        retry_ms: match cell.wait(asked) {
            wait if limited && wait != NEVER => Some(wait.div_ceil(NS_PER_MS)),
            _ => None,
        },
        reset_ms: cell.ahead.div_ceil(NS_PER_MS),
    });
    // A denied hit leaves the state alone, unless that has to be clamped: who waits as told passes.
    if cost == 0 || (limited && !cells.iter().any(|cell| cell.is_clamped)) {
        return (answer, Next::Keep);
    }
    let furthest = cells.iter().map(|cell| cell.ahead).max().unwrap_or(0);
    let next = match (furthest, stored) {
        (0, None) => Next::Keep,
        (0, Some(_)) => Next::Clear,
        _ => {
            let mut state = State::default();
            for cell in cells.iter() {
                state.push(now.saturating_add(cell.ahead));
            }
            Next::Store(state, now.saturating_add(furthest).div_ceil(NS_PER_MS))
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

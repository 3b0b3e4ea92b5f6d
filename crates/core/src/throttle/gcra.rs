//! The generic cell rate algorithm: hits drain at an even rate, and up to the limit may come at once.
//!
//! The state of a limit is one moment, the theoretical arrival time: how far ahead of now the hits
//! so far reach. A hit of cost `n` moves it by `n` intervals (period / limit) and passes while it is
//! no more than the whole limit ahead. Times are nanoseconds, so that high rates keep their exact
//! interval. As redis-cell, except that a changed limit or a clock set back is clamped to one full
//! limit ahead (redis-cell#54), and that several limits are charged together or not at all.

use super::{Answer, Limit, MAX_LIMITS};

const NS_PER_MS: u64 = 1_000_000;

/// Begins every stored state.
const PREFIX: &[u8] = b"g1:";
/// What stands before the times.
const HEAD: usize = PREFIX.len() + 1;
const TIME: usize = size_of::<u64>();

/// A key may be kept longer than needed by one part in so many of its longest period.
const SPARE: u64 = 16;
/// No period has spare time for more.
const LARGEST_STEP: u8 = 40;

/// The arrival times of several limits, in nanoseconds since the Unix epoch.
///
/// It is stored as `g1:`, the step in one byte, and eight bytes for each time, the highest first. So
/// one limit takes as much memory as the server's own record of a string, 16 bytes, and the allocator
/// mostly puts the two side by side: there is one place less in memory to wait for.
///
/// The key expires when the last of the times has passed, rounded up to a whole step of 2 to the
/// power of `step` milliseconds. So most hits leave the expiry as it is, and know that without a
/// look: the server looks the key up twice to set it, and twice to tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    times: [u64; MAX_LIMITS],
    count: usize,
    step: u8,
}

impl State {
    /// `None`: this is no state of ours.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Option<State> {
        let (step, times) = bytes.strip_prefix(PREFIX)?.split_first()?;
        let (times, rest) = times.as_chunks();
        let is_ours = rest.is_empty() && !times.is_empty() && *step <= LARGEST_STEP;
        if !is_ours || times.len() > MAX_LIMITS {
            return None;
        }
        let mut state = State {
            count: times.len(),
            step: *step,
            ..State::default()
        };
        for (time, bytes) in state.times.iter_mut().zip(times) {
            *time = u64::from_be_bytes(*bytes);
        }
        Some(state)
    }

    #[inline]
    pub fn encode(&self) -> Encoded {
        let mut bytes = [0; HEAD + TIME * MAX_LIMITS];
        let (head, rest) = bytes.split_at_mut(HEAD);
        head[..PREFIX.len()].copy_from_slice(PREFIX);
        head[PREFIX.len()] = self.step;
        for (bytes, time) in rest.as_chunks_mut().0.iter_mut().zip(self.times()) {
            *bytes = time.to_be_bytes();
        }
        let length = HEAD + TIME * self.count;
        Encoded { bytes, length }
    }

    /// When the key expires, in milliseconds since the Unix epoch.
    #[inline]
    fn expires_at(&self) -> u64 {
        let last = self.times().iter().max().copied().unwrap_or(0);
        // No overflow: there are a million times as many nanoseconds.
        let whole_steps = (last.div_ceil(NS_PER_MS) + (1 << self.step) - 1) >> self.step;
        whole_steps << self.step
    }

    fn times(&self) -> &[u64] {
        &self.times[..self.count.min(MAX_LIMITS)]
    }
}

/// A state as it is stored.
pub struct Encoded {
    bytes: [u8; HEAD + TIME * MAX_LIMITS],
    length: usize,
}

impl Encoded {
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// What has to be stored after a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing changes.
    Keep,
    /// Nothing is charged any more.
    Clear,
    Store {
        state: State,
        /// In milliseconds since the Unix epoch.
        expires_at: u64,
        /// It is another than before.
        expires_anew: bool,
    },
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
    /// How long the hit has to wait.
    wait: u64,
}

/// The wait for what never passes; no other is as long.
const NEVER: u64 = u64::MAX;

impl Cell {
    #[inline]
    fn new(limit: &Limit, arrival: u64, now: u64, cost: i64) -> Cell {
        // At least a nanosecond: the limits are checked (see `is_too_fast`).
        let interval = limit.period_ms.saturating_mul(NS_PER_MS) / limit.limit.max(1);
        let full = interval.saturating_mul(limit.limit);
        let ahead = arrival.saturating_sub(now);
        let mut cell = Cell {
            limit: limit.limit,
            interval: interval.max(1),
            full,
            ahead: ahead.min(full),
            is_clamped: ahead > full,
            wait: 0,
        };
        cell.wait = match u64::try_from(cost) {
            Ok(cost) if cost > cell.limit => NEVER,
            _ => cell.after(cost).saturating_sub(full),
        };
        cell
    }

    #[inline]
    fn remaining(&self) -> u64 {
        (self.full - self.ahead) / self.interval
    }

    /// How far ahead the arrival time would be after this cost, however far that is.
    #[inline]
    fn after(&self, cost: i64) -> u64 {
        let step = self.interval.saturating_mul(cost.unsigned_abs());
        match cost < 0 {
            true => self.ahead.saturating_sub(step),
            false => self.ahead.saturating_add(step),
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
#[inline]
pub fn hit(stored: Option<&State>, limits: &[Limit], cost: i64, now_ms: u64) -> (Answer, Next) {
    let now = now_ms.saturating_mul(NS_PER_MS);
    let stored = stored.filter(|state| state.count == limits.len());
    match limits {
        // Most have one: without loops, and without room for more.
        [limit] => charge(stored, &[*limit], &mut [Cell::default()], cost, now),
        _ => charge(
            stored,
            limits,
            &mut [Cell::default(); MAX_LIMITS],
            cost,
            now,
        ),
    }
}

#[inline(always)]
fn charge(
    stored: Option<&State>,
    limits: &[Limit],
    cells: &mut [Cell],
    cost: i64,
    now: u64,
) -> (Answer, Next) {
    let count = limits.len().min(cells.len());
    let cells = &mut cells[..count];
    let asked = if cost == 0 { 1 } else { cost };
    let (mut limited, mut is_clamped) = (false, false);
    for (index, cell) in cells.iter_mut().enumerate() {
        let arrival = stored.map_or(now, |state| state.times[index]);
        *cell = Cell::new(&limits[index], arrival, now, asked);
        limited |= cell.wait > 0;
        is_clamped |= cell.is_clamped;
    }
    if !limited && cost != 0 {
        for cell in cells.iter_mut() {
            cell.ahead = cell.after(cost);
        }
    }
    let answer = cells.iter().reduce(|best, cell| {
        let binds_more = match limited {
            true => cell.wait > best.wait,
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
        retry_ms: (limited && cell.wait != NEVER).then(|| cell.wait.div_ceil(NS_PER_MS)),
        reset_ms: cell.ahead.div_ceil(NS_PER_MS),
    });
    // A denied hit leaves the state alone, unless that has to be clamped: who waits as told passes.
    if cost == 0 || (limited && !is_clamped) {
        return (answer, Next::Keep);
    }
    let next = match (cells.iter().any(|cell| cell.ahead > 0), stored) {
        (false, None) => Next::Keep,
        (false, Some(_)) => Next::Clear,
        (true, _) => store(stored, cells, now),
    };
    (answer, next)
}

#[inline(always)]
fn store(stored: Option<&State>, cells: &[Cell], now: u64) -> Next {
    let mut state = State::default();
    let mut longest = 0;
    for (time, cell) in state.times.iter_mut().zip(cells) {
        *time = now.saturating_add(cell.ahead);
        longest = longest.max(cell.full);
    }
    state.count = cells.len();
    state.step = step_of(longest);
    let expires_at = state.expires_at();
    Next::Store {
        expires_anew: stored.map(State::expires_at) != Some(expires_at),
        expires_at,
        state,
    }
}

/// The largest step that is no more than the spare time of this period in nanoseconds.
#[inline]
fn step_of(longest: u64) -> u8 {
    let spare_ms = longest / (SPARE * NS_PER_MS);
    let step = spare_ms.checked_ilog2().unwrap_or(0);
    u8::try_from(step).unwrap_or(LARGEST_STEP)
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

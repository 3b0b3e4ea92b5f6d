//! Throttling: whether a caller may go on, and when it may again.
//!
//! Two forms. A fixed [`window`] counts hits and forgets them all when it ends; [`gcra`] spreads them
//! evenly and may hold several limits at once. Both are functions of what is stored, the limits and
//! the time; neither knows where its state lives.

pub mod gcra;
pub mod window;

/// How many limits one key may have: enough for a second, a minute, an hour, a day and more.
pub const MAX_LIMITS: usize = 8;

/// At most `limit` hits per `period_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// At least 1.
    pub limit: u64,
    /// In milliseconds, at least 1.
    pub period_ms: u64,
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub limited: bool,
    pub limit: u64,
    /// How much cost would still be let through now.
    pub remaining: u64,
    /// After how many milliseconds the same hit would be let through; `None` when it was, or never
    /// will be.
    pub retry_ms: Option<u64>,
    /// After how many milliseconds everything remains again.
    pub reset_ms: u64,
}

//! What happened: counters that all devices share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::latency::Histogram;
use crate::plan::Fate;

/// So many distinct error texts are kept; the rest are counted only.
const ERROR_TEXTS: usize = 5;

/// The wall clock: milliseconds since the Unix epoch (0 for a clock before it).
pub fn wall_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A number that only the summary reads.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A device that ended before the run did. Times are wall-clock milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub id: String,
    /// When its last acknowledged beat was sent: the server saw it between this ...
    pub last_beat_ms: u64,
    /// ... and this moment, when the acknowledgement came.
    pub last_ack_ms: u64,
    /// When it fell silent, its goodbye was acknowledged, or its connection was dropped.
    pub at_ms: u64,
}

#[derive(Default)]
pub struct Stats {
    /// Devices that connected at least once.
    pub connected: Count,
    /// Devices with a connection now.
    pub online: Count,
    /// Devices with at least one acknowledged beat.
    pub beaten: Count,
    /// Beats sent, reports among them.
    pub sent: Count,
    /// Beats acknowledged: by PUBACK, or by a reply that is no error.
    pub acknowledged: Count,
    /// Acknowledged beats that were reports.
    pub reports: Count,
    pub reconnects: Count,
    errors: Count,
    detail: Mutex<Detail>,
}

/// What one lock guards.
struct Detail {
    latency: Histogram,
    texts: Vec<(String, u64)>,
    silent: Vec<Ended>,
    goodbye: Vec<Ended>,
    cut: Vec<Ended>,
    first_sent: Option<Instant>,
    last_ack: Option<Instant>,
}

impl Default for Detail {
    fn default() -> Self {
        Detail {
            latency: Histogram::new(),
            texts: Vec::new(),
            silent: Vec::new(),
            goodbye: Vec::new(),
            cut: Vec::new(),
            first_sent: None,
            last_ack: None,
        }
    }
}

impl Stats {
    fn detail(&self) -> MutexGuard<'_, Detail> {
        // A panic elsewhere does not make counters wrong.
        self.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `beats` that go out now.
    pub fn sent(&self, beats: u64) {
        self.sent.add(beats);
        self.detail().first_sent.get_or_insert_with(Instant::now);
    }

    /// Counts `beats`, `reports` among them, that were sent at `sent` and are acknowledged now.
    pub fn acknowledged(&self, beats: u64, reports: u64, sent: Instant) {
        let now = Instant::now();
        self.acknowledged.add(beats);
        self.reports.add(reports);
        let mut detail = self.detail();
        detail.latency.add(now.duration_since(sent), beats);
        detail.last_ack = Some(now);
    }

    /// Counts an error, and keeps its text if it is among the first distinct ones.
    pub fn error(&self, text: &str) {
        self.errors.add(1);
        let mut detail = self.detail();
        if let Some((_, count)) = detail.texts.iter_mut().find(|(known, _)| known == text) {
            *count += 1;
        } else if detail.texts.len() < ERROR_TEXTS {
            detail.texts.push((text.to_string(), 1));
        }
    }

    pub fn ended(&self, fate: Fate, device: Ended) {
        let mut detail = self.detail();
        match fate {
            Fate::Stays => {}
            Fate::Silent => detail.silent.push(device),
            Fate::Goodbye => detail.goodbye.push(device),
            Fate::Cut => detail.cut.push(device),
        }
    }

    /// All numbers as they are now.
    pub fn totals(&self) -> Totals {
        let detail = self.detail();
        let seconds = match (detail.first_sent, detail.last_ack) {
            (Some(first), Some(last)) => last.saturating_duration_since(first).as_secs_f64(),
            _ => 0.0,
        };
        let acknowledged = self.acknowledged.get();
        Totals {
            connected: self.connected.get(),
            sent: self.sent.get(),
            acknowledged,
            reports: self.reports.get(),
            errors: self.errors.get(),
            error_texts: detail.texts.clone(),
            reconnects: self.reconnects.get(),
            seconds,
            rate: if seconds > 0.0 {
                acknowledged as f64 / seconds
            } else {
                0.0
            },
            p50_ms: detail.latency.quantile_ms(0.5),
            p99_ms: detail.latency.quantile_ms(0.99),
            max_ms: detail.latency.max_ms(),
            silent: detail.silent.clone(),
            goodbye: detail.goodbye.clone(),
            cut: detail.cut.clone(),
        }
    }

    /// Beats sent, acknowledged, and errors, for the progress line.
    pub fn progress(&self) -> (u64, u64, u64) {
        (self.sent.get(), self.acknowledged.get(), self.errors.get())
    }
}

/// A reading of [`Stats`].
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub connected: u64,
    pub sent: u64,
    pub acknowledged: u64,
    pub reports: u64,
    pub errors: u64,
    pub error_texts: Vec<(String, u64)>,
    pub reconnects: u64,
    /// From the first beat sent to the last acknowledgement.
    pub seconds: f64,
    /// Acknowledged beats per second of that time.
    pub rate: f64,
    /// Time from a beat to its acknowledgement; None when there was none.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    pub silent: Vec<Ended>,
    pub goodbye: Vec<Ended>,
    pub cut: Vec<Ended>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_distinct_errors_keep_their_text() {
        let stats = Stats::default();
        for n in 0..20 {
            stats.error(&format!("error {}", n % 10));
        }
        let totals = stats.totals();
        assert_eq!(totals.errors, 20);
        assert_eq!(totals.error_texts.len(), ERROR_TEXTS);
        assert_eq!(totals.error_texts[0], ("error 0".to_string(), 2));
    }

    #[test]
    fn beats_are_counted_and_timed() {
        let stats = Stats::default();
        assert_eq!(stats.totals().rate, 0.0);
        let sent = Instant::now();
        stats.sent(3);
        stats.acknowledged(2, 1, sent);
        let totals = stats.totals();
        assert_eq!(
            (totals.sent, totals.acknowledged, totals.reports),
            (3, 2, 1)
        );
        assert!(totals.p50_ms.is_some() && totals.max_ms >= totals.p50_ms);
    }

    #[test]
    fn ended_devices_are_listed_by_fate() {
        let stats = Stats::default();
        let device = Ended {
            id: "a".into(),
            last_beat_ms: 1,
            last_ack_ms: 2,
            at_ms: 3,
        };
        stats.ended(Fate::Stays, device.clone());
        stats.ended(Fate::Cut, device.clone());
        let totals = stats.totals();
        assert_eq!((totals.silent.len(), totals.goodbye.len()), (0, 0));
        assert_eq!(totals.cut, [device]);
    }
}

//! Vectors A1-A9 of the module's reference (throttle-alert-queue.md, 3.2; seconds there,
//! milliseconds here), as far as they speak of one alert; what a user is told of it is tested on a
//! server (`tests/it/alert/vectors.rs`).

use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3_600_000;

/// One alert, and how often it was told.
#[derive(Default)]
struct Alert {
    record: Option<Record>,
    told: u64,
    resolved: u64,
    hold: u64,
}

impl Alert {
    fn held_for(hold: u64) -> Alert {
        Alert {
            hold,
            ..Alert::default()
        }
    }

    fn raise(&mut self, second: u64, severity: u32) -> (&'static str, u64) {
        let raise = Raise {
            severity,
            every: HOUR,
            hold: self.hold * 1_000,
            ..Raise::default()
        };
        let now = second * 1_000;
        let (mut record, outcome) = Record::raise(self.record.take(), &raise, now);
        if outcome.is_told() {
            record.told_now(&["u1".to_owned()], 0, now);
            self.told += 1;
        }
        let count = record.count;
        self.store(record, now);
        (outcome.name(), count)
    }

    /// Through its stored form, which must keep everything.
    fn store(&mut self, record: Record, now: u64) {
        let stored = Record::decode(record.encode().as_bytes()).expect("our own text");
        assert_eq!(stored.encode(), record.encode());
        self.record = Some(stored).filter(|record| !record.is_forgotten(now));
    }

    fn clear(&mut self, second: u64) -> Cleared {
        let Some(mut record) = self.record.take() else {
            return Cleared::Nothing;
        };
        let cleared = record.clear(second * 1_000);
        self.resolved += u64::from(cleared == Cleared::Resolved);
        self.store(record, second * 1_000);
        cleared
    }

    fn ack(&mut self) -> bool {
        self.record.as_mut().is_some_and(Record::ack)
    }

    fn state(&self) -> Option<State> {
        self.record.as_ref().map(|record| record.state)
    }
}

#[test]
fn a1_one_notification_per_hour() {
    let mut alert = Alert::default();
    assert_eq!(alert.raise(0, 2), ("new", 1));
    assert_eq!(alert.raise(60, 2), ("suppressed", 2));
    assert_eq!(alert.raise(3_599, 2), ("suppressed", 3));
    assert_eq!(alert.raise(3_600, 2), ("repeat", 4));
    assert_eq!(alert.raise(3_601, 2), ("suppressed", 5));
}

#[test]
fn a2_a_higher_severity_is_told_and_a_lower_one_never_lowers() {
    let mut alert = Alert::default();
    assert_eq!(alert.raise(0, 1), ("new", 1));
    assert_eq!(alert.raise(10, 3), ("escalated", 2));
    assert_eq!(alert.raise(20, 2), ("suppressed", 3));
    assert_eq!(alert.raise(30, 3), ("suppressed", 4));
    assert_eq!(alert.record.as_ref().map(|r| r.severity), Some(3));
}

#[test]
fn a5_resolved_is_told_once() {
    let mut alert = Alert::default();
    alert.raise(0, 1);
    assert_eq!(alert.clear(100), Cleared::Resolved);
    assert_eq!(alert.clear(100), Cleared::Nothing);
}

#[test]
fn a7_a_held_alert_needs_a_second_sighting() {
    let mut alert = Alert::held_for(300);
    for (second, outcome) in [
        (0, ("held", 1)),
        (100, ("held", 2)),
        (299, ("held", 3)),
        (300, ("new", 4)),
        (310, ("suppressed", 5)),
    ] {
        assert_eq!(alert.raise(second, 1), outcome, "{second}");
    }
}

#[test]
fn a8_a_held_alert_that_is_cleared_in_time_vanishes() {
    let mut alert = Alert::held_for(300);
    alert.raise(0, 1);
    assert_eq!(alert.clear(100), Cleared::Nothing);
    assert_eq!(alert.state(), None);
    assert_eq!(alert.raise(300, 1), ("held", 1));
}

#[test]
fn a9_an_acknowledged_alert_is_told_again_when_it_gets_worse() {
    let mut alert = Alert::default();
    alert.raise(0, 1);
    assert!(alert.ack());
    assert!(!alert.ack());
    assert_eq!(alert.raise(3_600, 1).0, "suppressed");
    assert_eq!(alert.raise(7_200, 1).0, "suppressed");
    assert_eq!(alert.raise(7_300, 3).0, "escalated");
    assert_eq!(alert.raise(10_900, 3).0, "repeat");
}

#[test]
fn a_sensor_above_its_range_every_second_is_told_once_an_hour() {
    let mut alert = Alert::default();
    for second in 0..3_600 {
        alert.raise(second, 1);
    }
    assert_eq!(alert.told, 1);
    assert_eq!(alert.raise(3_600, 1), ("repeat", 3_601));
    assert_eq!(alert.told, 2);
}

#[test]
fn flapping_does_not_beat_the_clock() {
    let mut alert = Alert::default();
    for second in 0..3_600 {
        alert.raise(second, 1 + (second % 3) as u32);
        alert.clear(second);
    }
    assert_eq!(alert.told, 3, "new, and twice worse than before");
    assert_eq!(alert.resolved, 3);
    assert_eq!(
        alert.raise(3_600, 1).0,
        "suppressed",
        "the clock of the worst"
    );
}

#[test]
fn a_cleared_alert_is_forgotten_when_its_clock_has_run() {
    let mut alert = Alert::default();
    alert.raise(0, 3);
    alert.clear(10);
    assert_eq!(alert.raise(20, 2), ("suppressed", 2));
    alert.clear(30);
    assert_eq!(alert.raise(3_600, 1), ("new", 1));
}

#[test]
fn an_alert_nobody_knows_of_is_not_resolved() {
    let mut alert = Alert::default();
    alert.raise(0, 1);
    assert_eq!(alert.clear(10), Cleared::Resolved);
    alert.raise(20, 1);
    assert_eq!(alert.clear(30), Cleared::Untold);
}

/// A user is handed a batch that took over a raise that was suppressed.
#[test]
fn who_was_told_more_than_was_said_knows_that_it_fires() {
    let mut alert = Alert::default();
    let tell = |alert: &mut Alert, count| {
        let record = alert.record.as_mut().expect("a record");
        record.reported.insert("u1".to_owned(), count);
    };
    let knows = |alert: &Alert| {
        alert
            .record
            .as_ref()
            .is_some_and(|r| r.is_known_to_fire_by("u1"))
    };
    alert.raise(0, 1);
    tell(&mut alert, 1);
    assert!(!knows(&alert), "everybody was told");
    alert.clear(10);
    assert!(!knows(&alert));
    alert.raise(20, 1);
    assert!(!knows(&alert), "nobody was told that it fires again");
    tell(&mut alert, 2);
    assert!(knows(&alert));
    alert.clear(30);
    alert.raise(40, 1);
    assert!(!knows(&alert), "he was told that it was over");
    alert.raise(50, 2);
    tell(&mut alert, 4);
    assert!(!knows(&alert), "everybody was told");
}

#[test]
fn a_clock_set_back_silences_an_alert_for_no_longer_than_its_own() {
    let mut alert = Alert::default();
    alert.raise(1_000_000, 1);
    assert_eq!(alert.raise(5, 1).0, "suppressed");
    assert_eq!(alert.raise(3_604, 1).0, "suppressed");
    assert_eq!(alert.raise(3_605, 1).0, "repeat");
}

#[test]
fn what_an_alert_does_by_itself() {
    let at_once = |_| 0;
    let raise = |by, hold, keep| Raise {
        severity: 1,
        every: HOUR,
        hold,
        keep,
        by,
        ..Raise::default()
    };
    let (held, _) = Record::raise(None, &raise(Origin::Command, 500, 0), 1_000);
    assert_eq!(held.next(at_once), None, "a client raises it again");
    let (held, _) = Record::raise(None, &raise(Origin::Presence, 500, 0), 1_000);
    assert_eq!(held.next(at_once), Some((1_500, Due::Sight)));
    assert_eq!(
        held.next(|silence| 9_000 + silence),
        Some((9_000, Due::Sight)),
        "a server that was deaf listens first"
    );

    let (mut kept, _) = Record::raise(None, &raise(Origin::Command, 0, 700), 1_000);
    kept.told_now(&[], 0, 1_000);
    assert_eq!(kept.next(at_once), Some((1_700, Due::Lapsed)));
    assert_eq!(
        kept.next(|silence| 9_000 + silence),
        Some((9_700, Due::Lapsed))
    );

    let (mut flapping, _) = Record::raise(None, &raise(Origin::Value, 0, 0), 1_000);
    flapping.told_now(&[], 0, 1_000);
    assert_eq!(flapping.next(at_once), None);
    flapping.clear(2_000);
    assert_eq!(flapping.next(at_once), Some((1_000 + HOUR, Due::Forgotten)));
    let (mut flapping, outcome) = Record::raise(Some(flapping), &raise(Origin::Value, 0, 0), 3_000);
    assert_eq!(outcome, Outcome::Suppressed);
    assert_eq!(
        flapping.next(at_once),
        Some((1_000 + HOUR, Due::Sight)),
        "nobody knows that it fires again"
    );
    assert_eq!(flapping.sight(1, 1_000 + HOUR), Outcome::Repeat);
    assert!(flapping.ack());
    assert_eq!(flapping.next(at_once), None, "somebody takes care");
}

#[test]
fn what_is_no_record_is_none() {
    for text in ["", "1", "{}", "[]", "{\"state\":\"odd\"}", "\u{0}"] {
        assert!(Record::decode(text.as_bytes()).is_none(), "{text}");
    }
}

proptest! {
    /// Whatever comes: at most one notification per clock and step of severity, `resolved` only after
    /// one, and what it does by itself never lies in the past of what it was told last.
    #[test]
    fn it_is_never_told_too_often(
        steps in proptest::collection::vec((0..5u32, 0..2_000u64, any::<bool>()), 1..200)
    ) {
        let mut alert = Alert::default();
        let (mut now, mut last) = (0, None::<(u64, u32)>);
        for (severity, pause, clears) in steps {
            now += pause;
            if clears {
                alert.clear(now);
            } else {
                let told = alert.told;
                alert.raise(now, severity);
                if alert.told > told {
                    let is_worse = last.is_some_and(|(_, before)| severity > before);
                    let clock_ran = last.is_none_or(|(at, _)| now - at >= HOUR / 1_000);
                    prop_assert!(is_worse || clock_ran);
                    let severity = alert.record.as_ref().map_or(severity, |r| r.severity);
                    last = Some((now, severity));
                }
            }
            prop_assert!(alert.resolved <= alert.told);
        }
    }
}

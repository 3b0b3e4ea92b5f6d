//! The text of a record against the record itself.

use proptest::prelude::*;

use super::{raise_again, Again, Time};
use crate::alert::record::{Origin, State, Told};
use crate::alert::{Outcome, Raise, Record};

const NOW: u64 = 1_795_304_788_808;

/// Told a minute ago, and raised since.
fn record() -> Record {
    let raise = Raise {
        severity: 2,
        every: 3_600_000,
        ..Raise::default()
    };
    let (mut record, _) = Record::raise(None, &raise, NOW - 60_000);
    record.told_now(&["ops".to_owned(), "ann".to_owned()], 0, NOW - 60_000);
    record.count = 41;
    record
}

/// A raise that asks for what the record says.
fn as_before(record: &Record) -> Raise {
    Raise {
        severity: record.severity,
        every: record.every,
        hold: record.hold,
        keep: record.keep,
        ..Raise::default()
    }
}

/// Raises again, which must be as if the record had been raised; `None` when it is left to that.
#[track_caller]
fn check(text: &[u8], raise: &Raise, now: u64) -> Option<u64> {
    let mut after = text.to_vec();
    let Some(Again { count, longer }) = raise_again(&mut after, raise, now) else {
        assert_eq!(after, text, "nothing is changed");
        return None;
    };
    if let Some(longer) = longer {
        assert_eq!(after, text, "it is in the longer text");
        after = longer;
    }
    let stored = Record::decode(text).expect("a record");
    let (raised, outcome) = Record::raise(Some(stored), raise, now);
    assert_eq!(outcome, Outcome::Suppressed);
    assert_eq!(count, raised.count);
    let after = Record::decode(&after).expect("still a record");
    assert_eq!(after.encode(), raised.encode());
    Some(count)
}

#[test]
fn it_counts_and_notes_when_it_was_raised() {
    let record = record();
    let mut text = record.encode().into_bytes();
    let again = raise_again(&mut text, &as_before(&record), NOW);
    let (count, longer) = (42, None);
    assert_eq!(again, Some(Again { count, longer }));
    let mut expected = record.clone();
    expected.count = 42;
    expected.last = NOW;
    assert_eq!(String::from_utf8_lossy(&text), expected.encode());
}

#[test]
fn a_number_with_one_more_digit_makes_a_longer_text() {
    let mut record = record();
    record.count = 99;
    let mut text = record.encode().into_bytes();
    let again = raise_again(&mut text, &as_before(&record), NOW);
    record.count = 100;
    record.last = NOW;
    let longer = Some(record.encode().into_bytes());
    assert_eq!(again, Some(Again { count: 100, longer }));
}

#[test]
fn every_part_of_a_record_is_passed_over() {
    let mut full = record();
    full.hold = 5_000;
    full.keep = 60_000;
    full.acked = true;
    full.reported = [("ann".to_owned(), 3), ("ops".to_owned(), 41)].into();
    full.data = serde_json::from_str(r#"{"a":["}",{"b":1e3}]}"#).ok();
    full.told = full.told.map(|told| Told {
        firing: false,
        resolved: 7,
        ..told
    });
    let text = full.encode();
    assert_eq!(
        check(text.as_bytes(), &as_before(&full), NOW),
        Some(42),
        "{text}"
    );
}

/// What one raise, or one record, must have for the raise to be another's business.
#[test]
fn all_else_is_left_to_the_record() {
    type Change = fn(&mut Record, &mut Raise);
    let changes: [(&str, Change); 13] = [
        ("worse", |_, raise| raise.severity = 3),
        ("worse than told", |record, raise| {
            record.severity = 3;
            raise.severity = 3;
        }),
        ("another clock", |_, raise| raise.every += 1),
        ("held", |_, raise| raise.hold = 1),
        ("kept", |_, raise| raise.keep = 1),
        ("with data", |_, raise| {
            raise.data = serde_json::from_str("{}").ok();
        }),
        ("by a rule", |_, raise| raise.by = Origin::Value),
        ("raised by a rule before", |record, _| {
            record.by = Origin::Presence;
        }),
        ("cleared", |record, _| record.state = State::Cleared),
        ("never told", |record, _| record.told = None),
        ("the last of all counts", |record, _| {
            record.count = u64::MAX;
        }),
        ("raised later than now", |record, _| record.last = NOW + 1),
        ("a user to be escaped", |record, _| {
            record.users.push("o\"ps".to_owned());
        }),
    ];
    for (name, change) in changes {
        let mut record = record();
        let mut raise = as_before(&record);
        change(&mut record, &mut raise);
        let text = record.encode();
        assert_eq!(check(text.as_bytes(), &raise, NOW), None, "{name}: {text}");
    }
    // Its clock has run.
    let record = record();
    let text = record.encode();
    let ends = NOW - 60_000 + record.every;
    let raise = as_before(&record);
    assert!(check(text.as_bytes(), &raise, ends - 1).is_some());
    assert_eq!(check(text.as_bytes(), &raise, ends), None);
    // Unless somebody takes care of it.
    let mut acked = record;
    acked.ack();
    let text = acked.encode();
    assert!(check(text.as_bytes(), &raise, ends).is_some());
}

#[test]
fn a_text_that_was_cut_is_no_record() {
    let mut full = record();
    full.reported = [("ops".to_owned(), 41)].into();
    full.data = serde_json::from_str(r#"{"a":{"b":{}}}"#).ok();
    let text = full.encode();
    for end in 0..text.len() {
        let cut = &text.as_bytes()[..end];
        assert_eq!(check(cut, &as_before(&full), NOW), None);
    }
}

#[test]
fn a_time_is_thirteen_digits() {
    let ms = |text: &[u8]| Time::read(text).map(Time::ms);
    assert_eq!(ms(b"1795304788808,"), Some(1_795_304_788_808));
    assert_eq!(ms(b"9999999999999"), Some(9_999_999_999_999));
    assert_eq!(ms(b"179530478880"), None);
    assert_eq!(ms(b"0795304788808"), None);
    for at in 0..Time::DIGITS {
        for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
            let mut text = *b"1795304788808";
            text[at] = byte;
            assert_eq!(ms(&text), None, "{text:?}");
        }
    }
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![9 => NOW - 5..NOW + 5, 1 => prop_oneof![Just(0), Just(u64::MAX), 1u64..99]]
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, Just(0), Just(u64::MAX)]
}

prop_compose! {
    fn records()(
        state in prop_oneof![4 => Just(State::Firing), 1 => Just(State::Held), 1 => Just(State::Cleared)],
        (severity, told_severity) in (0u32..3, 0u32..3),
        count in prop_oneof![1u64..120, Just(u64::MAX)],
        (first, last, since, at) in (time(), time(), time(), time()),
        told in prop_oneof![5 => Just(true), 1 => Just(false)],
        (every, hold, keep, resolved) in (small(), small(), small(), small()),
        (acked, firing) in (any::<bool>(), any::<bool>()),
        users in proptest::collection::vec("[a-z\"é]{0,3}", 0..3),
        reported in proptest::collection::btree_map("[a-z\\\\]{1,2}", any::<u64>(), 0..3),
        data in proptest::option::of(prop_oneof![Just("{}"), Just(r#"{"a":"}é"}"#), Just("7")]),
    ) -> Record {
        let told = told.then_some(Told { at, severity: told_severity, firing, wait: 3, resolved });
        let data = data.and_then(|data| serde_json::from_str(data).ok());
        Record {
            state, severity, count, first, last, since, told, every, hold, keep, acked,
            by: Origin::Command, users, reported, data,
        }
    }
}

proptest! {
    /// Whatever the record, and whoever wrote a byte of it: it is left alone, or raised as it would be.
    #[test]
    fn it_does_what_the_record_does(
        record in records(),
        severity in 0u32..3,
        now in NOW - 5..NOW + 5,
        spoilt in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let raise = Raise { severity, ..as_before(&record) };
        let mut text = record.encode().into_bytes();
        if let Some((index, byte)) = spoilt {
            let at = index.index(text.len());
            text[at] = byte;
        }
        check(&text, &raise, now);
    }
}

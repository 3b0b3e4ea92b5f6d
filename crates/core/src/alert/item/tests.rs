use super::*;
use crate::alert::record::{Origin, Raise};

/// A record after `raises` of severity 1, one a second.
fn raised(raises: u64) -> Record {
    let mut record = None;
    for second in 0..raises {
        record = Some(raise(record, 1, second));
    }
    record.expect("at least one")
}

fn raise(record: Option<Record>, severity: u32, second: u64) -> Record {
    let raise = Raise {
        severity,
        every: 3_600_000,
        by: Origin::Command,
        ..Raise::default()
    };
    let (mut record, outcome) = Record::raise(record, &raise, second * 1_000);
    if outcome.is_told() {
        record.told_now(&[], 0, second * 1_000);
    }
    record
}

#[test]
fn an_item_counts_what_the_user_has_not_been_told() {
    let item = Item::of(&raised(5), Told::Firing, 3, 4_000);
    assert_eq!((item.count, item.first, item.last), (2, 4_000, 4_000));
}

#[test]
fn a_held_alert_is_told_from_its_first_raise_on() {
    let item = Item::of(&raised(4), Told::Firing, 0, 3_000);
    assert_eq!((item.count, item.first, item.last), (4, 0, 3_000));
}

#[test]
fn suppressed_raises_are_taken_over_when_the_item_is_handed_out() {
    let record = raised(1);
    let mut item = Item::of(&record, Told::Firing, 0, 0);
    let record = raise(Some(raise(Some(record), 1, 60)), 1, 70);
    item.refresh(&record);
    item.refresh(&record);
    assert_eq!((item.count, item.first, item.last), (3, 0, 70_000));
    assert_eq!(item.severity, 1);
}

#[test]
fn raises_that_the_user_knows_of_are_no_facts_of_the_item() {
    let mut record = raised(1);
    record.clear(100_000);
    let mut item = Item::of(&record, Told::Resolved, 1, 100_000);
    item.refresh(&record);
    assert_eq!((item.count, item.first, item.last), (0, 100_000, 100_000));
}

#[test]
fn a_later_record_of_the_same_name_is_another() {
    let mut item = Item::of(&raised(2), Told::Firing, 0, 1_000);
    item.refresh(&raise(None, 1, 7_200));
    assert_eq!((item.count, item.last), (2, 1_000));
    let later = raise(None, 2, 7_200);
    item.merge(Item::of(&later, Told::Firing, 0, 7_200_000));
    assert_eq!((item.count, item.severity), (3, 2));
    assert_eq!((item.first, item.last), (0, 7_200_000));
    assert_eq!(item.taken_of(&later), Some(1));
}

#[test]
fn the_last_state_wins() {
    let mut record = raised(1);
    let mut item = Item::of(&record, Told::Firing, 0, 0);
    record.clear(50_000);
    item.merge(Item::of(&record, Told::Resolved, 1, 50_000));
    assert_eq!(item.state, Told::Resolved);
    assert_eq!((item.count, item.first, item.last), (1, 0, 50_000));
    item.refresh(&raise(Some(record), 1, 60));
    assert_eq!((item.state, item.count), (Told::Firing, 2));
}

#[test]
fn what_is_stored_is_what_was_there() {
    let mut item = Item::of(&raised(3), Told::Firing, 1, 2_000);
    item.data = RawValue::from_string("{\"t\":91.50}".to_owned()).ok();
    let stored = Item::decode(item.encode().as_bytes()).expect("our own text");
    assert_eq!(stored.encode(), item.encode());
    assert_eq!(stored.data(), "{\"t\":91.50}");
    for text in ["", "{}", "[]", "{\"state\":\"held\"}"] {
        assert!(Item::decode(text.as_bytes()).is_none(), "{text}");
    }
}

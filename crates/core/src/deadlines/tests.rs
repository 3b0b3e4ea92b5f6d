//! The deadline index against examples and against a map that is searched.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn drain(index: &mut Deadlines<u32>, now: u64) -> Vec<(u64, String)> {
    let mut id = String::new();
    let mut due = Vec::new();
    while let Some((deadline, _)) = index.pop_due(now, &mut id) {
        due.push((deadline, id.clone()));
    }
    due
}

#[test]
fn who_is_due_can_be_taken_before_its_turn() {
    let mut index = Deadlines::new();
    for (id, deadline) in [("a", 10), ("b", 20), ("c", 30)] {
        index.schedule(id, Some(deadline));
    }
    index.set_note("b", 7);
    assert_eq!(index.take_due(20, "b"), Some(7));
    assert_eq!(index.take_due(20, "b"), None, "it is due no more");
    assert_eq!(index.take_due(20, "c"), None);
    assert_eq!(index.take_due(20, "stranger"), None);
    assert_eq!(drain(&mut index, 30), [(10, "a".into()), (30, "c".into())]);
    assert_eq!(index.deadline("b"), None);
    assert_eq!(index.len(), 3);
}

#[test]
fn devices_come_due_in_order() {
    let mut index = Deadlines::new();
    for (id, deadline) in [("c", 30), ("a", 10), ("b", 20), ("z", 40)] {
        index.schedule(id, Some(deadline));
    }
    assert_eq!(index.next_deadline(), Some(10));
    assert_eq!(
        drain(&mut index, 30),
        [(10, "a".into()), (20, "b".into()), (30, "c".into())]
    );
    assert_eq!(index.len(), 4, "a device that was due stays known");
    assert_eq!(drain(&mut index, 30), []);
}

#[test]
fn a_device_has_one_deadline() {
    let mut index = Deadlines::new();
    index.schedule("a", Some(10));
    index.schedule("a", Some(50));
    assert_eq!(drain(&mut index, 20), []);
    assert_eq!(drain(&mut index, 100), [(50, "a".into())]);
    index.schedule("a", None);
    assert!(index.contains("a"));
    assert_eq!(drain(&mut index, u64::MAX - 1), []);
}

#[test]
fn a_reused_slot_does_not_inherit_a_deadline() {
    let mut index = Deadlines::new();
    index.schedule("old", Some(10));
    assert!(index.remove("old"));
    assert!(!index.remove("old"));
    index.schedule("new", Some(20));
    assert_eq!(drain(&mut index, 15), []);
    assert_eq!(drain(&mut index, 25), [(20, "new".into())]);
}

#[test]
fn a_flapping_device_does_not_grow_the_heap() {
    let mut index = Deadlines::<u32>::new();
    for deadline in 0..100_000 {
        index.schedule("flapping", Some(1_000_000 + deadline));
        index.remove("flapping");
    }
    assert!(
        index.heap.len() <= 2 * COMPACT_ABOVE,
        "{}",
        index.heap.len()
    );
}

#[test]
fn look_at_all_makes_everything_due() {
    let mut index = Deadlines::new();
    index.schedule("a", Some(1_000));
    index.schedule("b", None);
    index.schedule("gone", Some(5));
    index.remove("gone");
    index.look_at_all();
    let mut due: Vec<String> = drain(&mut index, 0).into_iter().map(|(_, id)| id).collect();
    due.sort();
    assert_eq!(due, ["a", "b"]);
}

#[test]
fn ids_of_every_length_keep_to_themselves() {
    let mut index = Deadlines::<u32>::new();
    let of_length = |length: usize, letter: &str| letter.repeat(length);
    for letter in ["a", "b"] {
        for length in 1..=256 {
            index.schedule(&of_length(length, letter), Some(length as u64));
            index.set_note(&of_length(length, letter), length as u32);
        }
        // What is given back is used again.
        for length in (1..=256).filter(|length| length % 3 == 0) {
            assert!(index.remove(&of_length(length, letter)));
        }
    }
    for length in (1..=256).filter(|length| length % 3 != 0) {
        for letter in ["a", "b"] {
            let id = of_length(length, letter);
            assert_eq!(index.deadline(&id), Some(length as u64), "{id}");
            assert_eq!(index.note(&id), Some(length as u32), "{id}");
        }
    }
    assert_eq!(drain(&mut index, 300).len(), index.len());
    for nameless in ["".to_owned(), of_length(257, "a")] {
        index.schedule(&nameless, Some(1));
        assert!(!index.contains(&nameless));
    }
}

#[test]
fn a_device_takes_less_than_48_bytes_at_its_best() {
    let mut index = Deadlines::<u32>::new();
    // As many as fill the tables.
    let many = 7 << 14;
    for number in 0..many {
        index.schedule(&format!("d-{number:010}"), Some(number));
    }
    let bytes = index.memory_usage() as f64 / many as f64;
    assert!(bytes < 48.0, "{bytes}");
}

/// All who may not have been seen after a moment, in the order of their names.
fn unseen(index: &mut Deadlines<u32>, moment: u64) -> Vec<String> {
    let (mut all, mut ids) = (Vec::new(), Vec::new());
    let mut part = Some(0);
    while let Some(from) = part {
        part = index.unseen(from, moment, &mut ids);
        all.append(&mut ids);
    }
    all.sort();
    all
}

#[test]
fn who_was_seen_since_is_left_out() {
    let mut index = Deadlines::new();
    index.schedule_seen("a", Some(1_010), 10);
    index.schedule_seen("b", Some(1_020), 20);
    index.schedule_seen("for-ever", None, 30);
    index.schedule("unknown", Some(1_000));
    assert_eq!(unseen(&mut index, 9), ["unknown"]);
    assert_eq!(unseen(&mut index, 10), ["a", "unknown"]);
    assert_eq!(unseen(&mut index, 30), ["a", "b", "for-ever", "unknown"]);
    for (id, seen) in [("a", 40), ("for-ever", 50), ("unknown", 60), ("b", 5)] {
        index.was_seen(id, seen);
    }
    assert_eq!(unseen(&mut index, 30), ["b"]);
    assert_eq!(unseen(&mut index, 50), ["a", "b", "for-ever"]);
    assert_eq!(index.deadline("a"), Some(1_010), "it stays");
    assert_eq!(index.deadline("for-ever"), None);
    index.remove("b");
    assert_eq!(unseen(&mut index, 30), [] as [&str; 0]);
    index.look_at_all();
    assert_eq!(unseen(&mut index, 0), ["a", "for-ever", "unknown"]);
}

#[test]
fn who_came_due_was_seen_when_it_was() {
    let mut index = Deadlines::new();
    index.schedule_seen("a", Some(1_010), 10);
    index.schedule("unknown", Some(1_000));
    assert_eq!(drain(&mut index, 2_000).len(), 2);
    assert_eq!(unseen(&mut index, 9), ["unknown"]);
    assert_eq!(unseen(&mut index, 10), ["a", "unknown"]);
}

#[test]
fn a_record_that_is_used_again_knows_nothing_of_the_one_before() {
    let mut index = Deadlines::new();
    index.schedule_seen("old", Some(2_000), 1_990);
    index.remove("old");
    index.schedule("new", Some(2_000));
    assert_eq!(unseen(&mut index, 5), ["new"]);
}

#[test]
fn those_of_many_blocks_come_in_parts() {
    let mut index = Deadlines::<u32>::new();
    let id = |number: u64| format!("d-{number:06}");
    for number in 0..10_000 {
        index.schedule_seen(&id(number), Some(100_000 + number), number);
    }
    let expected: Vec<String> = (0..=2_000).chain([9_999]).map(id).collect();
    index.schedule(&id(9_999), Some(5));
    assert_eq!(unseen(&mut index, 2_000)[..1_500], expected[..1_500]);
    let mut first = Vec::new();
    assert!(index.unseen(0, 2_000, &mut first).is_some());
    assert!(first.len() < 1_000, "one part: {}", first.len());
}

/// Ids of all sizes of records up to some.
fn name(d: u8) -> String {
    format!("{}{d}", "x".repeat(usize::from(d) % 7 * 5))
}

#[derive(Debug, Clone)]
enum Step {
    Schedule(u8, Option<u64>),
    ScheduleSeen(u8, Option<u64>, u64),
    Seen(u8, u64),
    Note(u8, u32),
    ForgetNotes,
    Remove(u8),
    Pop(u64),
    LookAtAll,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20u8, proptest::option::of(0..50u64)).prop_map(|(d, t)| Step::Schedule(d, t)),
        (0..20u8, proptest::option::of(0..50u64), 0..50u64)
            .prop_map(|(d, t, seen)| Step::ScheduleSeen(d, t, seen)),
        (0..20u8, 0..50u64).prop_map(|(d, seen)| Step::Seen(d, seen)),
        (0..20u8, any::<u32>()).prop_map(|(d, n)| Step::Note(d, n)),
        Just(Step::ForgetNotes),
        (0..20u8).prop_map(Step::Remove),
        (0..60u64).prop_map(Step::Pop),
        Just(Step::LookAtAll),
    ]
}

proptest! {
    /// Against the plainest model: a map that is searched.
    #[test]
    fn it_behaves_as_a_map_that_is_searched(steps in proptest::collection::vec(any_step(), 0..300)) {
        let mut index = Deadlines::new();
        let mut model: BTreeMap<String, Option<u64>> = BTreeMap::new();
        let mut notes: BTreeMap<String, u32> = BTreeMap::new();
        // When each was seen, as far as the index was told.
        let mut seen_since: BTreeMap<String, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Schedule(d, t) => {
                    index.schedule(&name(d), t);
                    model.insert(name(d), t);
                    seen_since.insert(name(d), 0);
                }
                Step::ScheduleSeen(d, t, seen) => {
                    index.schedule_seen(&name(d), t, seen);
                    model.insert(name(d), t);
                    // Nobody is seen after its deadline.
                    seen_since.insert(name(d), seen.min(t.unwrap_or(seen)));
                }
                Step::Seen(d, seen) => {
                    index.was_seen(&name(d), seen);
                    if let Some(t) = model.get(&name(d)) {
                        let seen = seen.min(t.unwrap_or(seen));
                        let before = seen_since.entry(name(d)).or_default();
                        *before = seen.max(*before);
                    }
                }
                Step::Note(d, note) => {
                    index.set_note(&name(d), note);
                    if model.contains_key(&name(d)) {
                        notes.insert(name(d), note);
                    }
                }
                Step::ForgetNotes => {
                    index.forget_notes();
                    notes.clear();
                }
                Step::Remove(d) => {
                    prop_assert_eq!(
                        index.remove(&name(d)),
                        model.remove(&name(d)).is_some()
                    );
                    notes.remove(&name(d));
                    seen_since.remove(&name(d));
                }
                Step::LookAtAll => {
                    index.look_at_all();
                    model.values_mut().for_each(|t| *t = Some(0));
                    seen_since.values_mut().for_each(|seen| *seen = 0);
                }
                Step::Pop(now) => {
                    let mut id = String::new();
                    let popped = index.pop_due(now, &mut id);
                    let first = model.values().flatten().min().copied().filter(|t| *t <= now);
                    prop_assert_eq!(popped.map(|(deadline, _)| deadline), first);
                    if let Some((_, note)) = popped {
                        prop_assert_eq!(model.insert(id.clone(), None), Some(first));
                        prop_assert_eq!(note, notes.get(&id).copied().unwrap_or(0));
                    }
                }
            }
            prop_assert_eq!(index.len(), model.len());
            for moment in [0, 7, 25, 49] {
                let before = seen_since.iter().filter(|(_, seen)| **seen <= moment);
                let before: Vec<String> = before.map(|(id, _)| id.clone()).collect();
                prop_assert_eq!(unseen(&mut index, moment), before);
            }
            for id in model.keys() {
                prop_assert_eq!(index.note(id), Some(notes.get(id).copied().unwrap_or(0)));
            }
        }
    }
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn cursor(text: &str) -> Cursor {
    Cursor::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is no cursor"))
}

/// Every slot's place, the simple way.
fn spread(cursor: &Cursor) -> Vec<Position> {
    let mut all = vec![Position::OLDEST; slot::COUNT];
    for part in &cursor.parts {
        for slot in part.slots() {
            all[usize::from(slot.number())] = part.position;
        }
    }
    all
}

#[test]
fn one_place_for_all_is_an_id() {
    for (text, shown) in [
        ("1795-3", "1795-3"),
        ("1795", "1795-0"),
        ("0", "0-0"),
        ("$", "$"),
        ("0-16383@1795-3", "1795-3"),
        ("0-5@1-1;6-16383@1-1", "1-1"),
        ("0-5@0-0", "0-0"),
        ("0-16383@$", "$"),
    ] {
        assert_eq!(cursor(text).to_string(), shown, "{text}");
        assert!(cursor(text).whole().is_some(), "{text}");
    }
}

#[test]
fn parts_are_kept_and_neighbours_at_one_place_are_one_part() {
    for (text, shown) in [
        ("7@1-1", "7@1-1"),
        (
            "0-5460@1795-3;5461-9000@1790-0",
            "0-5460@1795-3;5461-9000@1790-0",
        ),
        ("0@1-1;1@1-1;2@2-2;4@2-2", "0-1@1-1;2@2-2;4@2-2"),
        ("3-3@5;9-16383@$", "3@5-0;9-16383@$"),
    ] {
        assert_eq!(cursor(text).to_string(), shown, "{text}");
        assert_eq!(cursor(text).whole(), None, "{text}");
    }
}

#[test]
fn what_is_no_cursor_is_none() {
    for text in [
        "",
        "-",
        "+",
        ">",
        "-1",
        "1-",
        "1-2-3",
        "@",
        "1@",
        "@1-1",
        "1@1-1;",
        ";1@1-1",
        "1@1-1;;2@1-1",
        "16384@1-1",
        "0-16384@1-1",
        "5-4@1-1",
        "2@1-1;1@1-1",
        "1-3@1-1;3@2-2",
        "1@1-1;1@1-1",
        "1-@1-1",
        "-1@1-1",
        " 1@1-1",
        "1@1-1 ",
        "1@18446744073709551616-0",
        "99999999999999999999999@1-1",
        "1@$$",
        "$;1@1-1",
        "1@1-1@2-2",
    ] {
        assert_eq!(Cursor::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Cursor::parse(b"1@1-\xff"), None);
}

#[test]
fn a_node_takes_its_part() {
    let ranges = Ranges::of([3, 4, 5, 9].into_iter().filter_map(Slot::new));
    let (inside, outside) = cursor("0-3@7-0;5-9@8-0").split(&ranges);
    let show = |parts: &[Part]| parts.iter().map(Part::to_string).collect::<Vec<_>>();
    assert_eq!(show(&inside), ["3@7-0", "4@0-0", "5@8-0", "9@8-0"]);
    assert_eq!(show(&outside), ["0-2@7-0", "6-8@8-0", "10-16383@0-0"]);
}

#[test]
fn slots_at_both_ends_are_taken_and_left() {
    for number in [0, u64::from(LAST)] {
        let ranges = Ranges::of(Slot::new(number).into_iter());
        let (inside, outside) = cursor("5-1").split(&ranges);
        assert_eq!(inside.len(), 1);
        assert_eq!(inside[0].slots().count(), 1);
        assert_eq!(outside.len(), 1);
        assert_eq!(outside[0].slots().count(), slot::COUNT - 1);
    }
    let (inside, outside) = cursor("5-1").split(&Ranges::of(Slot::all()));
    assert_eq!((inside.len(), outside.len()), (1, 0));
    let (inside, outside) = cursor("5-1").split(&Ranges::default());
    assert_eq!((inside.len(), outside.len()), (0, 1));
}

prop_compose! {
    fn positions()(kind in 0..4, ms in 0..3u64, seq in 0..2u64) -> Position {
        match kind {
            0 => Position::Newest,
            _ => Position::Behind(Id { ms, seq }),
        }
    }
}

prop_compose! {
    fn cursors()(
        bounds in proptest::collection::btree_set(0..=LAST, 0..12),
        places in proptest::collection::vec(positions(), 12),
    ) -> Cursor {
        let bounds: Vec<u16> = bounds.into_iter().collect();
        let parts = bounds.chunks_exact(2).zip(places).map(|(pair, position)| Part {
            first: pair[0],
            last: pair[1],
            position,
        });
        Cursor::join(parts.collect())
    }
}

prop_compose! {
    fn slots()(bounds in proptest::collection::btree_set(0..=LAST, 0..12)) -> BTreeSet<u16> {
        let bounds: Vec<u16> = bounds.into_iter().collect();
        bounds.chunks_exact(2).flat_map(|pair| pair[0]..=pair[1]).collect()
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(cursor in cursors()) {
        prop_assert_eq!(Cursor::parse(cursor.to_string().as_bytes()), Some(cursor));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = Cursor::parse(&text);
    }

    #[test]
    fn what_is_nearly_a_cursor_is_read_without_a_panic(text in "[0-9$@;-]{0,40}") {
        if let Some(cursor) = Cursor::parse(text.as_bytes()) {
            prop_assert_eq!(Cursor::parse(cursor.to_string().as_bytes()), Some(cursor));
        }
    }

    #[test]
    fn nothing_is_lost_when_it_is_taken_apart(cursor in cursors(), slots in slots()) {
        let ranges = Ranges::of(slots.iter().filter_map(|slot| Slot::new(u64::from(*slot))));
        let (inside, outside) = cursor.split(&ranges);
        for part in &inside {
            prop_assert!(part.slots().all(|slot| slots.contains(&slot.number())));
        }
        let taken: usize = inside.iter().map(|part| part.slots().count()).sum();
        prop_assert_eq!(taken, slots.len());
        prop_assert_eq!(Cursor::join([inside, outside].concat()), cursor);
    }

    /// The others stay where they are, whatever a node makes of its own.
    #[test]
    fn only_its_own_are_changed(cursor in cursors(), slots in slots(), to in positions()) {
        let ranges = Ranges::of(slots.iter().filter_map(|slot| Slot::new(u64::from(*slot))));
        let (mut inside, outside) = cursor.split(&ranges);
        inside.iter_mut().for_each(|part| part.position = to);
        let before = spread(&cursor);
        let after = spread(&Cursor::join([inside, outside].concat()));
        for at in 0..slot::COUNT {
            let is_own = slots.contains(&(at as u16));
            prop_assert_eq!(after[at], if is_own { to } else { before[at] });
        }
    }
}

use proptest::prelude::*;

use super::wire::{self, Message};
use super::*;

fn entry(version: u64, node: &str, json: Option<&str>) -> Entry {
    Entry {
        version,
        node: node.to_owned(),
        json: json.map(str::to_owned),
    }
}

fn merged(all: &[(Name, Entry)]) -> Definitions {
    let mut definitions = Definitions::default();
    for (name, entry) in all {
        definitions.merge(name.clone(), entry.clone());
    }
    definitions
}

#[test]
fn the_newest_wins_and_what_is_deleted_stays_deleted() {
    let name = Name::rule("oven", "hot");
    let set = entry(5, "a", Some("{}"));
    let deleted = entry(6, "b", None);
    for order in [[&set, &deleted], [&deleted, &set]] {
        let all = order.map(|entry| (name.clone(), entry.clone()));
        assert_eq!(merged(&all).rules("oven").count(), 0);
    }
    let again = entry(7, "a", Some("{}"));
    let all = [set, deleted, again].map(|entry| (name.clone(), entry));
    let rules = merged(&all);
    assert_eq!(rules.rules("oven").collect::<Vec<_>>(), [("hot", "{}")]);
}

#[test]
fn a_change_is_newer_than_all_that_is_known() {
    let mut definitions = merged(&[(Name::type_defaults("t"), entry(100, "z", None))]);
    assert_eq!(definitions.change(50, "a", None).version, 101);
    assert_eq!(definitions.change(500, "a", None).version, 500);
    definitions.clear();
    assert_eq!(definitions.change(50, "a", None).version, 101);
    definitions.merge(Name::type_defaults("t"), entry(u64::MAX, "z", None));
    let last = definitions.change(50, "a", None);
    assert!(Entry::parse(last.to_string().as_bytes()).is_some());
}

#[test]
fn each_type_has_its_own() {
    let json = |text| entry(1, "a", Some(text));
    let all = merged(&[
        (Name::rule("lamp", "hot"), json("{1}")),
        (Name::type_defaults("lamp"), json("{2}")),
        (Name::rule("lamp2", "hot"), json("{3}")),
        (Name::rule("lamp", "away"), json("{4}")),
        (Name::rule("lam", "hot"), json("{5}")),
        (Name::type_defaults("oven"), entry(1, "a", None)),
    ]);
    assert_eq!(all.types().collect::<Vec<_>>(), [("lamp", "{2}")]);
    let rules: Vec<_> = all.rules("lamp").collect();
    assert_eq!(rules, [("away", "{4}"), ("hot", "{1}")]);
    assert_eq!(all.rules("oven").count(), 0);
}

#[test]
fn that_something_was_deleted_is_forgotten_in_the_end() {
    let (name, kept) = (Name::rule("t", "r"), Name::rule("t", "s"));
    let mut definitions = merged(&[
        (name.clone(), entry(1_000, "a", None)),
        (kept.clone(), entry(1_000, "a", Some("{}"))),
    ]);
    let end = 1_000 + DELETED_KEPT_MS;
    assert_eq!(definitions.forget_deleted(end), []);
    assert_eq!(definitions.forget_deleted(end + 1), [name]);
    assert_eq!(
        definitions,
        merged(&[(kept, entry(1_000, "a", Some("{}")))])
    );
}

#[test]
fn what_is_no_definition_is_none() {
    for name in [
        "",
        "type",
        "type ",
        "type a b",
        "rule a",
        "rule a b c",
        "x a",
        "type {",
    ] {
        assert_eq!(Name::parse(name.as_bytes()), None, "{name}");
    }
    for text in [
        "",
        "1",
        "1 a",
        "1 a ",
        "1 a x",
        "x a {}",
        "-1 a {}",
        "1  {}",
        "1 a-b {}",
        "9007199254740992 a {}",
    ] {
        assert_eq!(Entry::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Name::parse(b"type \xff"), None);
    assert_eq!(Entry::parse(b"1 a {\xff}"), None);
}

#[test]
fn long_lists_go_in_several_messages() {
    let json = format!("{{{}}}", "x".repeat(3_000));
    let all: Vec<_> = (0..20)
        .map(|n| (Name::rule("t", &n.to_string()), entry(n, "a", Some(&json))))
        .chain([(
            Name::type_defaults("t"),
            entry(1, "a", Some(&json.replace("x", "yyyyyyyy"))),
        )])
        .collect();
    let definitions = merged(&all);
    let messages = wire::tell(definitions.iter());
    assert!(messages.len() >= 7, "{}", messages.len());
    assert_eq!(messages.iter().filter(|m| m.len() > 10_100).count(), 1);
    let mut there = Definitions::default();
    for message in messages {
        let Some(Message::Entries(entries)) = wire::decode(&message) else {
            panic!("no entries");
        };
        for (name, entry) in entries {
            there.merge(name, entry);
        }
    }
    assert_eq!(there, definitions);
    assert_eq!(wire::tell(std::iter::empty()), Vec::<Vec<u8>>::new());
}

fn any_name() -> impl Strategy<Value = Name> {
    prop_oneof![
        "[a-c]{1,2}".prop_map(|t| Name::type_defaults(&t)),
        ("[a-c]{1,2}", "[x-z]").prop_map(|(t, r)| Name::rule(&t, &r)),
    ]
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let json = prop_oneof![
        Just(None),
        "[ -~äß]{0,12}".prop_map(|text| Some(format!("{{{text}}}")))
    ];
    (0..5_u64, "[a-c]", json).prop_map(|(version, node, json)| Entry {
        version,
        node,
        json,
    })
}

fn any_entries() -> impl Strategy<Value = Vec<(Name, Entry)>> {
    prop::collection::vec((any_name(), any_entry()), 0..40)
}

proptest! {
    #[test]
    fn any_order_gives_the_same(
        (all, shuffled) in any_entries().prop_flat_map(|all| {
            (Just(all.clone()), Just(all).prop_shuffle())
        })
    ) {
        let definitions = merged(&all);
        prop_assert_eq!(&merged(&shuffled), &definitions);
        // Twice makes no difference.
        prop_assert_eq!(&merged(&[all, shuffled].concat()), &definitions);
    }

    /// Two nodes that asked each other for what differs have the same.
    #[test]
    fn what_differs_is_enough(ours in any_entries(), theirs in any_entries()) {
        let (mut ours, mut theirs) = (merged(&ours), merged(&theirs));
        let parts = ours.digest().differing(theirs.digest());
        prop_assert_eq!(parts.is_empty(), ours == theirs);
        let sent: Vec<_> = theirs.in_parts(parts).map(|(n, e)| (n.clone(), e.clone())).collect();
        for (name, entry) in sent {
            ours.merge(name, entry);
        }
        let beyond: Vec<_> = ours.beyond(&theirs).map(|(n, e)| (n.clone(), e.clone())).collect();
        for (name, entry) in beyond {
            prop_assert!(theirs.merge(name, entry));
        }
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn what_is_stored_is_read_again((name, entry) in (any_name(), any_entry())) {
        prop_assert_eq!(Name::parse(name.to_string().as_bytes()), Some(name));
        prop_assert_eq!(Entry::parse(entry.to_string().as_bytes()), Some(entry));
    }

    #[test]
    fn what_is_told_is_heard(all in any_entries()) {
        let definitions = merged(&all);
        let digest = *definitions.digest();
        prop_assert_eq!(wire::decode(&wire::digest(&digest)), Some(Message::Digest(Box::new(digest))));
        let parts = digest.differing(&Digest::default());
        prop_assert_eq!(wire::decode(&wire::ask(parts)), Some(Message::Ask(parts)));
        let wanted: Vec<_> = definitions.iter().map(|(n, e)| (n.clone(), e.clone())).collect();
        for message in wire::tell(definitions.iter()) {
            prop_assert_eq!(wire::decode(&message), Some(Message::Entries(wanted.clone())));
            for end in 0..message.len() {
                // Cut short, it is another message at most (where an entry ends), never a wrong one.
                if let Some(Message::Entries(heard)) = wire::decode(&message[..end]) {
                    prop_assert_eq!(&heard[..], &wanted[..heard.len()]);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_heard_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..5_u8,
    ) {
        let _ = wire::decode(&bytes);
        let _ = wire::decode(&[b"DSdf\x01".as_slice(), &[kind], &bytes].concat());
    }
}

//! What `CLUSTER NODES` tells a node of itself.
//!
//! One line per node: `<id> <address> <flags> <primary> <ping> <pong> <epoch> <link> <slot> ...`, where a
//! slot is `7`, a range `0-5460`, or, for the node that answers alone, one that moves: `[7->-<id>]` to
//! another node, `[7-<-<id>]` from one.

use std::rc::Rc;

use crate::slot::{Slot, SlotSet};

/// The slots that a node answers for: its own, or those of the primary that it follows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Slots {
    /// The node's own name.
    pub node: String,
    /// In their order; whoever goes through them may keep them.
    pub owned: Rc<[Slot]>,
    /// Of them those that are not on their way to another node.
    pub settled: SlotSet,
}

/// Reads the answer; `None` when it says nothing of the node that gave it.
pub fn slots_of_myself(nodes: &str) -> Option<Slots> {
    let lines = || {
        nodes
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
    };
    let myself = lines().find(|line| flags(line).any(|flag| flag == "myself"))?;
    let is_replica = flags(&myself).any(|flag| matches!(flag, "slave" | "replica"));
    let owner = match is_replica {
        true => lines().find(|line| line.first() == myself.get(3)),
        false => Some(myself.clone()),
    };
    let (mut owned, mut moving) = (Vec::new(), Vec::new());
    for token in owner.iter().flatten().skip(8) {
        match token.strip_prefix('[') {
            Some(rest) => {
                let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
                moving.extend(slot(&number));
            }
            None => {
                let (first, last) = token.split_once('-').unwrap_or((token, token));
                if let (Some(first), Some(last)) = (slot(first), slot(last)) {
                    let range = u64::from(first.number())..=u64::from(last.number());
                    owned.extend(range.filter_map(Slot::new));
                }
            }
        }
    }
    owned.sort_unstable();
    let mut settled = SlotSet::default();
    owned.iter().for_each(|slot| settled.insert(*slot));
    moving.into_iter().for_each(|slot| settled.remove(slot));
    Some(Slots {
        node: myself.first().copied().unwrap_or_default().to_owned(),
        owned: owned.into(),
        settled,
    })
}

fn flags<'a>(line: &[&'a str]) -> impl Iterator<Item = &'a str> {
    line.get(2).copied().unwrap_or_default().split(',')
}

fn slot(text: &str) -> Option<Slot> {
    Slot::new(crate::digits::parse_u64(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
67ed 127.0.0.1:30002@31002,host-2 master - 0 1426238316232 2 connected 5461-10922
292f 127.0.0.1:30003@31003,host-3 master - 0 1426238318243 3 connected 10923-16383
6ec2 127.0.0.1:30005@31005,host-5 slave 67ed 0 1426238316232 5 connected
e7d1 127.0.0.1:30001@31001,host-1 myself,master - 0 0 1 connected 7 0-2 9 [93-<-292f] [1->-67ed]
";

    fn numbers<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Vec<u16> {
        slots.into_iter().map(|slot| slot.number()).collect()
    }

    fn settled(slots: &Slots) -> Vec<Slot> {
        let is_settled = |slot: &Slot| slots.settled.contains(*slot);
        Slot::all().filter(is_settled).collect()
    }

    #[test]
    fn a_primary_answers_for_its_own_slots() {
        let slots = slots_of_myself(NODES).expect("a line of the node itself");
        assert_eq!(slots.node, "e7d1");
        assert_eq!(numbers(&*slots.owned), [0, 1, 2, 7, 9]);
        assert_eq!(numbers(&settled(&slots)), [0, 2, 7, 9]);
    }

    #[test]
    fn a_replica_answers_for_those_of_its_primary() {
        let nodes = NODES
            .replace("myself,master", "master")
            .replace("slave 67ed", "myself,slave 67ed");
        let slots = slots_of_myself(&nodes).expect("a line of the node itself");
        assert_eq!(slots.owned.len(), 10_922 - 5_461 + 1);
        assert_eq!(settled(&slots), *slots.owned);
    }

    fn has_none(slots: &Slots) -> bool {
        slots.owned.is_empty() && settled(slots).is_empty()
    }

    #[test]
    fn what_is_no_such_answer_tells_nothing() {
        for broken in ["", "\n", "a b myself", "a b master", "a b c d e f g h 1-2"] {
            let slots = slots_of_myself(broken);
            assert!(slots.is_none_or(|slots| has_none(&slots)), "{broken}");
        }
        let slots = slots_of_myself("a b myself - 0 0 0 connected 5-x 99999 3-2 [x 1-1000000");
        assert!(slots.is_some_and(|slots| has_none(&slots)));
    }
}

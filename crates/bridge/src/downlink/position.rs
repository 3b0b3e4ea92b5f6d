//! Where the consumer group stands in the stream, and whether the stream was trimmed past it.

use super::events::{field, items, text};
use redis::Value;
use std::fmt;
use std::str::FromStr;

/// The id of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    ms: u64,
    seq: u64,
}

impl FromStr for StreamId {
    type Err = ();

    fn from_str(text: &str) -> Result<StreamId, ()> {
        let (ms, seq) = text.split_once('-').ok_or(())?;
        Ok(StreamId {
            ms: ms.parse().map_err(|_| ())?,
            seq: seq.parse().map_err(|_| ())?,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What `XINFO STREAM` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamInfo {
    pub last: StreamId,
    pub added: u64,
    length: u64,
    /// `None`: it is empty.
    first: Option<StreamId>,
}

/// What `XINFO GROUPS` says about one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupInfo {
    pub delivered: StreamId,
    /// How many of the entries ever added come before that. The server does not always know.
    read: Option<u64>,
}

impl StreamInfo {
    pub fn parse(info: &Value) -> Option<StreamInfo> {
        Some(StreamInfo {
            last: id(field(info, "last-generated-id")?)?,
            added: number(field(info, "entries-added")?)?,
            length: number(field(info, "length")?)?,
            first: field(info, "first-entry").and_then(|entry| id(items(entry).first()?)),
        })
    }

    /// Whether entries behind this one are gone, or may be: none that is kept stands at it or before.
    pub fn has_lost_behind(&self, id: StreamId) -> bool {
        self.added > self.length && self.first.unwrap_or(self.last) > id
    }

    /// Whether entries that the group was never given are gone. Where the server cannot tell, they may
    /// be: then it is true, for what follows from it does no harm.
    pub fn is_trimmed_past(&self, group: &GroupInfo) -> bool {
        let next = self.first.unwrap_or(self.last);
        let gone = self.added.saturating_sub(self.length);
        group.delivered < next && group.read.is_none_or(|read| read < gone)
    }
}

impl GroupInfo {
    /// Looks for the group of this name.
    pub fn parse(groups: &Value, name: &str) -> Option<GroupInfo> {
        let named = |group: &&Value| field(group, "name").and_then(text).as_deref() == Some(name);
        let group = items(groups).iter().find(named)?;
        Some(GroupInfo {
            delivered: id(field(group, "last-delivered-id")?)?,
            read: field(group, "entries-read").and_then(number),
        })
    }
}

fn id(value: &Value) -> Option<StreamId> {
    text(value)?.parse().ok()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(added: u64, length: u64) -> StreamInfo {
        let id = |seq| StreamId { ms: 1, seq };
        StreamInfo {
            last: id(added),
            added,
            length,
            first: (length > 0).then(|| id(added - length + 1)),
        }
    }

    #[test]
    fn entries_that_are_gone_behind_a_cursor() {
        let id = |seq| StreamId { ms: 1, seq };
        // 7 to 10 are kept.
        assert!(stream(10, 4).has_lost_behind(id(0)));
        assert!(stream(10, 4).has_lost_behind(id(5)));
        assert!(!stream(10, 4).has_lost_behind(id(7)));
        assert!(!stream(10, 10).has_lost_behind(id(0)));
    }

    fn group(delivered: u64, read: Option<u64>) -> GroupInfo {
        GroupInfo {
            delivered: StreamId {
                ms: 1,
                seq: delivered,
            },
            read,
        }
    }

    #[test]
    fn ids_go_by_both_numbers() {
        let id = |text: &str| text.parse::<StreamId>().unwrap();
        assert!(id("9-9") < id("10-0") && id("10-2") < id("10-10"));
        assert_eq!(id("10-2").to_string(), "10-2");
        for bad in ["", "1", "a-1", "1-", "-1", "1-1-1"] {
            assert_eq!(bad.parse::<StreamId>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn what_is_trimmed_and_was_never_given_is_a_gap() {
        // 1 to 6 are gone of 10.
        let trimmed = stream(10, 4);
        assert!(trimmed.is_trimmed_past(&group(5, Some(5))));
        assert!(trimmed.is_trimmed_past(&group(6, None)));
        assert!(!trimmed.is_trimmed_past(&group(6, Some(6))));
        assert!(!trimmed.is_trimmed_past(&group(7, None)));
        assert!(!stream(10, 10).is_trimmed_past(&group(0, Some(0))));
    }

    #[test]
    fn an_emptied_stream() {
        let empty = stream(10, 0);
        assert!(empty.is_trimmed_past(&group(9, Some(9))));
        assert!(!empty.is_trimmed_past(&group(10, None)));
        assert!(!StreamInfo::default().is_trimmed_past(&group(0, None)));
    }

    #[test]
    fn the_servers_answers() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let mut answer = vec![bulk("length"), Value::Int(4)];
        answer.extend([bulk("last-generated-id"), bulk("1-10")]);
        answer.extend([bulk("entries-added"), Value::Int(10)]);
        let entry = Value::Array(vec![bulk("1-7"), Value::Array(vec![])]);
        answer.extend([bulk("first-entry"), entry]);
        let parsed = StreamInfo::parse(&Value::Array(answer));
        assert_eq!(parsed, Some(stream(10, 4)));
        let of = |name: &str, read: Value| {
            let mut answer = vec![bulk("name"), bulk(name)];
            answer.extend([bulk("last-delivered-id"), bulk("1-5")]);
            answer.extend([bulk("entries-read"), read]);
            Value::Array(answer)
        };
        let groups = Value::Array(vec![of("a", Value::Int(5)), of("b", Value::Nil)]);
        assert_eq!(GroupInfo::parse(&groups, "a"), Some(group(5, Some(5))));
        assert_eq!(GroupInfo::parse(&groups, "b"), Some(group(5, None)));
        assert_eq!(GroupInfo::parse(&groups, "c"), None);
    }
}

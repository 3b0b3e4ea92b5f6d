//! Pages of the indexes, and the cursors that lead from one to the next.

use devicestate_core::slot::Slot;

use super::presence::expect;
use super::Result;
use crate::store::{parse_u64, Arg, Ctx, KeyType, RString};

/// Where the next page of a list starts: in which slot of a cluster, and where in its indexes.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub slot: Option<Slot>,
    pub position: Position,
}

impl Place {
    pub const START: Place = Place {
        slot: None,
        position: Position::Start,
    };
    pub const END: Place = Place {
        slot: None,
        position: Position::End,
    };

    pub fn encode(&self) -> String {
        let position = self.position.encode();
        match self.slot {
            None => position,
            Some(slot) => format!("{}/{position}", slot.number()),
        }
    }

    /// Of a cursor that a node of a cluster gave, or a single server.
    pub fn decode(text: &[u8], is_by_slot: bool) -> Option<Place> {
        if text == b"0" {
            return Some(Place::START);
        }
        if !is_by_slot {
            let position = Position::decode(text)?;
            return Some(Place {
                slot: None,
                position,
            });
        }
        let end = text.iter().position(|byte| *byte == b'/')?;
        Some(Place {
            slot: Some(Slot::new(parse_u64(&text[..end])?)?),
            position: Position::decode(&text[end + 1..])?,
        })
    }
}

/// Where in the indexes of one slot, or of a single server.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    Start,
    /// In a set, by the server's own cursor.
    Set(u64),
    /// In `devices:offline`, behind this entry.
    Offline(Entry),
    /// In the set of online devices, after all offline ones.
    Online(u64),
    End,
}

/// An entry of `devices:offline`. Hands in the data may have put any score and any bytes there.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub last_seen: f64,
    pub id: Vec<u8>,
}

impl Position {
    pub fn encode(&self) -> String {
        match self {
            Position::Start | Position::End => "0".to_owned(),
            Position::Set(cursor) => cursor.to_string(),
            Position::Offline(entry) => format!("f:{}:{}", entry.last_seen, to_hex(&entry.id)),
            Position::Online(cursor) => format!("n:{cursor}"),
        }
    }

    pub fn decode(text: &[u8]) -> Option<Position> {
        if text == b"0" {
            return Some(Position::Start);
        }
        if let Some(cursor) = text.strip_prefix(b"n:") {
            return parse_u64(cursor).map(Position::Online);
        }
        if let Some(place) = text.strip_prefix(b"f:") {
            let (last_seen, id) = std::str::from_utf8(place).ok()?.split_once(':')?;
            let last_seen: f64 = last_seen.parse().ok()?;
            let entry = Entry {
                last_seen,
                id: from_hex(id)?,
            };
            return (!last_seen.is_nan()).then_some(Position::Offline(entry));
        }
        parse_u64(text).map(Position::Set)
    }
}

/// Bytes for a cursor, which should survive any client and any shell.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok())
        .collect()
}

/// About `count` members of a set, and the server's cursor for the next ones.
pub fn of_set(ctx: &Ctx<'_>, set: &RString, cursor: u64, count: u64) -> Result<(u64, Vec<String>)> {
    expect(ctx, set, KeyType::Set)?;
    let args = [Arg::Str(set), cursor.into(), "COUNT".into(), count.into()];
    let Some(page) = ctx.read(c"SSCAN", &args)?.into_page() else {
        return Ok((0, Vec::new()));
    };
    Ok((page.cursor, page.iter().filter_map(to_id).collect()))
}

/// Up to `count` offline devices behind an entry, oldest first, seen at `seen_by` at the latest;
/// with the last entry when there may be more.
pub fn of_offline(
    ctx: &Ctx<'_>,
    offline: &RString,
    after: Option<Entry>,
    seen_by: Option<u64>,
    count: u64,
) -> Result<(Option<Entry>, Vec<String>)> {
    expect(ctx, offline, KeyType::SortedSet)?;
    let start = match after {
        Some(entry) => rank_behind(ctx, offline, &entry)?,
        None => 0,
    };
    let entries = entries(ctx, offline, start, start + count - 1)?;
    let within: Vec<Entry> = entries
        .into_iter()
        .take_while(|entry| seen_by.is_none_or(|limit| entry.last_seen <= limit as f64))
        .collect();
    let next = within
        .last()
        .filter(|_| within.len() as u64 == count)
        .cloned();
    Ok((
        next,
        within.iter().filter_map(|entry| to_id(&entry.id)).collect(),
    ))
}

/// The rank of the first entry behind this one, wherever it has gone: found by halving, since a
/// sorted set is ordered by score, then member.
fn rank_behind(ctx: &Ctx<'_>, offline: &RString, after: &Entry) -> Result<u64> {
    let mut low = 0;
    let mut high = ctx.read(c"ZCARD", &[Arg::Str(offline)])?.int();
    while low < high {
        let middle = low + (high - low) / 2;
        let is_behind = entries(ctx, offline, middle, middle)?
            .first()
            .is_none_or(|entry| {
                (entry.last_seen, entry.id.as_slice()) > (after.last_seen, after.id.as_slice())
            });
        if is_behind {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

fn entries(ctx: &Ctx<'_>, offline: &RString, from: u64, to: u64) -> Result<Vec<Entry>> {
    let args = [
        Arg::Str(offline),
        from.into(),
        to.into(),
        "WITHSCORES".into(),
    ];
    let reply = ctx.read(c"ZRANGE", &args)?;
    let entries = reply.pairs().map(|(id, score)| Entry {
        last_seen: score_of(score),
        id: id.to_vec(),
    });
    Ok(entries.collect())
}

/// A score as the server writes it.
pub fn score_of(text: &[u8]) -> f64 {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0.0)
}

fn to_id(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_slots_survive_the_wire() {
        for position in [Position::Start, Position::Set(17), Position::Online(3)] {
            let place = Place {
                slot: Slot::new(9_189),
                position,
            };
            let text = place.encode();
            assert_eq!(Place::decode(text.as_bytes(), true), Some(place));
            assert_eq!(Place::decode(text.as_bytes(), false), None, "{text}");
        }
        for broken in ["", "/", "1/", "/1", "16384/1", "1", "x/1", "1/x"] {
            assert_eq!(Place::decode(broken.as_bytes(), true), None, "{broken}");
        }
        for by_slot in [true, false] {
            assert_eq!(Place::decode(b"0", by_slot), Some(Place::START));
        }
    }

    #[test]
    fn positions_survive_the_wire() {
        let entry = |last_seen, id: &[u8]| {
            Position::Offline(Entry {
                last_seen,
                id: id.to_vec(),
            })
        };
        for position in [
            Position::Set(17),
            Position::Online(0),
            Position::Online(u64::MAX),
            entry(0.0, b"a:b:0"),
            entry(1_795_254_682_221.0, "\u{1f4df}".as_bytes()),
            entry(f64::NEG_INFINITY, b"a b\xff"),
            entry(-1.5e300, b""),
        ] {
            assert_eq!(
                Position::decode(position.encode().as_bytes()),
                Some(position)
            );
        }
        assert_eq!(Position::decode(b"0"), Some(Position::Start));
        for broken in [
            "", "x", "-1", "f:", "f:1", "f:x:61", "f:nan:61", "f:1:6", "f:1:zz", "n:", "1.5",
        ] {
            assert_eq!(Position::decode(broken.as_bytes()), None, "{broken}");
        }
    }
}

//! Cursors of the check: where it goes on, in a form that survives the wire.

use crate::fleet::pages::{from_hex, to_hex};
use crate::store::parse_u64;

/// Where the next step starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    #[default]
    Start,
    /// Walking all keys: hashes, heartbeat keys, sets of types.
    Keys(u64),
    /// Walking these sets of types, then going on with all keys at `then`.
    Types {
        then: u64,
        cursor: u64,
        sets: Vec<Vec<u8>>,
    },
    Registered(u64),
    Online(u64),
    Offline(u64),
    OutOfSync(u64),
    /// Walking the users who have something pending.
    Users(u64),
    End,
}

impl Position {
    pub fn encode(&self) -> String {
        match self {
            Position::Start | Position::End => "0".to_owned(),
            Position::Keys(cursor) => format!("k:{cursor}"),
            Position::Types { then, cursor, sets } => {
                let sets: Vec<String> = sets.iter().map(|set| to_hex(set)).collect();
                format!("t:{then}:{cursor}:{}", sets.join(","))
            }
            Position::Registered(cursor) => format!("r:{cursor}"),
            Position::Online(cursor) => format!("n:{cursor}"),
            Position::Offline(cursor) => format!("f:{cursor}"),
            Position::OutOfSync(cursor) => format!("s:{cursor}"),
            Position::Users(cursor) => format!("u:{cursor}"),
        }
    }

    pub fn decode(text: &[u8]) -> Option<Position> {
        if text == b"0" {
            return Some(Position::Start);
        }
        let mut parts = std::str::from_utf8(text).ok()?.split(':');
        let number = |parts: &mut std::str::Split<'_, char>| parse_u64(parts.next()?.as_bytes());
        let position = match parts.next()? {
            "k" => Position::Keys(number(&mut parts)?),
            "r" => Position::Registered(number(&mut parts)?),
            "n" => Position::Online(number(&mut parts)?),
            "f" => Position::Offline(number(&mut parts)?),
            "s" => Position::OutOfSync(number(&mut parts)?),
            "u" => Position::Users(number(&mut parts)?),
            "t" => {
                let (then, cursor) = (number(&mut parts)?, number(&mut parts)?);
                let sets = parts
                    .next()?
                    .split(',')
                    .map(|set| from_hex(set).filter(|set| !set.is_empty()))
                    .collect::<Option<Vec<_>>>()?;
                Position::Types { then, cursor, sets }
            }
            _ => return None,
        };
        parts.next().is_none().then_some(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_survive_the_wire() {
        for position in [
            Position::Keys(u64::MAX),
            Position::Registered(1),
            Position::Online(0),
            Position::Offline(9),
            Position::OutOfSync(10),
            Position::Users(11),
            Position::Types {
                then: 3,
                cursor: 4,
                sets: vec![b"a:b".to_vec(), vec![0xff, 0]],
            },
        ] {
            assert_eq!(
                Position::decode(position.encode().as_bytes()),
                Some(position)
            );
        }
        assert_eq!(Position::decode(b"0"), Some(Position::Start));
        for broken in [
            "", "k", "k:", "k:x", "k:1:2", "t:1:2", "t:1:2:", "t:1:2:zz", "q:1", "1",
        ] {
            assert_eq!(Position::decode(broken.as_bytes()), None, "{broken}");
        }
    }
}

//! Cursors of the check: where it goes on, in a form that survives the wire.

use crate::fleet::pages::{from_hex, to_hex};
use crate::store::parse_u64;

/// Where the next step starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Position {
    #[default]
    Start,
    /// Walking all keys: hashes, heartbeat keys, indexes that are small.
    Keys(u64),
    /// Walking these indexes, then going on with all keys at `then`.
    Indexes {
        then: u64,
        cursor: u64,
        keys: Vec<Vec<u8>>,
    },
    End,
}

impl Position {
    pub fn encode(&self) -> String {
        match self {
            Position::Start | Position::End => "0".to_owned(),
            Position::Keys(cursor) => format!("k:{cursor}"),
            Position::Indexes { then, cursor, keys } => {
                let keys: Vec<String> = keys.iter().map(|key| to_hex(key)).collect();
                format!("i:{then}:{cursor}:{}", keys.join(","))
            }
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
            "i" => {
                let (then, cursor) = (number(&mut parts)?, number(&mut parts)?);
                let keys = parts
                    .next()?
                    .split(',')
                    .map(|key| from_hex(key).filter(|key| !key.is_empty()))
                    .collect::<Option<Vec<_>>>()?;
                Position::Indexes { then, cursor, keys }
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
            Position::Indexes {
                then: 3,
                cursor: 4,
                keys: vec![b"a:b".to_vec(), vec![0xff, 0]],
            },
        ] {
            assert_eq!(
                Position::decode(position.encode().as_bytes()),
                Some(position)
            );
        }
        assert_eq!(Position::decode(b"0"), Some(Position::Start));
        for broken in [
            "", "k", "k:", "k:x", "k:1:2", "i:1:2", "i:1:2:", "i:1:2:zz", "q:1", "1",
        ] {
            assert_eq!(Position::decode(broken.as_bytes()), None, "{broken}");
        }
    }
}

//! Replies of the server as they are on the wire ([RESP2](https://redis.io/docs/latest/develop/reference/protocol-spec/)),
//! read without making anything of them but slices: for replies of a known shape, where a tree of
//! objects would cost more than the command.

/// What comes next in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// `+` and `$`
    Text(&'a [u8]),
    /// `-`: the code and what follows it.
    Error(&'a [u8]),
    Int(i64),
    /// So many items follow that belong to it.
    Array(usize),
    Null,
}

impl<'a> Item<'a> {
    pub fn text(self) -> Option<&'a [u8]> {
        match self {
            Item::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn array(self) -> Option<usize> {
        match self {
            Item::Array(length) => Some(length),
            _ => None,
        }
    }
}

/// What a length may have: no reply is as long, and no number so short overflows.
const MOST_DIGITS: usize = 18;

/// Reads a reply item by item, those of an array one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(reply: &'a [u8]) -> Reader<'a> {
        Reader { rest: reply }
    }

    /// How many bytes are still to be read.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// The text up to the next end of a line.
    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\r')?;
        let line = &self.rest[..end];
        self.rest = self.rest[end..].strip_prefix(b"\r\n")?;
        Some(line)
    }

    /// A number and the end of its line; `None` within for one below zero.
    #[inline]
    fn length(&mut self) -> Option<Option<usize>> {
        let (mut value, mut digits) = (0_u64, 0);
        while let Some(digit @ b'0'..=b'9') = self.rest.get(digits) {
            if digits == MOST_DIGITS {
                return None;
            }
            value = value * 10 + u64::from(digit - b'0');
            digits += 1;
        }
        match self.rest.get(digits..) {
            Some([b'\r', b'\n', rest @ ..]) if digits > 0 => {
                self.rest = rest;
                usize::try_from(value).ok().map(Some)
            }
            Some([b'-', ..]) if digits == 0 => {
                self.line()?;
                Some(None)
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Item<'a>;

    /// `None` at the end, and at what is no RESP2.
    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let (kind, rest) = self.rest.split_first()?;
        self.rest = rest;
        match kind {
            b'$' => {
                let Some(length) = self.length()? else {
                    return Some(Item::Null);
                };
                let (text, rest) = self.rest.split_at_checked(length)?;
                let [b'\r', b'\n', rest @ ..] = rest else {
                    return None;
                };
                self.rest = rest;
                Some(Item::Text(text))
            }
            b'*' => Some(self.length()?.map_or(Item::Null, Item::Array)),
            b':' => {
                let text = std::str::from_utf8(self.line()?).ok()?;
                text.parse().ok().map(Item::Int)
            }
            b'+' => self.line().map(Item::Text),
            b'-' => self.line().map(Item::Error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(reply: &[u8]) -> Vec<Item<'_>> {
        Reader::new(reply).collect()
    }

    #[test]
    fn a_reply_of_every_kind() {
        let reply = b"*6\r\n$3\r\na\r\n\r\n$0\r\n\r\n:-12\r\n+OK\r\n$-1\r\n*-1\r\n";
        let expected = [
            Item::Array(6),
            Item::Text(b"a\r\n"),
            Item::Text(b""),
            Item::Int(-12),
            Item::Text(b"OK"),
            Item::Null,
            Item::Null,
        ];
        assert_eq!(read(reply), expected);
        let error = [Item::Error(b"ERR no such key")];
        assert_eq!(read(b"-ERR no such key\r\n"), error);
    }

    #[test]
    fn what_is_cut_short_ends_there() {
        let whole = b"*1\r\n$3\r\nabc\r\n";
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).len() < 2, "{length}");
        }
        assert_eq!(read(whole).len(), 2);
    }

    proptest! {
        #[test]
        fn texts_come_back(texts: Vec<Vec<u8>>) {
            let mut reply = format!("*{}\r\n", texts.len()).into_bytes();
            for text in &texts {
                reply.extend(format!("${}\r\n", text.len()).into_bytes());
                reply.extend(text);
                reply.extend(b"\r\n");
            }
            let mut reader = Reader::new(&reply);
            prop_assert_eq!(reader.next(), Some(Item::Array(texts.len())));
            for text in &texts {
                prop_assert_eq!(reader.next(), Some(Item::Text(text)));
            }
            prop_assert_eq!(reader.next(), None);
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>) {
            read(&bytes);
        }
    }
}

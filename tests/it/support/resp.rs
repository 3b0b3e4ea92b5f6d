//! The wire format, byte for byte: for arguments that are no text, and for looking at exactly what
//! the server sent. <https://redis.io/docs/latest/develop/reference/protocol-spec/>

use std::io::{self, BufRead, ErrorKind};

/// A command as the array of bulk strings a server reads.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The bytes of exactly one reply (RESP2 or RESP3, however deep), as they came.
pub fn read_reply(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    // How many values are still to come; an aggregate adds its own.
    let mut missing = 1_usize;
    while missing > 0 {
        missing -= 1;
        let start = reply.len();
        from.read_until(b'\n', &mut reply)?;
        let line = &reply[start..];
        let Some(line) = line.strip_suffix(b"\r\n").filter(|l| !l.is_empty()) else {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ));
        };
        match line[0] {
            b'*' | b'~' | b'>' => missing += length(line)?,
            b'%' => missing += 2 * length(line)?,
            // An attribute comes before the value it belongs to.
            b'|' => missing += 2 * length(line)? + 1,
            b'$' | b'=' | b'!' if line != b"$-1" => {
                let start = reply.len();
                let end = start + length(&reply[start - line.len() - 2..start - 2])? + 2;
                reply.resize(end, 0);
                from.read_exact(&mut reply[start..])?;
            }
            _ => {}
        }
    }
    Ok(reply)
}

/// The number in `*3`, `$12` or `%2`; a null array (`*-1`) has no elements.
fn length(line: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(&line[1..]);
    match text.parse::<i64>() {
        Ok(-1) => Ok(0),
        Ok(n) if n >= 0 => Ok(n as usize),
        _ => Err(io::Error::new(
            ErrorKind::InvalidData,
            format!("no length: {text:?}"),
        )),
    }
}

#[test]
fn one_reply_is_read_whole_and_no_further() {
    let replies: [&[u8]; 8] = [
        b"+OK\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"$4\r\n\r\n\r\n\r\n",
        b"*2\r\n*1\r\n:1\r\n$0\r\n\r\n",
        b"%1\r\n+a\r\n*0\r\n",
        b"|1\r\n+a\r\n+b\r\n:3\r\n",
        b"-ERR no\r\n",
    ];
    let mut all: &[u8] = &replies.concat();
    for reply in replies {
        assert_eq!(read_reply(&mut all).unwrap(), reply);
    }
    assert!(read_reply(&mut all).is_err());
}

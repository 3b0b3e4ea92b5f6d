//! What makes a valid command a hostile one: words that some code might trip over, and words that
//! are missing, doubled or in the wrong place.

use crate::support::random::Random;
use crate::workload::{keywords, Args};

/// Short words, of each kind that a parser can be wrong about.
const WORDS: &[&[u8]] = &[
    // No text, or odd text.
    b"",
    b"\0",
    b"a\0b",
    b"\xff\xfe",
    b"\xc3(",
    b"\xed\xa0\x80",
    b"\r\n",
    b"a\r\n+OK\r\n",
    b"-ERR no\r\n",
    b"%n%s%n",
    b"%s%s%s%d%x",
    "\u{4e00}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{2028}".as_bytes(),
    b"{",
    b"}",
    b"{a}",
    b"a b",
    b"\x7f",
    b"*",
    b"?",
    b"[a-z]",
    b"'",
    b"\"",
    b"\\",
    // Numbers and durations.
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"+1",
    b"00",
    b"1.5",
    b" 1",
    b"1 ",
    b"0x10",
    b"1e3",
    b"1e400",
    b"nan",
    b"NaN",
    b"inf",
    b"-inf",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"4294967296",
    b"-4294967297",
    b"9007199254740993",
    b"9223372036854775806",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551614",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999999",
    b"0ms",
    b"-1ms",
    b"1h",
    b"1w",
    b"3650d",
    b"3651d",
    b"106751991167d",
    b"106751991168d",
    b"213503982334d",
    b"18446744073709551615ms",
    b"18446744073709551615d",
    // Ids of streams, cursors and tokens.
    b"-",
    b"+",
    b"$",
    b">",
    b"0-0",
    b"0-1",
    b"1-",
    b"-1-1",
    b"1-1-1",
    b"18446744073709551615-18446744073709551615",
    b"18446744073709551616-0",
    b"99999999999999-0",
    b"k:0",
    b"k:18446744073709551615",
    b"r:1",
    b"n:18446744073709551615",
    b"f:9223372036854775808",
    b"s:18446744073709551616",
    b"u:1",
    b"t:0:0:",
    b"t:0:18446744073709551615:646576696365733a747970653a61",
    // Documents.
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"1",
    b"\"x\"",
    b"{\"a\":",
    b"{\"a\":1}}",
    b"{\"a\":1,\"a\":2}",
    b"{\"a\":{\"b\":1,\"b\":2}}",
    b"{\"a\":1e999}",
    b"{\"a\":-1e-999}",
    b"{\"a\":18446744073709551616}",
    b"{\"a\":-9223372036854775809}",
    b"{\"a\":0.1000000000000000055511151231257827}",
    b"{\"\":{\"\":null}}",
    b"{\"\\u0000\":1}",
    b"{\"a\":\"\\ud800\"}",
    b"{\"a\":\"\xff\"}",
    b"{\"a\":NaN}",
    b"\xef\xbb\xbf{}",
    b"{\"temp\":1e308,\"rssi\":-1e308}",
    b"{\"temp\":9223372036854775807,\"rssi\":18446744073709551615}",
    b"{\"owners\":[\"\",\"a b\",1,null,\"user-1\",\"user-1\"]}",
    b"{\"owners\":{\"a\":1}}",
    b"{\"state\":null}",
    b"{\"state\":{\"desired\":null}}",
    b"{\"state\":{\"desired\":null,\"reported\":null}}",
    b"{\"state\":{\"reported\":{\"a\":null}},\"version\":-1}",
    b"{\"state\":{\"desired\":{\"a\":{}}},\"version\":18446744073709551615}",
    b"{\"state\":{},\"clientToken\":{}}",
    b"{\"path\":\"a[\",\"bands\":[]}",
    b"{\"path\":\"a..b\",\"bands\":[{\"severity\":1,\"high\":1}]}",
    b"{\"path\":\"temp\",\"bands\":[{\"severity\":1,\"low\":2,\"high\":1}]}",
    b"{\"path\":\"temp\",\"bands\":[{\"severity\":999,\"high\":1}]}",
    b"{\"path\":\"temp\",\"bands\":[{\"severity\":1,\"high\":-1e308}],\"hysteresis\":1e308,\"for\":0,\"every\":0,\"wait\":0,\"notify\":[\"user-1\"]}",
    b"{\"path\":\"temp\",\"bands\":[{\"severity\":1,\"low\":1e308}],\"for\":\"106751991167d\",\"every\":\"3650d\"}",
    b"{\"on\":\"offline\",\"for\":\"3650d\",\"notify\":[\"user-1\"]}",
    b"{\"on\":\"offline\",\"for\":0,\"every\":0,\"notify\":[]}",
    b"{\"on\":\"online\"}",
    // Protobuf: no end, endless numbers, lengths beyond the end, groups, wrong types.
    b"\x08",
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x12\xff\xff\xff\xff\x0f",
    b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0b\x0b\x0b\x0b",
    b"\x0d\x00\x00\xc0\x7f",
    b"\x0a\x02\x08\x65",
    b"====",
    b"AAA",
    b"AAAA====",
    // Names of keys, of ours and of devices.
    b"device:state:d-1",
    b"devices:registered",
    b"devices:events",
    b"alerts:user:user-1",
    b"unknown",
    b"d-1",
    b"user-1",
    b"queue-1",
];

/// A word that no client in its right mind sends. A large one is rare, a huge one very rare.
pub fn hostile(random: &mut Random) -> Vec<u8> {
    match random.below(20_000) {
        0 => vec![b'x'; 20_000_000],
        1..=9 => vec![b'x'; 1 << 20],
        10..=14 => vec![0xff; 1 << 20],
        15..=29 => nested(b"{\"a\":", b"1", b"}", 10_000),
        30..=44 => [
            b"{\"a\":".to_vec(),
            nested(b"[", b"", b"]", 10_000),
            b"}".to_vec(),
        ]
        .concat(),
        45..=59 => nested(b"{\"a\":", b"1", b"}", 10 + random.below(12)),
        60..=64 => nested(b"\x0b", b"", b"", 100_000),
        65..=69 => wide(20_000),
        70..=79 => wide(500),
        80..=89 => format!(r#"{{"a":"{}"}}"#, "y".repeat(65_500 + random.below(100))).into_bytes(),
        90..=99 => format!("{{\"{}\":1}}", "k".repeat(70_000)).into_bytes(),
        100..=119 => vec![b'n'; 255 + random.below(4)],
        120..=139 => "é".repeat(127 + random.below(4)).into_bytes(),
        140..=149 => vec![b'9'; 5_000],
        150..=2_999 => noise(1 + random.below(64), random),
        3_000..=4_999 => near_an_edge(random).into_bytes(),
        5_000..=5_999 => random.pick(&keywords()).as_bytes().to_vec(),
        _ => random.pick(WORDS).to_vec(),
    }
}

fn nested(open: &[u8], inner: &[u8], close: &[u8], levels: usize) -> Vec<u8> {
    [&open.repeat(levels), inner, &close.repeat(levels)].concat()
}

/// An object of so many members.
fn wide(members: usize) -> Vec<u8> {
    let members: Vec<String> = (0..members).map(|n| format!("\"k{n}\":{n}")).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

fn noise(length: usize, random: &mut Random) -> Vec<u8> {
    (0..length).map(|_| random.below(256) as u8).collect()
}

/// A number close to a power of two.
fn near_an_edge(random: &mut Random) -> String {
    let edge = 1_i128 << random.below(66);
    let number = edge + random.below(5) as i128 - 2;
    match random.one_in(3) {
        true => format!("-{number}"),
        false => number.to_string(),
    }
}

/// Breaks a command in one way, or in several. Its name stays.
pub fn break_it(command: &mut Args, random: &mut Random) {
    break_once(command, random);
    while random.one_in(3) {
        break_once(command, random);
    }
}

fn break_once(command: &mut Args, random: &mut Random) {
    let count = command.len() - 1;
    if count == 0 {
        return command.push(hostile(random));
    }
    let at = 1 + random.below(count);
    let other = 1 + random.below(count);
    match random.below(16) {
        0..=5 => command[at] = hostile(random),
        6 => _ = command.remove(at),
        7 => command.insert(at, command[other].clone()),
        8 => command.swap(at, other),
        9 => {
            let word = command.remove(at);
            command.insert(other.min(command.len()), word);
        }
        10 => command.insert(at, hostile(random)),
        11 => command.push(random.pick(&keywords()).as_bytes().to_vec()),
        12 => {
            command.push(random.pick(&keywords()).as_bytes().to_vec());
            command.push(hostile(random));
        }
        // An option comes twice.
        13 => {
            let option: Args = command[at..].iter().take(2).cloned().collect();
            command.extend(option);
        }
        14 => bend(&mut command[at], random),
        _ if random.one_in(20) => {
            let word = command[at].clone();
            command.extend(vec![word; 1_000]);
        }
        _ => command.truncate(at),
    }
}

/// A byte that is another, too many or missing, or an end that is missing.
fn bend(word: &mut Vec<u8>, random: &mut Random) {
    if word.is_empty() {
        return;
    }
    let at = random.below(word.len());
    match random.below(4) {
        0 => word[at] = random.below(256) as u8,
        1 => word.insert(at, random.below(256) as u8),
        2 => _ = word.remove(at),
        _ => word.truncate(at),
    }
}

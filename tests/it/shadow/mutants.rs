//! Good requests with bytes changed, lost, doubled and swapped: each is applied or refused, and the
//! version counts exactly those that were applied.

use serde_json::json;

use super::model::random::Random;
use super::*;

const GOOD: &[(&str, &str)] = &[
    (
        "DEVICE.SHADOW.SET",
        r#"{"a":{"b":[1,2.5,{"c":"x"}],"d":{}},"e":-7,"f":1e3,"g":true,"h":"\u00e9\ud83d\ude00"}"#,
    ),
    (
        "DEVICE.SHADOW.REPORT",
        r#"{"a":{"b":[1],"d":null},"e":18446744073709551615,"f":0.1}"#,
    ),
    (
        "DEVICE.SHADOW.UPDATE",
        r#"{"state":{"desired":{"a":null,"x":[{}]},"reported":null},"clientToken":"t"}"#,
    ),
    (
        "DEVICE.SHADOW.UPDATE",
        r#"{"state":null,"clientToken":"\"\\\n"}"#,
    ),
];

/// The request with one to three accidents in it.
fn mutant(good: &str, random: &mut Random) -> Vec<u8> {
    let mut bytes = good.as_bytes().to_vec();
    for _ in 0..=random.below(3) {
        let len = bytes.len() as u64;
        if len == 0 {
            break;
        }
        let (at, other) = (random.below(len) as usize, random.below(len) as usize);
        match random.below(6) {
            0 => bytes[at] = random.below(256) as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, bytes[other]),
            3 => bytes.swap(at, other),
            4 => bytes.truncate(at),
            _ => bytes[at] = b"{}[]\",:\\0-.eEtfnu \n"[random.below(19) as usize],
        }
    }
    bytes
}

#[test]
fn every_mutant_is_applied_or_refused() {
    let mut server = Server::start();
    let mut con = server.connection();
    let mut random = Random(77);
    let (mut version, mut refused) = (0, 0);
    for _ in 0..20_000 {
        let (command, good) = GOOD[random.below(GOOD.len() as u64) as usize];
        let document = mutant(good, &mut random);
        match cmd!(con, command, "d", &document) {
            Ok(_) => version += 1,
            Err(error) => {
                let code = error.code().unwrap_or("none");
                let shown = document.escape_ascii();
                let known = ["BADJSON", "ERR", "TOOLARGE"].contains(&code);
                assert!(known, "{command} {shown}: {error}");
                assert!(
                    !error.to_string().contains("panic"),
                    "{command} {shown}: {error}"
                );
                refused += 1;
            }
        }
    }
    assert!(version > 500 && refused > 5_000, "{version} and {refused}");
    assert_eq!(number(&mut con, "d", "version"), version);
    // What is stored can be read, and is what GET says.
    let whole = get(&mut con, "d");
    assert_eq!(whole["version"], version);
    let replaced = set_with(&mut con, "d", json!({}), "REPLACE");
    assert_eq!(replaced.0, version + 1);
    assert!(server.is_alive());
    crate::consistency::assert_consistent(&mut con);
}

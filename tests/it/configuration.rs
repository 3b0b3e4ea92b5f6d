//! `CONFIG`, `loadmodule` arguments, and loads that are refused.

mod effects;
mod loading;

use redis::Connection;

use crate::devices::*;
use crate::support::*;

const YEARS_MS: &str = "315360000000";

/// A setting: its name, its default, values that are good (as they are given, as they are shown),
/// values that are refused.
struct Setting {
    name: &'static str,
    default: &'static str,
    good: &'static [(&'static str, &'static str)],
    bad: &'static [&'static str],
}

/// Refused by every number.
const NO_NUMBERS: &[&str] = &[
    "",
    "-1",
    "1.5",
    "x",
    " 1",
    "1 ",
    "1e3",
    "18446744073709551616",
    "%n%s",
];

const NO_SWITCHES: &[&str] = &["", "1", "0", "true", "on", "yes ", "%n%s"];

const NO_NAMES: &[&str] = &["a b", "a\tb", "a\nb", "{a}", "a\u{7}"];

const SETTINGS: &[Setting] = &[
    Setting {
        name: "heartbeat-timeout",
        default: "60000",
        good: &[
            ("0", "0"),
            ("90s", "90000"),
            ("10m", "600000"),
            ("3650d", YEARS_MS),
            ("250ms", "250"),
        ],
        bad: &["3651d", "1w", "1 s", "1S"],
    },
    Setting {
        name: "restart-grace",
        default: "30000",
        good: &[
            ("0", "0"),
            ("1h", "3600000"),
            ("7d", "604800000"),
            (YEARS_MS, YEARS_MS),
        ],
        bad: &["315360000001", "1y"],
    },
    Setting {
        name: "max-devices",
        default: "0",
        good: &[("1", "1"), ("4294967295", "4294967295")],
        bad: &["4294967296", "1s"],
    },
    Setting {
        name: "commands-maxlen",
        default: "1000",
        good: &[("1", "1"), ("100000", "100000")],
        bad: &["0", "100001"],
    },
    Setting {
        name: "events-maxlen",
        default: "1000000",
        good: &[("1", "1"), ("4294967295", "4294967295")],
        bad: &["0", "4294967296"],
    },
    Setting {
        name: "max-document-bytes",
        default: "65536",
        good: &[("64", "64"), ("16777216", "16777216")],
        bad: &["63", "16777217", "64kb"],
    },
    Setting {
        name: "max-document-depth",
        default: "16",
        good: &[("1", "1"), ("100", "100")],
        bad: &["0", "101"],
    },
    Setting {
        name: "history-maxlen",
        default: "16",
        good: &[("0", "0"), ("1000", "1000")],
        bad: &["1s", "-16"],
    },
    Setting {
        name: "reports-maxlen",
        default: "0",
        good: &[("1", "1"), ("4294967295", "4294967295")],
        bad: &["4294967296", "1s"],
    },
    Setting {
        name: "shadow-metadata",
        default: "yes",
        good: &[("no", "no"), ("YES", "yes"), ("No", "no")],
        bad: NO_SWITCHES,
    },
    Setting {
        name: "history-presence",
        default: "no",
        good: &[("no", "no"), ("Yes", "yes")],
        bad: NO_SWITCHES,
    },
    Setting {
        name: "sweep-budget-us",
        default: "2000",
        good: &[("100", "100"), ("100000", "100000")],
        bad: &["99", "100001", "2ms"],
    },
    Setting {
        name: "last-seen-interval",
        default: "0",
        good: &[("10s", "10000"), ("0", "0"), ("3650d", "315360000000")],
        bad: &["-1", "soon", "3651d"],
    },
    Setting {
        name: "auto-register",
        default: "yes",
        good: &[("no", "no"), ("YES", "yes"), ("No", "no")],
        bad: NO_SWITCHES,
    },
    Setting {
        name: "heartbeat-keys",
        default: "yes",
        good: &[("no", "no"), ("yes", "yes")],
        bad: NO_SWITCHES,
    },
    Setting {
        name: "presence-channel",
        default: "devices:presence",
        good: &[("", ""), ("a:b", "a:b"), ("%n%s", "%n%s"), ("📟", "📟")],
        bad: NO_NAMES,
    },
    Setting {
        name: "alert-wait",
        default: "10800000",
        good: &[
            ("0", "0"),
            ("1", "1"),
            ("3h", "10800000"),
            ("3650d", YEARS_MS),
        ],
        bad: &["3651d", "1w"],
    },
    Setting {
        name: "alert-urgent-severity",
        default: "3",
        good: &[("0", "0"), ("1001", "1001")],
        bad: &["1002", "4294967296", "1s"],
    },
    Setting {
        name: "alert-channel",
        default: "devices:alerts",
        good: &[("", ""), ("x:y", "x:y")],
        bad: NO_NAMES,
    },
    Setting {
        name: "status-channel",
        default: "devices:status",
        good: &[("", ""), ("x", "x")],
        bad: NO_NAMES,
    },
];

impl Setting {
    fn full_name(&self) -> String {
        format!("devicestate.{}", self.name)
    }

    fn is_number(&self) -> bool {
        self.default.parse::<u64>().is_ok()
    }

    fn all_bad(&self) -> impl Iterator<Item = &'static str> {
        let numbers: &[&str] = if self.is_number() { NO_NUMBERS } else { &[] };
        self.bad.iter().chain(numbers).copied()
    }
}

/// As `CONFIG GET` shows it.
#[track_caller]
fn shown(con: &mut Connection, setting: &str) -> String {
    let reply = cmd!(con, "CONFIG GET", format!("devicestate.{setting}"));
    reply.fields()[&format!("devicestate.{setting}")].text()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let server = Server::start();
    let mut con = server.connection();
    for setting in SETTINGS {
        assert_eq!(
            shown(&mut con, setting.name),
            setting.default,
            "{}",
            setting.name
        );
    }
    assert_eq!(shown(&mut con, "key-prefix"), "");
    // And there are no others that this table does not know.
    let all = cmd!(con, "CONFIG GET", "devicestate.*").fields();
    assert_eq!(all.len(), SETTINGS.len() + 1, "{:?}", all.keys());
}

#[test]
fn good_values_are_taken_and_shown() {
    let server = Server::start();
    let mut con = server.connection();
    for setting in SETTINGS {
        for (given, expected) in setting.good {
            let set = cmd!(con, "CONFIG SET", setting.full_name(), given);
            assert!(set.is_ok(), "{} {given:?}: {set:?}", setting.name);
            assert_eq!(shown(&mut con, setting.name), *expected, "{}", setting.name);
        }
    }
}

#[test]
fn bad_values_are_refused_and_change_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    for setting in SETTINGS {
        for bad in setting.all_bad() {
            let name = setting.full_name();
            let error = expect_error(
                &mut con,
                &["CONFIG", "SET", &name, bad],
                "ERR",
                setting.name,
            );
            assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
            assert_eq!(
                shown(&mut con, setting.name),
                setting.default,
                "{}",
                setting.name
            );
        }
        let name = setting.full_name();
        let bytes = [b"CONFIG".as_slice(), b"SET", name.as_bytes(), b"\xff\0"];
        expect_error(&mut con, &bytes, "ERR", setting.name);
    }
}

#[test]
fn one_bad_value_among_several_changes_none() {
    let server = Server::start();
    let mut con = server.connection();
    let words = "CONFIG SET devicestate.heartbeat-timeout 5s devicestate.max-devices x";
    let words: Vec<&str> = words.split(' ').collect();
    expect_error(&mut con, &words, "ERR", "max-devices");
    assert_eq!(shown(&mut con, "heartbeat-timeout"), "60000");
}

#[test]
fn the_key_prefix_is_set_at_load_only() {
    let server = Server::builder()
        .config("devicestate.key-prefix", "sc:")
        .start();
    let mut con = server.connection();
    let words = ["CONFIG", "SET", "devicestate.key-prefix", "x:"];
    expect_error(&mut con, &words, "ERR", "immutable");
    assert_eq!(shown(&mut con, "key-prefix"), "sc:");
    beat(&mut con, "d");
    assert_eq!(cmd!(con, "EXISTS", "sc:device:state:d").int(), 1);
}

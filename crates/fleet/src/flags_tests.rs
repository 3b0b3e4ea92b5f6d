use super::*;

fn flags(args: &[&str]) -> Result<Flags, String> {
    let args = std::iter::once("devicestate-fleet").chain(args.iter().copied());
    Flags::try_parse_from(args).map_err(|e| e.to_string())
}

#[test]
fn the_grammar_is_consistent() {
    use clap::CommandFactory;
    Flags::command().debug_assert();
}

#[test]
fn durations() {
    assert_eq!(time("0"), Ok(0));
    assert_eq!(time("250"), Ok(250));
    assert_eq!(time("250ms"), Ok(250));
    assert_eq!(time("90s"), Ok(90_000));
    assert_eq!(time("10m"), Ok(600_000));
    assert_eq!(time("1h"), Ok(3_600_000));
    assert_eq!(time("7d"), Ok(604_800_000));
    for wrong in [
        "",
        "s",
        "1.5s",
        "-1",
        "1 s",
        "1w",
        "99999999999999999999",
        "4000d",
        "ä",
    ] {
        assert!(time(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_bad_flag_is_named() {
    for (args, name) in [
        (vec!["--interval", "soon"], "--interval"),
        (vec!["--devices", "0"], "--devices"),
        (vec!["--timeout", "99"], "--timeout"),
        (vec!["--duration", "0"], "--duration"),
        (vec!["--silent", "110%"], "--silent"),
        (vec!["--id-prefix", "a b"], "--id-prefix"),
        (vec!["--prefix", "a/#"], "--prefix"),
        (vec!["--keep-alive", "20h"], "--keep-alive"),
        (
            vec!["--pipeline", "0", "--redis", "redis://h"],
            "--pipeline",
        ),
        (vec!["--redis", "redis://h", "--mqtt", "mqtt://h"], "--mqtt"),
        (
            vec!["--redis", "redis://h", "--connect-rate", "5"],
            "--connect-rate",
        ),
        (vec!["--type", "meter"], "--redis"),
        (vec!["--no-such-flag"], "--no-such-flag"),
    ] {
        let error = flags(&args).unwrap_err();
        assert!(error.contains(name), "{args:?}: {error}");
    }
}

#[test]
fn what_only_shows_together_is_named_too() {
    let error = |args: &[&str]| {
        let flags = flags(args).unwrap();
        flags.plan().and(flags.target().map(|_| ())).unwrap_err()
    };
    assert!(error(&["--mqtt", "http://h"]).starts_with("--mqtt:"));
    assert!(error(&["--redis", "localhost"]).starts_with("--redis:"));
    assert!(error(&["--duration", "5s", "--silent-after", "5s"]).starts_with("--silent-after:"));
    assert!(error(&["--silent", "60%", "--cut", "60%"]).starts_with("--cut:"));
}

#[test]
fn the_timeout_is_three_intervals() {
    let timeout = |args: &[&str]| flags(args).unwrap().timeout_ms();
    assert_eq!(timeout(&[]), 15_000);
    assert_eq!(timeout(&["--interval", "10ms"]), 100);
    assert_eq!(timeout(&["--interval", "0"]), 60_000);
    assert_eq!(timeout(&["--timeout", "0"]), 0);
}

#[test]
fn devices_end_in_the_middle_of_the_run() {
    let ends = |args: &[&str]| flags(args).unwrap().ends().unwrap();
    assert_eq!(ends(&["--duration", "30s"]), (10_000, 20_000));
    assert_eq!(
        ends(&["--duration", "30s", "--silent-after", "20s"]),
        (20_000, 25_000)
    );
    assert_eq!(ends(&["--interval", "2s"]), (6_000, 12_000));
    assert_eq!(ends(&["--interval", "0"]), (10_000, 20_000));
}

#[test]
fn broker_addresses() {
    let login = |user: &str, password: &str| Some((user.to_string(), password.to_string()));
    assert_eq!(broker("mqtt://h"), Ok(("h".into(), 1883, None)));
    assert_eq!(broker("mqtt://h:1884/"), Ok(("h".into(), 1884, None)));
    assert_eq!(broker("mqtt://[::1]:1884"), Ok(("::1".into(), 1884, None)));
    assert_eq!(broker("mqtt://[::1]"), Ok(("::1".into(), 1883, None)));
    assert_eq!(broker("mqtt://u@h"), Ok(("h".into(), 1883, login("u", ""))));
    assert_eq!(
        broker("mqtt://u:p%40:x@h"),
        Ok(("h".into(), 1883, login("u", "p@:x")))
    );
    for wrong in [
        "h:1883",
        "mqtt://",
        "mqtt://h:x",
        "mqtt://h/topic",
        "mqtts://h",
        "mqtt://:1",
    ] {
        assert!(broker(wrong).is_err(), "{wrong}");
    }
}

//! The command line: refusals are one line that names the flag.

use std::process::Command;

use crate::process::Fleet;

#[test]
fn a_bad_flag_is_one_line_and_exit_code_2() {
    for (args, name) in [
        (vec!["--interval", "soon"], "--interval"),
        (vec!["--silent", "120%"], "--silent"),
        (vec!["--devices", "10", "--cut", "11"], "--cut"),
        (vec!["--mqtt", "broker:1883"], "--mqtt"),
        (vec!["--redis", "nowhere"], "--redis"),
        (
            vec!["--mqtt", "mqtt://a", "--redis", "redis://b"],
            "--redis",
        ),
        (vec!["--type", "meter"], "--redis"),
        (vec!["--frequency", "5"], "--frequency"),
    ] {
        let (status, stdout, stderr) = Fleet::start(&args).end();
        assert_eq!(status.code(), Some(2), "{args:?}");
        assert_eq!(stdout, "");
        assert_eq!(stderr.len(), 1, "{stderr:?}");
        assert!(stderr[0].contains(name), "{stderr:?}");
    }
}

#[test]
fn help_goes_to_stdout() {
    let (status, stdout, stderr) = Fleet::start(&["--help"]).end();
    assert!(status.success() && stderr.is_empty());
    assert!(stdout.contains("--silent-after"));
}

/// A limit that the fleet does not fit in is told before any device connects.
#[test]
fn too_few_open_files_are_told() {
    let script = format!(
        "ulimit -n 100; exec {} --devices 100",
        env!("CARGO_BIN_EXE_devicestate-fleet")
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("ulimit -n 132"), "{stderr}");
}

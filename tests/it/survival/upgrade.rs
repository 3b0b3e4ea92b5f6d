//! What a version stored, each later one reads: for each version there is a folder in `tests/fixtures`
//! with a snapshot and an append-only file that hold every kind of state (README.md there says how
//! they are made), and a module here that says what must be found in them.

mod v0_1_0;

use std::fs;
use std::path::{Path, PathBuf};

use redis::Connection;
use tempfile::TempDir;

use crate::devices::*;
use crate::support::*;
use crate::survival::size::size;
use crate::workload::Workload;

/// A version, and what its folder holds.
type Stored = (&'static str, fn(&mut Connection, i64));

/// The versions whose data is kept, and what asserts that nothing of it was lost; it is given the time
/// at which the server was started.
const VERSIONS: &[Stored] = &[("0.1.0", v0_1_0::holds)];

/// What the snapshot and the append-only file of a version are called.
const SNAPSHOT: &str = "dump.rdb";
const APPEND_ONLY: &str = "appendonlydir";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Copies a file, or a folder with the files in it.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("read a folder") {
            let entry = entry.expect("an entry of a folder");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("copy a file");
    }
}

/// A copy of stored data that a server may change.
fn copy_of(version: &str, name: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let stored = fixtures().join(version).join(name);
    assert!(stored.exists(), "{} is missing", stored.display());
    copy(&stored, &dir.path().join(name));
    dir
}

/// Starts a server on the stored data of each version.
#[track_caller]
fn each_is_read(name: &str, append_only: &str) {
    for (version, holds) in VERSIONS {
        let dir = copy_of(version, name);
        let began = now_ms();
        let server = Server::builder()
            .config("dir", dir.path().display())
            .config("appendonly", append_only)
            .config("devicestate.restart-grace", 0)
            .start();
        eprintln!("{name} of {version}");
        holds(&mut server.connection(), began);
    }
}

#[test]
fn snapshots_of_every_version_are_read() {
    each_is_read(SNAPSHOT, "no");
}

#[test]
fn append_only_files_of_every_version_are_read() {
    each_is_read(APPEND_ONLY, "yes");
}

/// A release adds its own folder, and says here what is in it.
#[test]
fn every_folder_is_read_and_this_version_has_one() {
    let entries = fs::read_dir(fixtures()).expect("read a folder").flatten();
    let mut folders: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut versions: Vec<&str> = VERSIONS.iter().map(|(version, _)| *version).collect();
    assert!(versions.contains(&env!("CARGO_PKG_VERSION")));
    versions.sort_unstable();
    assert_eq!(folders, versions);
}

/// Not a test: makes the folder of this version anew. The first half of the append-only file is
/// rewritten, the second half is not.
#[test]
#[ignore = "writes tests/fixtures; see the README there"]
fn write_the_fixtures_of_this_version() {
    let to = fixtures().join(env!("CARGO_PKG_VERSION"));
    let server = Server::builder()
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .config("devicestate.reports-maxlen", 100)
        .config("devicestate.restart-grace", 0)
        .start();
    server.settle();
    let mut con = server.connection();
    v0_1_0::write_first_half(&mut con);
    cmd!(con, "BGREWRITEAOF").text();
    wait_for("the file is rewritten", SOON, || {
        let info = cmd!(con, "INFO persistence").text();
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    });
    v0_1_0::write_second_half(&mut con);
    cmd!(con, "SAVE").text();
    // The same in both: nothing happens after the snapshot.
    server.stop();
    for name in [SNAPSHOT, APPEND_ONLY] {
        if to.join(name).is_dir() {
            fs::remove_dir_all(to.join(name)).expect("remove a folder");
        }
        fs::create_dir_all(&to).expect("a folder");
        copy(&server.dir().join(name), &to.join(name));
    }
}

/// A snapshot holds nothing but the server's own types: it can be read without the module. (For
/// append-only files see `restart`.)
#[test]
fn a_snapshot_loads_without_the_module() {
    let server = quick();
    let mut con = server.connection();
    Workload::new(5).run(&mut con, size(3_000, 50_000));
    let mut before = Snapshot::new();
    wait_for("nothing happens while it is made", SOON, || {
        before = snapshot_with_expiry(&mut con);
        cmd!(con, "SAVE").text();
        before == snapshot_with_expiry(&mut con)
    });
    let dir = tempfile::tempdir().expect("a temporary folder");
    copy(&server.dir().join(SNAPSHOT), &dir.path().join(SNAPSHOT));
    let plain = Server::builder()
        .without_module()
        .config("dir", dir.path().display())
        .start();
    // Throttles may expire meanwhile, as any key does.
    let mut after = snapshot_with_expiry(&mut plain.connection());
    for keys in [&mut before, &mut after] {
        keys.retain(|key, _| !key.starts_with("window-") && !key.starts_with("bucket-"));
    }
    assert!(before.len() > 100, "{} keys", before.len());
    assert_eq!(difference(&before, &after), Vec::<String>::new());
}

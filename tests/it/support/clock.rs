//! A server whose wall clock a test sets, as an operator or the end of a suspension does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::{NamedTempFile, TempDir};

use super::server::Builder;

/// The wall clock of one server; the monotonic one goes on.
pub struct WallClock {
    seconds: NamedTempFile,
}

impl WallClock {
    /// It shows the time of this machine, until [`WallClock::set`].
    pub fn new() -> WallClock {
        let seconds = NamedTempFile::new().expect("a temporary file");
        let clock = WallClock { seconds };
        clock.set(0);
        clock
    }

    /// The server is started with this clock.
    pub fn of(&self, builder: Builder) -> Builder {
        builder
            .env("LD_PRELOAD", library().display())
            .env("DEVICESTATE_TEST_CLOCK", self.seconds.path().display())
    }

    /// From now on it shows the time of this machine and so many seconds.
    pub fn set(&self, seconds: i64) {
        let file: &File = self.seconds.as_file();
        file.write_all_at(&seconds.to_ne_bytes(), 0)
            .expect("write the seconds");
    }
}

/// The library of `clock.c`, compiled once.
#[track_caller]
fn library() -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("clock.so"))
            .arg(source)
            .status();
        assert!(compiled.is_ok_and(|status| status.success()), "{source}");
        folder
    });
    folder.path().join("clock.so")
}

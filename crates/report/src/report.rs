//! What one bench has found, and the file it is kept in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::load_average;
use crate::terminal::columns;
use crate::{Machine, Table};

/// Which form the files have. Another number: they are measured again, not read.
const SCHEMA: u32 = 1;

/// All figures of a bench: `target/bench/<bench>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub bench: String,
    /// Few of everything: the figures mean nothing.
    pub quick: bool,
    pub machine: Machine,
    /// What it was run with: numbers of devices, rounds, bytes.
    pub settings: BTreeMap<String, Value>,
    pub tables: Vec<Table>,
    /// Seconds since 1970; of no use to others.
    #[serde(skip)]
    started: u64,
}

impl Report {
    pub fn new(bench: &str, quick: bool, machine: Machine) -> Report {
        Report {
            schema: SCHEMA,
            bench: bench.to_owned(),
            quick,
            machine,
            settings: BTreeMap::new(),
            tables: Vec::new(),
            started: seconds(),
        }
    }

    /// Something that the figures depend on.
    pub fn setting(&mut self, name: &str, value: impl Into<Value>) {
        self.settings.insert(name.to_owned(), value.into());
    }

    /// Keeps a table, and prints it.
    pub fn table(&mut self, table: Table) {
        println!("\n{}\n{}", table.title, columns(&table.texts()).trim_end());
        let known = self.tables.iter().any(|known| known.id == table.id);
        assert!(!known, "{} has two tables {}", self.bench, table.id);
        self.tables.push(table);
    }

    /// Writes the file.
    pub fn finish(mut self) {
        self.machine.seconds = seconds().saturating_sub(self.started);
        self.machine.load_average_after = load_average();
        let folder = folder(self.quick);
        let file = folder.join(format!("{}.json", self.bench));
        let text = serde_json::to_string_pretty(&self).expect("figures as JSON");
        fs::create_dir_all(&folder).expect("make the folder of the figures");
        fs::write(&file, text + "\n").expect("write the figures");
        println!("\nwritten to {}", file.display());
    }

    /// Reads the file of a bench; says why it can't.
    pub fn read(folder: &Path, bench: &str) -> Result<Report, String> {
        let file = folder.join(format!("{bench}.json"));
        let again = format!("run scripts/bench {bench}");
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("no {}: {error}; {again}", file.display()))?;
        let not_ours = |why: String| format!("{}: {why}; {again}", file.display());
        // The number first: files of another form need not be readable.
        let value: Value =
            serde_json::from_str(&text).map_err(|error| not_ours(error.to_string()))?;
        if value["schema"] != SCHEMA {
            return Err(not_ours("another form of file".to_owned()));
        }
        serde_json::from_value(value).map_err(|error| not_ours(error.to_string()))
    }
}

/// `bench` in the target folder that this program was built in; `bench/quick` for figures that mean
/// nothing.
pub fn folder(quick: bool) -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    // target/release/program, or deps/ between them.
    let profile = program
        .ancestors()
        .skip(1)
        .find(|dir| !dir.ends_with("deps"));
    let target = profile
        .and_then(Path::parent)
        .unwrap_or(Path::new("target"));
    match quick {
        true => target.join("bench/quick"),
        false => target.join("bench"),
    }
}

fn seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Column};

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut report = Report::new("heartbeat", true, Machine::default());
        report.setting("ids", 1_000);
        let mut table = Table::new("t", "T", "").column(Column::new("rate", "", "k/s"));
        table.row("hset", "HSET", [Cell::once(0.1)]);
        table.row("ping", "PING", [None]);
        report.tables.push(table.bars("rate"));
        report.started = 0;
        let text = serde_json::to_string(&report).unwrap();
        fs::write(folder.path().join("heartbeat.json"), text).unwrap();
        assert_eq!(Report::read(folder.path(), "heartbeat"), Ok(report));
    }

    #[test]
    fn a_bench_that_must_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let why = || Report::read(folder.path(), "heartbeat").unwrap_err();
        assert!(why().ends_with("run scripts/bench heartbeat"), "{}", why());
        for text in ["", "{\"rate\": 1}", "{\"schema\": 0}", "{\"schema\": 1}"] {
            fs::write(folder.path().join("heartbeat.json"), text).unwrap();
            assert!(why().ends_with("run scripts/bench heartbeat"), "{}", why());
        }
    }
}

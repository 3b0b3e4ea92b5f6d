//! Figures: medians, spreads, percentiles, tables, and the file they are kept in.

use std::fs;
use std::path::PathBuf;

use serde_json::{json, Value};

use crate::support::target_binary;

/// Several measurements of the same thing.
#[derive(Debug, Clone, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    pub fn new(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        Spread(values)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        let half = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[half],
            _ => (self.0[half - 1] + self.0[half]) / 2.0,
        }
    }

    /// The value that `share` of all do not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let at = rank.clamp(1, self.0.len().max(1)) - 1;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    /// For the file: what a distribution is judged by.
    pub fn percentiles(&self) -> Value {
        json!({
            "p50": self.percentile(0.5),
            "p99": self.percentile(0.99),
            "p99.9": self.percentile(0.999),
            "max": self.max(),
            "count": self.len(),
        })
    }

    /// For the file: what repeated runs are judged by.
    pub fn rounds(&self) -> Value {
        json!({"median": self.median(), "min": self.min(), "max": self.max()})
    }
}

/// A table on the terminal: the first column to the left, the others to the right.
pub struct Table(Vec<Vec<String>>);

impl Table {
    pub fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Table {
        let mut table = Table(Vec::new());
        table.row(head);
        table
    }

    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.0.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn print(&self) {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.0 {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> = cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            println!("  {}", line.join("  ").trim_end());
        }
    }
}

/// Keeps the figures in `bench/<name>.json` of the target folder.
pub fn write(name: &str, figures: &Value) {
    let module = target_binary("libdevicestate.so");
    let target = module.parent().and_then(|profile| profile.parent());
    let dir = target.map_or_else(PathBuf::new, |target| target.join("bench"));
    fs::create_dir_all(&dir).expect("make the folder of the figures");
    let file = dir.join(format!("{name}.json"));
    fs::write(&file, format!("{figures:#}\n")).expect("write the figures");
    println!("\nwritten to target/bench/{name}.json");
}

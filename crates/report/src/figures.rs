//! The figures of several benches, found by their names.

use std::path::Path;

use crate::{Cell, Column, Report, Table};

/// What the benches have found, in the order in which they were asked for.
#[derive(Debug, Default)]
pub struct Figures(Vec<Report>);

/// One figure, and how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    pub cell: &'a Cell,
    pub column: &'a Column,
}

impl Figures {
    pub fn new(reports: impl IntoIterator<Item = Report>) -> Figures {
        Figures(reports.into_iter().collect())
    }

    /// Reads the files of these benches; says of all that it can't read why.
    pub fn read(folder: &Path, benches: &[String], quick: bool) -> Result<Figures, Vec<String>> {
        let (mut reports, mut missing) = (Vec::new(), Vec::new());
        for bench in benches {
            match Report::read(folder, bench) {
                Ok(report) if report.quick != quick => {
                    missing.push(format!(
                        "{bench} ran with other sizes: run scripts/bench {bench}"
                    ));
                }
                Ok(report) => reports.push(report),
                Err(why) => missing.push(why),
            }
        }
        match missing.is_empty() {
            true => Ok(Figures::new(reports)),
            false => Err(missing),
        }
    }

    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.0.iter()
    }

    pub fn report(&self, bench: &str) -> Result<&Report, String> {
        let report = self.0.iter().find(|report| report.bench == bench);
        report.ok_or_else(|| format!("no figures of {bench}: run scripts/bench {bench}"))
    }

    pub fn table(&self, bench: &str, table: &str) -> Result<&Table, String> {
        let tables = &self.report(bench)?.tables;
        let found = tables.iter().find(|known| known.id == table);
        found.ok_or_else(|| unknown(bench, "table", table, tables.iter().map(|t| &t.id)))
    }

    /// The figure with a name such as `heartbeat.no_aof.hset.rate`.
    pub fn figure(&self, name: &str) -> Result<Figure<'_>, String> {
        let [bench, table, row, column] = name.split('.').collect::<Vec<_>>()[..] else {
            return Err("a figure is named BENCH.TABLE.ROW.COLUMN".to_owned());
        };
        let found = self.table(bench, table)?;
        let place = format!("{bench}.{table}");
        let rows = &found.rows;
        let row = rows.iter().find(|known| known.id == row);
        let row = row.ok_or_else(|| unknown(&place, "row", name, rows.iter().map(|r| &r.id)))?;
        let columns = &found.columns;
        let at = columns.iter().position(|known| known.id == column);
        let at =
            at.ok_or_else(|| unknown(&place, "column", name, columns.iter().map(|c| &c.id)))?;
        match row.cells.get(at) {
            Some(Some(cell)) => Ok(Figure {
                cell,
                column: &columns[at],
            }),
            _ => Err("this place of the table is empty".to_owned()),
        }
    }
}

fn unknown<'a>(
    place: &str,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    format!("{place} has no {kind} for {name}, but {}", known.join(", "))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Machine, Spread};

    /// Two benches with one table each.
    pub fn sample() -> Figures {
        let machine = Machine {
            server: "redis 7.0.15".to_owned(),
            cores: 2,
            cpu: "EPYC".to_owned(),
            pinned: true,
            load_average_before: 0.25,
            date: "2026-01-31".to_owned(),
            commit: "2499d79".to_owned(),
            seconds: 150,
            ..Machine::default()
        };
        let mut heartbeat = Report::new("heartbeat", false, machine.clone());
        heartbeat.setting("ids", 100_000);
        let mut table = Table::new("no_aof", "no append-only file", "command")
            .column(Column::new("rate", "", "k/s"))
            .column(Column::ratio("ratio", "heartbeat/row"));
        let rates = Cell::of(&Spread::new(vec![499.0, 427.0, 523.0]));
        let ratios = Cell::of(&Spread::new(vec![0.9, 0.95, 0.85]));
        table.row("heartbeat", "DEVICE.HEARTBEAT", [rates, None]);
        table.row("hset", "HSET a|b", [Cell::once(520.0), ratios]);
        heartbeat.tables.push(table);

        let mut memory = Report::new("memory", false, machine);
        let mut table =
            Table::new("bare", "at rest", "").column(Column::new("bytes", "", "bytes").whole());
        table.row("all", "all", [Cell::once(1722.0)]);
        memory.tables.push(table);
        Figures::new([heartbeat, memory])
    }

    #[test]
    fn a_figure_is_found_by_its_name() {
        let figures = sample();
        let found = figures.figure("heartbeat.no_aof.hset.ratio").unwrap();
        assert_eq!(found.cell.median, 0.9);
        assert_eq!(found.column.title, "heartbeat/row");
    }

    #[test]
    fn what_is_missing_is_named() {
        let figures = sample();
        let why = |name: &str| figures.figure(name).unwrap_err();
        assert_eq!(
            why("queue.no_aof.raw.rate"),
            "no figures of queue: run scripts/bench queue"
        );
        assert!(why("heartbeat.aof.hset.rate").contains("but no_aof"));
        assert!(why("heartbeat.no_aof.set.rate").contains("but heartbeat, hset"));
        assert!(why("heartbeat.no_aof.hset.rat").contains("but rate, ratio"));
        assert!(why("heartbeat.no_aof.heartbeat.ratio").contains("empty"));
        assert!(why("heartbeat").contains("BENCH.TABLE.ROW.COLUMN"));
    }
}

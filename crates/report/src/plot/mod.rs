//! Tables as drawings, each readable alone.

mod bars;
mod canvas;
mod percentiles;

use crate::{Plot, Report, Table};

/// The drawings of a report: the name of a file, and its SVG.
pub fn all(report: &Report) -> Result<Vec<(String, String)>, String> {
    let mut drawn = Vec::new();
    for table in &report.tables {
        for plot in &table.plots {
            let (what, svg) = match plot {
                Plot::Bars { column } => (column.as_str(), bars::draw(report, table, column)),
                Plot::Percentiles => ("percentiles", percentiles::draw(report, table)),
            };
            let name = format!("{}-{}-{what}", report.bench, table.id);
            let svg = svg.map_err(|why| format!("{name} can't be drawn: {why}"))?;
            drawn.push((format!("{name}.svg"), svg));
        }
    }
    Ok(drawn)
}

/// What stands above a drawing.
fn heading(report: &Report, table: &Table) -> String {
    let title = match report.quick {
        true => format!("{} (quick: the figures mean nothing)", table.title),
        false => table.title.clone(),
    };
    let mut letters = title.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// What stands below it: where the figures come from, and what the whiskers are.
fn origin(report: &Report, table: &Table) -> String {
    let cells = table.rows.iter().flat_map(|row| row.cells.iter().flatten());
    let rounds = cells.map(|cell| cell.rounds).max().unwrap_or(0);
    let machine = &report.machine;
    let from = format!(
        "{}, {} cores ({}), {}, {}",
        machine.server, machine.cores, machine.cpu, machine.date, machine.commit
    );
    match rounds {
        0 | 1 => from,
        _ => format!("{from}; median, smallest and largest of {rounds} rounds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Column, Machine, Spread};

    fn report(table: Table) -> Report {
        let machine = Machine {
            server: "redis 7.0.15".to_owned(),
            ..Machine::default()
        };
        let mut report = Report::new("heartbeat", false, machine);
        report.tables.push(table);
        report
    }

    /// The texts of an SVG.
    fn texts(svg: &str) -> Vec<&str> {
        let lines = svg.split("<text").skip(1);
        let inner = lines.filter_map(|text| text.split_once('>')?.1.split_once("</text>"));
        inner.map(|(text, _)| text.trim()).collect()
    }

    #[test]
    fn bars_name_rows_figures_unit_and_origin() {
        let mut table = Table::new("no_aof", "a heartbeat", "command")
            .column(Column::new("rate", "", "k/s"))
            .bars("rate");
        let cell = Cell::of(&Spread::new(vec![400.0, 450.0, 500.0]));
        table.row("hset", "HSET <key> & value", [cell]);
        table.row("ping", "PING", [None]);
        let drawn = all(&report(table)).unwrap();
        assert_eq!(drawn[0].0, "heartbeat-no_aof-rate.svg");
        let texts = texts(&drawn[0].1);
        assert_eq!(texts[0], "A heartbeat");
        assert!(texts[1].starts_with("redis 7.0.15"), "{texts:?}");
        assert!(texts[1].ends_with("of 3 rounds"), "{texts:?}");
        for wanted in ["k/s", "HSET &lt;key&gt; &amp; value", "450 (400-500)"] {
            assert!(texts.contains(&wanted), "no {wanted} in {texts:?}");
        }
        assert!(!texts.contains(&"PING"), "not measured, not drawn");
    }

    #[test]
    fn percentiles_may_be_zero() {
        let mut table = Table::new("late", "lateness", "scenario")
            .percentiles("ms", Some(0))
            .plot(Plot::Percentiles);
        let times = Spread::new(vec![0.0, 0.0, 3.0]);
        table.row("quiet", "quiet", Cell::percentiles(&[times]));
        let drawn = all(&report(table)).unwrap();
        let texts = texts(&drawn[0].1);
        for wanted in ["quiet", "p50", "p99.9", "max", "ms"] {
            assert!(texts.contains(&wanted), "no {wanted} in {texts:?}");
        }
    }

    #[test]
    fn what_can_not_be_drawn_is_named() {
        let table = Table::new("late", "lateness", "scenario").bars("rate");
        let why = all(&report(table)).unwrap_err();
        assert!(
            why.contains("heartbeat-late-rate") && why.contains("no column rate"),
            "{why}"
        );
    }
}

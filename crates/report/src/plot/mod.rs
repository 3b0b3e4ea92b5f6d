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

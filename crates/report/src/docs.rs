//! A document made of prose with placeholders:
//!
//! | placeholder | what takes its place |
//! |---|---|
//! | `{{heartbeat.no_aof}}` | a table |
//! | `{{heartbeat.no_aof.hset.rate}}` | the median of a figure |
//! | `{{heartbeat.no_aof.hset.rate.spread}}` | with `(min-max)`; `.min` and `.max` alone |
//! | `{{heartbeat.settings.ids}}` | what the bench was run with |
//! | `{{heartbeat.machine.server}}` | a field of the machine, such as `date` or `commit` |
//! | `{{machines}}` | a table of all benches: when, on what, how long |
//! | `{{minutes}}` | how long all of them took |
//! | `{{targets}}` | the table of all targets |

use serde_json::Value;

use crate::figures::Figures;
use crate::number::shown;
use crate::targets;
use crate::Table;

/// Puts figures into the prose; says of all placeholders that have none why.
pub fn fill(source: &str, figures: &Figures, benches: &[String]) -> Result<String, Vec<String>> {
    let (mut text, mut missing) = (String::with_capacity(2 * source.len()), Vec::new());
    let mut rest = source;
    while let Some((before, behind)) = rest.split_once("{{") {
        text.push_str(before);
        let Some((name, behind)) = behind.split_once("}}") else {
            missing.push(format!(
                "no end: {{{{{}",
                behind.lines().next().unwrap_or("")
            ));
            break;
        };
        match value(name.trim(), figures, benches) {
            Ok(value) => text.push_str(&value),
            Err(why) => missing.push(format!("{{{{{name}}}}}: {why}")),
        }
        rest = behind;
    }
    text.push_str(rest);
    match missing.is_empty() {
        true => Ok(text),
        false => Err(missing),
    }
}

fn value(name: &str, figures: &Figures, benches: &[String]) -> Result<String, String> {
    match name.split('.').collect::<Vec<_>>()[..] {
        ["machines"] => Ok(markdown(&machines(figures))),
        ["targets"] => Ok(markdown(&targets::texts(&targets::judge(figures, benches)))),
        ["minutes"] => {
            let seconds: u64 = figures.reports().map(|r| r.machine.seconds).sum();
            Ok(minutes(seconds))
        }
        [bench, "settings", setting] => {
            let settings = &figures.report(bench)?.settings;
            written(settings.get(setting))
                .ok_or_else(|| format!("{bench} has no setting {setting}"))
        }
        [bench, "machine", field] => {
            let machine = serde_json::to_value(&figures.report(bench)?.machine);
            let machine = machine.map_err(|error| error.to_string())?;
            written(machine.get(field)).ok_or_else(|| format!("a machine has no {field}"))
        }
        [bench, table] => Ok(markdown(&rows(figures.table(bench, table)?))),
        [bench, table, row, column] => figure(figures, &[bench, table, row, column], "median"),
        [bench, table, row, column, part] => figure(figures, &[bench, table, row, column], part),
        _ => Err("there is no such placeholder".to_owned()),
    }
}

fn figure(figures: &Figures, name: &[&str; 4], part: &str) -> Result<String, String> {
    let found = figures.figure(&name.join("."))?;
    let (cell, decimals) = (found.cell, found.column.decimals);
    Ok(match part {
        "median" => shown(cell.median, decimals),
        "min" => shown(cell.min, decimals),
        "max" => shown(cell.max, decimals),
        "spread" => cell.with_spread(decimals),
        _ => return Err("of a figure there are min, max and spread".to_owned()),
    })
}

fn written(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            let number = number.as_f64()?;
            let decimals = if number.fract() == 0.0 { Some(0) } else { None };
            Some(shown(number, decimals))
        }
        _ => None,
    }
}

/// A table with its title in the first place, and where there are spreads, what they are.
fn rows(table: &Table) -> Vec<Vec<String>> {
    let mut rows = table.texts();
    rows[0][0].clone_from(&table.title);
    for (at, column) in table.columns.iter().enumerate() {
        let mut cells = table.rows.iter().filter_map(|row| row.cells[at]);
        if column.with_spread && cells.any(|cell| cell.rounds > 1) {
            rows[0][at + 1] += ", median (min-max)";
        }
    }
    rows
}

fn machines(figures: &Figures) -> Vec<Vec<String>> {
    let head = [
        "bench",
        "when",
        "commit",
        "server",
        "load average before",
        "minutes",
    ];
    let head = head.map(str::to_owned).to_vec();
    let rows = figures.reports().map(|report| {
        let machine = &report.machine;
        vec![
            report.bench.clone(),
            machine.date.clone(),
            machine.commit.clone(),
            machine.server.clone(),
            shown(machine.load_average_before, Some(2)),
            minutes(machine.seconds),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

/// Half a minute is told, less is not.
fn minutes(seconds: u64) -> String {
    let minutes = seconds as f64 / 60.0;
    shown(minutes, Some(usize::from(minutes < 10.0)))
}

/// A table of GitHub's Markdown.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells = cells.iter().map(|cell| match cell.as_str() {
            "" => "| ".to_owned(),
            cell => format!("| {} ", cell.replace('|', "\\|")),
        });
        cells.collect::<String>() + "|"
    };
    let mut lines: Vec<String> = rows.iter().map(|row| line(row)).collect();
    let columns = rows.first().map_or(0, Vec::len);
    lines.insert(lines.len().min(1), "|---".repeat(columns) + "|");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::sample;

    fn filled(source: &str) -> Result<String, Vec<String>> {
        fill(source, &sample(), &["heartbeat".to_owned()])
    }

    #[test]
    fn prose_without_placeholders_stays_as_it_is() {
        assert_eq!(
            filled("# Title\n\n{a} }} b\n").unwrap(),
            "# Title\n\n{a} }} b\n"
        );
    }

    #[test]
    fn figures_take_the_places_of_their_names() {
        let name = "heartbeat.no_aof.heartbeat.rate";
        let source = format!("{{{{{name}}}}}, {{{{ {name}.spread }}}}, {{{{{name}.min}}}}!");
        assert_eq!(filled(&source).unwrap(), "499, 499 (427-523), 427!");
        assert_eq!(filled("{{memory.bare.all.bytes}}").unwrap(), "1 722");
    }

    #[test]
    fn settings_and_the_machine_can_be_named() {
        let source = "{{heartbeat.settings.ids}} on {{heartbeat.machine.server}}, {{minutes}} min";
        assert_eq!(filled(source).unwrap(), "100 000 on redis 7.0.15, 5.0 min");
    }

    #[test]
    fn a_table_has_its_title_and_says_what_spreads_are() {
        assert_eq!(
            filled("{{heartbeat.no_aof}}").unwrap(),
            "| no append-only file | k/s, median (min-max) | heartbeat/row, median (min-max) |\n\
             |---|---|---|\n\
             | DEVICE.HEARTBEAT | 499 (427-523) | |\n\
             | HSET a\\|b | 520 | 0.90 (0.85-0.95) |"
        );
    }

    #[test]
    fn all_that_is_missing_is_told_at_once() {
        let source =
            "{{queue.a}} {{heartbeat.no_aof.hset.rate}} {{heartbeat.x}} {{nothing}} {{open";
        let missing = filled(source).unwrap_err();
        assert_eq!(missing.len(), 4);
        assert!(
            missing[0].contains("run scripts/bench queue"),
            "{missing:?}"
        );
        assert!(missing[1].contains("but no_aof"), "{missing:?}");
        assert!(missing[2].contains("no such placeholder"), "{missing:?}");
        assert!(missing[3].contains("no end"), "{missing:?}");
    }
}

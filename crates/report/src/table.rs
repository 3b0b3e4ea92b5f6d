//! A table of figures, as it stands in the file.

use serde::{Deserialize, Serialize};

use crate::number::shown;
use crate::Spread;

/// Rows that are compared. `id`s name tables, rows and columns in the documentation's placeholders:
/// small letters, digits and underlines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub id: String,
    pub title: String,
    /// What the rows are: `command`.
    pub rows_are: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plots: Vec<Plot>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    pub id: String,
    pub title: String,
    /// Empty for a ratio.
    pub unit: String,
    /// How many decimals are shown; without, about three digits that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<usize>,
    /// Whether tables show smallest and largest too.
    pub with_spread: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub name: String,
    /// One for each column.
    pub cells: Vec<Option<Cell>>,
}

/// One figure: of several rounds, or measured once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// How many rounds.
    pub rounds: usize,
}

/// A drawing of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Plot {
    /// A bar for each row, the median of one column, with smallest and largest as a whisker.
    Bars { column: String },
    /// A line for each row over the percentiles: columns whose ids are `p50`, `p99`, `p99_9`, `max`.
    Percentiles,
}

impl Table {
    pub fn new(id: &str, title: impl Into<String>, rows_are: &str) -> Table {
        assert_id(id);
        Table {
            id: id.to_owned(),
            title: title.into(),
            rows_are: rows_are.to_owned(),
            columns: Vec::new(),
            rows: Vec::new(),
            plots: Vec::new(),
        }
    }

    pub fn column(mut self, column: Column) -> Table {
        assert!(self.rows.is_empty(), "columns come before rows");
        self.columns.push(column);
        self
    }

    /// Columns `p50`, `p99`, `p99_9` and `max` of a distribution; [`Cell::percentiles`] fills them.
    pub fn percentiles(mut self, unit: &str, decimals: Option<usize>) -> Table {
        for (id, title) in [
            ("p50", "p50"),
            ("p99", "p99"),
            ("p99_9", "p99.9"),
            ("max", "max"),
        ] {
            let column = Column::new(id, title, unit);
            self = self.column(Column { decimals, ..column });
        }
        self
    }

    pub fn plot(mut self, plot: Plot) -> Table {
        self.plots.push(plot);
        self
    }

    /// Bars of one column.
    pub fn bars(self, column: &str) -> Table {
        let column = column.to_owned();
        self.plot(Plot::Bars { column })
    }

    pub fn row(
        &mut self,
        id: &str,
        name: impl Into<String>,
        cells: impl IntoIterator<Item = Option<Cell>>,
    ) {
        assert_id(id);
        let row = Row {
            id: id.to_owned(),
            name: name.into(),
            cells: cells.into_iter().collect(),
        };
        assert_eq!(row.cells.len(), self.columns.len(), "{}/{id}", self.id);
        assert!(self.rows.iter().all(|known| known.id != id), "{id} twice");
        self.rows.push(row);
    }

    /// What is written in each place, the head first.
    pub fn texts(&self) -> Vec<Vec<String>> {
        let head = self.columns.iter().map(Column::head);
        let head = std::iter::once(self.rows_are.clone()).chain(head).collect();
        let rows = self.rows.iter().map(|row| {
            let cells = row.cells.iter().zip(&self.columns);
            let cells =
                cells.map(|(cell, column)| cell.map_or_else(String::new, |cell| cell.text(column)));
            std::iter::once(row.name.clone()).chain(cells).collect()
        });
        std::iter::once(head).chain(rows).collect()
    }
}

impl Column {
    /// A figure with its spread.
    pub fn new(id: &str, title: &str, unit: &str) -> Column {
        assert_id(id);
        Column {
            id: id.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
            decimals: None,
            with_spread: true,
        }
    }

    /// A ratio, with its spread.
    pub fn ratio(id: &str, title: &str) -> Column {
        let column = Column::new(id, title, "");
        Column {
            decimals: Some(2),
            ..column
        }
    }

    /// Whole numbers only.
    pub fn whole(self) -> Column {
        Column {
            decimals: Some(0),
            ..self
        }
    }

    /// Tables show the median only.
    pub fn median_only(self) -> Column {
        Column {
            with_spread: false,
            ..self
        }
    }

    /// `server time, us`
    fn head(&self) -> String {
        match (self.title.as_str(), self.unit.as_str()) {
            (title, "") => title.to_owned(),
            ("", unit) => unit.to_owned(),
            (title, unit) => format!("{title}, {unit}"),
        }
    }
}

impl Cell {
    /// Measured once.
    pub fn once(value: f64) -> Option<Cell> {
        Cell::of(&Spread::new(vec![value]))
    }

    /// Measured in several rounds; none: no figure.
    pub fn of(spread: &Spread) -> Option<Cell> {
        let cell = Cell {
            median: spread.median(),
            min: spread.min(),
            max: spread.max(),
            rounds: spread.len(),
        };
        (cell.min.is_finite() && cell.max.is_finite()).then_some(cell)
    }

    /// For [`Table::percentiles`]: of one distribution for each round.
    pub fn percentiles(rounds: &[Spread]) -> [Option<Cell>; 4] {
        let share = |share: f64| {
            let values = rounds.iter().map(|round| round.percentile(share));
            Cell::of(&Spread::new(values.collect()))
        };
        [share(0.5), share(0.99), share(0.999), share(1.0)]
    }

    /// `499 (427-523)`
    pub fn text(&self, column: &Column) -> String {
        match column.with_spread {
            true => self.with_spread(column.decimals),
            false => shown(self.median, column.decimals),
        }
    }

    /// All of it, unless there is but one value.
    pub fn with_spread(&self, decimals: Option<usize>) -> String {
        let one = |value| shown(value, decimals);
        if self.rounds < 2 {
            return one(self.median);
        }
        format!("{} ({}-{})", one(self.median), one(self.min), one(self.max))
    }
}

fn assert_id(id: &str) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(!id.is_empty() && id.chars().all(fits), "no id: {id:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        let rate = Column::new("rate", "", "k/s");
        let cell = Cell::of(&Spread::new(vec![499.0, 427.0, 523.0])).unwrap();
        assert_eq!(cell.text(&rate), "499 (427-523)");
        assert_eq!(cell.text(&rate.clone().median_only()), "499");
        assert_eq!(Cell::once(5.0).unwrap().text(&rate), "5.00");
    }

    #[test]
    fn what_was_not_measured_is_no_figure() {
        assert_eq!(Cell::of(&Spread::default()), None);
        assert_eq!(Cell::once(f64::NAN), None);
    }

    #[test]
    fn a_head_names_title_and_unit() {
        let table = Table::new("t", "T", "command")
            .column(Column::new("rate", "", "k/s"))
            .column(Column::new("server", "server time", "us"))
            .column(Column::ratio("x", "a/b"));
        assert_eq!(
            table.texts(),
            [["command", "k/s", "server time, us", "a/b"]]
        );
    }
}

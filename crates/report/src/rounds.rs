//! Commands that are measured in turn: rates, processor time, and what ours are beside each.

use crate::{Cell, Column, Spread, Table};

/// One command (or what takes its place), round by round.
#[derive(Debug, Clone)]
pub struct Rounds {
    id: String,
    name: String,
    /// Per second.
    rates: Vec<f64>,
    /// The server's processor time for one, in microseconds.
    micros: Vec<f64>,
}

/// A row that every other one is compared with. The columns of its ratios are `<row>_ratio` and
/// `<row>_ratio_by_time`.
pub struct Ours<'a> {
    pub row: &'a str,
    /// Its short name, for the head of the column.
    pub name: &'a str,
}

impl Rounds {
    pub fn new(id: &str, name: impl Into<String>) -> Rounds {
        Rounds {
            id: id.to_owned(),
            name: name.into(),
            rates: Vec::new(),
            micros: Vec::new(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The same row, nothing measured yet.
    pub fn empty(&self) -> Rounds {
        Rounds::new(&self.id, self.name.clone())
    }

    pub fn add(&mut self, rate: f64, micros: f64) {
        self.rates.push(rate);
        self.micros.push(micros);
    }

    /// The table of all, with columns `rate`, `server_us` and two for each of `ours`. A ratio above 1
    /// says that ours is the faster one.
    pub fn table(id: &str, title: impl Into<String>, ours: &[Ours<'_>], all: &[Rounds]) -> Table {
        let mut table = Table::new(id, title, "command")
            .column(Column::new("rate", "", "k/s"))
            .column(Column::new("server_us", "server time", "us").median_only());
        for Ours { row, name } in ours {
            let id = format!("{row}_ratio");
            let by_time = format!("{row}_ratio_by_time");
            table = table
                .column(Column::ratio(&id, &format!("{name}/row")))
                .column(Column::ratio(&by_time, "by server time").median_only());
        }
        let find = |id: &str| all.iter().find(|rounds| rounds.id == id);
        for peer in all {
            let mut cells = vec![
                Cell::of(&peer.thousands()),
                Cell::of(&Spread::new(peer.micros.clone())),
            ];
            for Ours { row, .. } in ours {
                let us = find(row).unwrap_or_else(|| panic!("no row {row} in {id}"));
                if us.id == peer.id {
                    cells.extend([None, None]);
                    continue;
                }
                let ratio = Spread::of_ratios(&us.rates, &peer.rates);
                let by_time = Spread::of_ratios(&peer.micros, &us.micros);
                cells.extend([Cell::of(&ratio), Cell::of(&by_time)]);
            }
            table.row(&peer.id, peer.name.clone(), cells);
        }
        table.bars("rate")
    }

    /// The table of commands that were measured in two places: what each does there, and in column `ratio`
    /// how many times as fast it is in the second as in the first.
    pub fn pairs(
        id: &str,
        title: impl Into<String>,
        [first, second]: [&str; 2],
        pairs: &[[&Rounds; 2]],
    ) -> Table {
        let mut table = Table::new(id, title, "command")
            .column(Column::new("first", first, "k/s"))
            .column(Column::new("second", second, "k/s"))
            .column(Column::ratio("ratio", &format!("{second}/{first}")))
            .column(Column::ratio("ratio_by_time", "by server time").median_only());
        for [first, second] in pairs {
            let ratio = Spread::of_ratios(&second.rates, &first.rates);
            let by_time = Spread::of_ratios(&first.micros, &second.micros);
            let cells = [&first.thousands(), &second.thousands(), &ratio, &by_time];
            table.row(&first.id, first.name.clone(), cells.map(Cell::of));
        }
        table.bars("ratio")
    }

    fn thousands(&self) -> Spread {
        Spread::new(self.rates.iter().map(|rate| rate / 1_000.0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heartbeat and its peer.
    fn sample() -> [Rounds; 2] {
        let mut ours = Rounds::new("heartbeat", "DEVICE.HEARTBEAT");
        let mut peer = Rounds::new("hset", "HSET");
        for (a, b) in [(400_000.0, 500_000.0), (450_000.0, 500_000.0)] {
            ours.add(a, 2.0);
            peer.add(b, 1.5);
        }
        [ours, peer]
    }

    #[test]
    fn ours_is_compared_with_every_other_row() {
        let heartbeat = Ours {
            row: "heartbeat",
            name: "heartbeat",
        };
        let table = Rounds::table("t", "T", &[heartbeat], &sample());
        assert_eq!(
            table.texts(),
            [
                [
                    "command",
                    "k/s",
                    "server time, us",
                    "heartbeat/row",
                    "by server time"
                ],
                ["DEVICE.HEARTBEAT", "425 (400-450)", "2.00", "", ""],
                ["HSET", "500 (500-500)", "1.50", "0.85 (0.80-0.90)", "0.75"],
            ]
        );
    }
    #[test]
    fn the_second_of_a_pair_is_compared_with_the_first() {
        let [second, first] = &sample();
        let table = Rounds::pairs("t", "T", ["here", "there"], &[[first, second]]);
        assert_eq!(
            table.texts(),
            [
                [
                    "command",
                    "here, k/s",
                    "there, k/s",
                    "there/here",
                    "by server time"
                ],
                [
                    "HSET",
                    "500 (500-500)",
                    "425 (400-450)",
                    "0.85 (0.80-0.90)",
                    "0.75"
                ],
            ]
        );
    }
}

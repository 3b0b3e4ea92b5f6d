//! What devicestate promises to reach, and whether it does.

mod list;

use serde::Serialize;

use crate::figures::{Figure, Figures};
use crate::number::shown;
use crate::Cell;

pub use list::ALL;

/// A promise about figures, of which the worst counts.
pub struct Target {
    pub name: &'static str,
    pub figures: &'static [&'static str],
    pub wanted: Wanted,
}

#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}
use Wanted::{AtLeast, AtMost};

const fn target(name: &'static str, figures: &'static [&'static str], wanted: Wanted) -> Target {
    Target {
        name,
        figures,
        wanted,
    }
}

/// A target beside what was measured.
#[derive(Debug, Serialize)]
pub struct Judged {
    pub target: &'static str,
    /// The one of its figures that counts.
    pub figure: &'static str,
    /// `at least 0.9`
    pub wanted: String,
    pub measured: Option<Cell>,
    #[serde(skip)]
    decimals: Option<usize>,
    pub reached: Option<bool>,
    /// Why it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

impl Target {
    /// The bench that its figures are from.
    pub fn bench(&self) -> &str {
        self.figures[0].split('.').next().unwrap_or_default()
    }

    pub fn judge(&self, figures: &Figures) -> Judged {
        let found = self.figures.iter().map(|name| {
            let figure = figures.figure(name)?;
            Ok((*name, figure))
        });
        let found: Result<Vec<(&str, Figure<'_>)>, String> = found.collect();
        let median = |(_, figure): &(&str, Figure<'_>)| figure.cell.median;
        let worst = found.map(|cells| {
            cells.into_iter().max_by(|a, b| match self.wanted {
                AtLeast(_) => median(b).total_cmp(&median(a)),
                AtMost(_) => median(a).total_cmp(&median(b)),
            })
        });
        let (worst, missing) = match worst {
            Ok(worst) => (worst, None),
            Err(why) => (None, Some(why)),
        };
        Judged {
            target: self.name,
            figure: worst.map_or(self.figures[0], |(name, _)| name),
            wanted: self.wanted.text(),
            measured: worst.map(|(_, figure)| *figure.cell),
            decimals: worst.and_then(|(_, figure)| figure.column.decimals),
            reached: worst.map(|(_, figure)| self.wanted.is_reached(figure.cell.median)),
            missing,
        }
    }
}

impl Wanted {
    fn is_reached(self, value: f64) -> bool {
        match self {
            AtLeast(least) => value >= least,
            AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        let (words, bound) = match self {
            AtLeast(least) => ("at least", least),
            AtMost(most) => ("at most", most),
        };
        let decimals = if bound.fract() == 0.0 { 0 } else { 1 };
        format!("{words} {}", shown(bound, Some(decimals)))
    }
}

/// Of each target of these benches.
pub fn judge(figures: &Figures, benches: &[String]) -> Vec<Judged> {
    let of_these = |target: &&Target| benches.iter().any(|bench| bench == target.bench());
    let targets = ALL.iter().filter(of_these);
    targets.map(|target| target.judge(figures)).collect()
}

/// The table of all, its head first.
pub fn texts(judged: &[Judged]) -> Vec<Vec<String>> {
    let head = ["target", "wanted", "measured, median (min-max)", "reached"];
    let head = head.map(str::to_owned).to_vec();
    let rows = judged.iter().map(|one| {
        let measured = one.measured.map(|cell| cell.with_spread(one.decimals));
        let reached = match one.reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not measured",
        };
        vec![
            one.target.to_owned(),
            one.wanted.clone(),
            measured.unwrap_or_default(),
            reached.to_owned(),
        ]
    });
    std::iter::once(head).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::sample;

    #[test]
    fn the_median_decides() {
        let judge = |wanted| {
            let figures = &["heartbeat.no_aof.hset.ratio"];
            target("t", figures, wanted).judge(&sample()).reached
        };
        assert_eq!(judge(AtLeast(0.9)), Some(true));
        assert_eq!(judge(AtLeast(0.91)), Some(false));
        assert_eq!(judge(AtMost(0.9)), Some(true));
        assert_eq!(judge(AtMost(0.89)), Some(false));
    }

    #[test]
    fn of_several_figures_the_worst_counts() {
        let figures = &[
            "heartbeat.no_aof.heartbeat.rate",
            "heartbeat.no_aof.hset.rate",
        ];
        let at_least = target("t", figures, AtLeast(500.0)).judge(&sample());
        assert_eq!(at_least.figure, figures[0]);
        assert_eq!(at_least.reached, Some(false));
        let at_most = target("t", figures, AtMost(500.0)).judge(&sample());
        assert_eq!(at_most.figure, figures[1]);
        assert_eq!(at_most.reached, Some(false));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let missing = target("t", &["queue.a.b.c"], AtLeast(1.0)).judge(&sample());
        assert_eq!(missing.reached, None);
        assert_eq!(texts(&[missing])[1][3], "not measured");
    }

    #[test]
    fn a_target_is_written_with_its_bound() {
        assert_eq!(AtLeast(100_000.0).text(), "at least 100 000");
        assert_eq!(AtMost(0.9).text(), "at most 0.9");
    }

    #[test]
    fn all_figures_of_a_target_are_of_one_bench() {
        for target in &ALL {
            let bench = format!("{}.", target.bench());
            assert!(target.figures.iter().all(|name| name.starts_with(&bench)));
        }
    }
}

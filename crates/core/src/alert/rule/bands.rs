//! Bands: ranges that a value should be in, each with the severity of being outside of it.

use serde_json::Value;

use super::{invalid, severity, shown, unknown_field, RuleError};
use crate::alert::path::Path;
use crate::json::Object;

/// The most bands of a rule.
const MAX_BANDS: usize = 16;

/// The bands of a rule on a value, and where the value stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Bands {
    path: Path,
    /// The worst first.
    bands: Vec<Band>,
    /// What a value must not be below to clear: `-inf` if it may be anything.
    clear_low: f64,
    /// What a value must not be above to clear: `inf` if it may be anything.
    clear_high: f64,
}

/// At least one bound; a bound is inside.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Band {
    severity: u32,
    low: Option<f64>,
    high: Option<f64>,
}

/// What one value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Outside of the band of this severity, the worst of those it is outside of: raises.
    Outside { severity: u32 },
    /// Inside every band, but by less than the hysteresis: leaves a firing alert as it is.
    Within,
    /// Inside every band by at least the hysteresis: clears.
    Inside,
}

impl Bands {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Judges a value, without an allocation. What is not a number changes nothing.
    pub fn judge(&self, value: f64) -> Judgement {
        match self.bands.iter().find(|band| band.is_outside(value)) {
            Some(Band { severity, .. }) => Judgement::Outside {
                severity: *severity,
            },
            None if value >= self.clear_low && value <= self.clear_high => Judgement::Inside,
            None => Judgement::Within,
        }
    }

    /// Reads `bands` and `hysteresis` of a rule.
    pub(super) fn read(path: &Value, rule: &Object) -> Result<Bands, RuleError> {
        let path = match path.as_str() {
            Some(text) => Path::parse(text).or_else(|why| invalid("/path", why))?,
            None => return invalid("/path", format!("{} is not a path", shown(path))),
        };
        let given = match rule.get("bands") {
            Some(Value::Array(given)) if (1..=MAX_BANDS).contains(&given.len()) => given,
            Some(Value::Array(given)) => {
                let count = given.len();
                return invalid(
                    "/bands",
                    format!("{count} is not from 1 to {MAX_BANDS} bands"),
                );
            }
            Some(other) => {
                return invalid(
                    "/bands",
                    format!("{} is not an array of bands", shown(other)),
                )
            }
            None => return invalid("", "'bands' is missing"),
        };
        let mut bands = Vec::with_capacity(given.len());
        for (at, band) in given.iter().enumerate() {
            bands.push((at, Band::read(at, band)?));
        }
        bands.sort_by_key(|(_, band)| band.severity);
        check_order(&bands)?;
        let (clear_low, clear_high) = room(&bands, rule.get("hysteresis"))?;
        Ok(Bands {
            path,
            bands: bands.into_iter().rev().map(|(_, band)| band).collect(),
            clear_low,
            clear_high,
        })
    }
}

impl Band {
    fn is_outside(&self, value: f64) -> bool {
        self.low.is_some_and(|low| value < low) || self.high.is_some_and(|high| value > high)
    }

    fn read(at: usize, band: &Value) -> Result<Band, RuleError> {
        let place = format!("/bands/{at}");
        let Value::Object(band) = band else {
            return invalid(place, format!("{} is not a band", shown(band)));
        };
        let known = |field: &&String| matches!(field.as_str(), "severity" | "low" | "high");
        if let Some(field) = band.keys().find(|field| !known(field)) {
            return unknown_field(place, field);
        }
        let severity = match band.get("severity") {
            Some(given) => severity(&format!("{place}/severity"), given)?,
            None => return invalid(place, "'severity' is missing"),
        };
        let bound = |side: &str| match band.get(side) {
            None => Ok(None),
            Some(given) => match given.as_f64() {
                Some(number) => Ok(Some(number)),
                None => invalid(
                    format!("{place}/{side}"),
                    format!("{} is not a number", shown(given)),
                ),
            },
        };
        let (low, high) = (bound("low")?, bound("high")?);
        match (low, high) {
            (None, None) => invalid(place, "has neither 'low' nor 'high'"),
            (Some(low), Some(high)) if low >= high => invalid(
                format!("{place}/high"),
                format!("{} is not above 'low', {}", plain(high), plain(low)),
            ),
            _ => Ok(Band {
                severity,
                low,
                high,
            }),
        }
    }
}

/// Refuses bands that contradict each other; they come with their places, the mildest first and
/// those of one severity in the order given.
///
/// On either side a worse band lies beyond a milder one or begins with it: else the milder one
/// would never be seen there, though its bound says it is. Where they begin together the worse one
/// wins, so they have to differ on the other side.
fn check_order(bands: &[(usize, Band)]) -> Result<(), RuleError> {
    for (rank, (at, worse)) in bands.iter().enumerate() {
        for (milder_at, milder) in &bands[..rank] {
            let Band { severity, .. } = milder;
            if worse.severity == *severity {
                return invalid(
                    format!("/bands/{at}/severity"),
                    format!("{severity} is that of /bands/{milder_at} too"),
                );
            }
            if (worse.low, worse.high) == (milder.low, milder.high) {
                return invalid(
                    format!("/bands/{at}"),
                    format!("has the bounds of the band of severity {severity}"),
                );
            }
            let (lows, highs) = ((worse.low, milder.low), (worse.high, milder.high));
            let (side, worse, milder) = match (lows, highs) {
                ((Some(worse), Some(milder)), _) if worse > milder => ("low", worse, milder),
                (_, (Some(worse), Some(milder))) if worse < milder => ("high", worse, milder),
                _ => continue,
            };
            let (worse, milder) = (plain(worse), plain(milder));
            return invalid(
                format!("/bands/{at}/{side}"),
                format!("{worse} is nearer than that of the band of severity {severity}, {milder}"),
            );
        }
    }
    Ok(())
}

/// The least and the greatest value that clear, each infinite where there is no bound; refused when
/// no number is between them.
fn room(bands: &[(usize, Band)], hysteresis: Option<&Value>) -> Result<(f64, f64), RuleError> {
    let lows = bands.iter().filter_map(|(_, band)| band.low);
    let highs = bands.iter().filter_map(|(_, band)| band.high);
    let low = lows.fold(f64::NEG_INFINITY, f64::max);
    let high = highs.fold(f64::INFINITY, f64::min);
    if low > high {
        let (low, high) = (plain(low), plain(high));
        return invalid(
            "/bands",
            format!(
                "no value is inside all of them: 'low' is {low} in one, 'high' {high} in another"
            ),
        );
    }
    let by = match hysteresis.map(|given| (given, given.as_f64())) {
        None => 0.0,
        Some((_, Some(by))) if by >= 0.0 => by,
        Some((given, _)) => {
            return invalid(
                "/hysteresis",
                format!("{} is not a number from 0 on", shown(given)),
            )
        }
    };
    let (clear_low, clear_high) = (low + by, high - by);
    if clear_low <= clear_high && clear_low < f64::INFINITY && clear_high > f64::NEG_INFINITY {
        return Ok((clear_low, clear_high));
    }
    let bounds: Vec<String> = [low, high]
        .into_iter()
        .filter(|n| n.is_finite())
        .map(plain)
        .collect();
    let (by, bounds) = (plain(by), bounds.join(" and "));
    invalid(
        "/hysteresis",
        format!("no value is inside {bounds} by {by}, so that it could clear"),
    )
}

/// A finite number as short as JSON has it: `70`, not `70.0`.
fn plain(number: f64) -> String {
    let text = Value::from(number).to_string();
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

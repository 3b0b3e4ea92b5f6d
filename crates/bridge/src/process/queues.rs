use std::collections::BTreeSet;
use std::str::FromStr;

/// Numbers of queues, as `0-7` or `0,3,8-11`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queues(BTreeSet<u32>);

/// More numbers than there may be queues.
const HIGHEST: u32 = 1023;

impl FromStr for Queues {
    type Err = String;

    fn from_str(text: &str) -> Result<Queues, String> {
        let mut numbers = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            numbers.extend(number(first)?..=number(last)?);
        }
        if numbers.is_empty() {
            return Err("names no queue".into());
        }
        Ok(Queues(numbers))
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(number) if number <= HIGHEST => Ok(number),
        _ => Err(format!(
            "'{text}' is not the number of a queue (0 to {HIGHEST})"
        )),
    }
}

impl Queues {
    /// The numbers, if all are below `count`.
    pub fn within(self, count: u32) -> Result<Vec<u32>, String> {
        match self.0.last() {
            Some(last) if *last >= count => Err(format!(
                "--queues names {last}; with queue.count {count} the last one is {}",
                count - 1
            )),
            _ => Ok(self.0.into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers() {
        let numbers = |text: &str| text.parse::<Queues>().and_then(|queues| queues.within(16));
        assert_eq!(numbers("3"), Ok(vec![3]));
        assert_eq!(numbers("8-9,0,9,2-3"), Ok(vec![0, 2, 3, 8, 9]));
        for wrong in ["", "a", "1-", "-1", "3-2", "0-16", "0-99999", "1,,2"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }
}

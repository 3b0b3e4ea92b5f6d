//! Topic patterns of rules: levels as in MQTT, `+` for any one level, and `{device}` for the level
//! that is the device's id: `plant/+/{device}/up`.

use std::fmt;

/// The level that holds the id.
const DEVICE: &str = "{device}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    levels: Vec<Level>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Word(String),
    Any,
    Device,
}

impl Pattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Pattern, &'static str> {
        if text.chars().any(char::is_control) {
            return Err("contains a control character");
        }
        if text.starts_with('$') {
            return Err("begins with '$', which belongs to the broker");
        }
        if text.len() > 1024 {
            return Err("is longer than 1024 bytes");
        }
        let levels = text.split('/').map(|level| match level {
            "+" => Ok(Level::Any),
            DEVICE => Ok(Level::Device),
            _ if level.contains(['+', '#']) => Err("has a wildcard other than a whole level '+'"),
            _ if level.contains(['{', '}']) => Err("has braces other than a whole level {device}"),
            _ => Ok(Level::Word(level.to_owned())),
        });
        let levels = levels.collect::<Result<Vec<_>, _>>()?;
        match levels.iter().filter(|l| **l == Level::Device).count() {
            0 => Err("has no level {device}, so nobody could tell whose report it is"),
            1 => Ok(Pattern { levels }),
            _ => Err("has more than one level {device}"),
        }
    }

    /// `<prefix>/{device}/<rest>`. Both may have several levels; those of the rest may be `+`.
    pub fn below(prefix: &str, rest: &str) -> Pattern {
        let word = |level: &str| match level {
            "+" => Level::Any,
            word => Level::Word(word.to_owned()),
        };
        let mut levels: Vec<Level> = prefix.split('/').map(word).collect();
        levels.push(Level::Device);
        levels.extend(rest.split('/').map(word));
        Pattern { levels }
    }

    /// The level of the topic that is the device's id, still encoded. None where the topic is
    /// another one.
    pub fn device<'t>(&self, topic: &'t str) -> Option<&'t str> {
        let mut device = None;
        let mut given = topic.split('/');
        for level in &self.levels {
            let given = given.next()?;
            match level {
                Level::Word(word) if word != given => return None,
                Level::Word(_) | Level::Any => {}
                Level::Device => device = Some(given),
            }
        }
        match given.next() {
            None => device,
            Some(_) => None,
        }
    }

    /// Whether some topic is meant by both.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        let differ =
            |pair: (&Level, &Level)| matches!(pair, (Level::Word(a), Level::Word(b)) if a != b);
        self.levels.len() == other.levels.len()
            && !self.levels.iter().zip(&other.levels).any(differ)
    }

    /// The filter to subscribe to.
    pub fn filter(&self) -> String {
        self.joined("+")
    }

    fn joined(&self, device: &str) -> String {
        let levels = self.levels.iter().map(|level| match level {
            Level::Word(word) => word,
            Level::Any => "+",
            Level::Device => device,
        });
        levels.collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined(DEVICE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn the_device_is_one_level_of_the_topic() {
        let rule = pattern("plant/+/{device}/up");
        assert_eq!(rule.device("plant/7/a%2Fb/up"), Some("a%2Fb"));
        assert_eq!(rule.device("plant//a/up"), Some("a"));
        assert_eq!(rule.device("plant/7//up"), Some(""));
        for other in [
            "plant/7/a",
            "plant/7/a/up/x",
            "plant/7/a/UP",
            "",
            "plant/7/a/up/",
        ] {
            assert_eq!(rule.device(other), None, "{other}");
        }
        assert_eq!(pattern("{device}").device("a"), Some("a"));
        assert_eq!(pattern("/up/{device}").device("/up/a"), Some("a"));
    }

    #[test]
    fn filters_have_a_wildcard_for_the_device() {
        assert_eq!(pattern("plant/+/{device}/up").filter(), "plant/+/+/up");
        assert_eq!(pattern("a/{device}").to_string(), "a/{device}");
        assert_eq!(
            Pattern::below("acme/site", "will"),
            pattern("acme/site/{device}/will")
        );
    }

    #[test]
    fn patterns_that_cannot_work_are_refused() {
        for (text, reason) in [
            ("", "no level {device}"),
            ("plant/+/up", "no level {device}"),
            ("{device}/{device}", "more than one"),
            ("plant/{device}/#", "wildcard"),
            ("plant/x+/{device}", "wildcard"),
            ("plant/{id}/{device}", "braces"),
            ("plant/x{device}", "braces"),
            ("$share/g/{device}", "'$'"),
            ("a\n/{device}", "control"),
        ] {
            let told = Pattern::parse(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    #[test]
    fn overlaps_are_seen() {
        for (a, b, both) in [
            ("a/{device}", "a/{device}", true),
            ("a/{device}", "{device}/b", true),
            ("a/{device}/+", "a/+/{device}", true),
            ("+/{device}/up", "a/{device}/+", true),
            ("a/{device}", "b/{device}", false),
            ("a/{device}", "a/{device}/up", false),
            ("a/{device}/up", "a/{device}/down", false),
        ] {
            assert_eq!(pattern(a).overlaps(&pattern(b)), both, "{a} {b}");
            assert_eq!(pattern(b).overlaps(&pattern(a)), both, "{b} {a}");
        }
    }
}

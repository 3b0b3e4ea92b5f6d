//! The transcripts of a page: finding them, and comparing what they claim with what happened.
//!
//! A transcript is a fenced block with the info string `redis-cli`. A line that starts with the
//! prompt `127.0.0.1:6379> ` (also `127.0.0.1:6379[1]> ` and `127.0.0.1:6379(TX)> `) is a command,
//! the lines up to the next prompt are what redis-cli prints for it. In these lines
//!
//! | stands | for |
//! |---|---|
//! | `<ms>` | a point in time: 13 digits |
//! | `<n>` | an integer |
//! | `<id>` | a stream id, `ms-seq` |
//! | `<text>` | any characters of this line, one at least |
//! | `...` alone on a line | any number of lines |
//!
//! More words after `redis-cli`: `eventually` runs the block, which may only read, again until it
//! matches; `resp3` speaks RESP3; `skip` leaves it out.

use std::fmt::Write;

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    pub mode: Mode,
    pub resp3: bool,
    pub commands: Vec<Command>,
}

/// What is done with a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Once,
    Eventually,
    Skip,
}

/// One command of a block and what the page says it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Its line in the page, from 1.
    pub line: usize,
    pub text: String,
    pub expected: Vec<String>,
}

/// The transcripts of a page, in order; an error names the line.
pub fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    // The fence that is open, and whether the transcript at the end of `blocks` is within it.
    let mut open: Option<(&str, bool)> = None;
    for (line, text) in (1..).zip(page.lines()) {
        match open {
            None => {
                let fence = &text[..text.len() - text.trim_start_matches('`').len()];
                if fence.len() >= 3 {
                    let block = start(&text[fence.len()..]).map_err(|e| format!("{line}: {e}"))?;
                    open = Some((fence, block.is_some()));
                    blocks.extend(block);
                }
            }
            Some((fence, _)) if text.trim_end() == fence => open = None,
            Some((_, true)) => {
                let block: &mut Block = blocks.last_mut().ok_or("no block is open")?;
                match (after_prompt(text), block.commands.last_mut()) {
                    (Some(command), _) => block.commands.push(Command {
                        line,
                        text: command.trim_end().to_owned(),
                        expected: Vec::new(),
                    }),
                    (None, Some(command)) => command.expected.push(text.trim_end().to_owned()),
                    (None, None) => {
                        return Err(format!("{line}: a transcript starts with a prompt"))
                    }
                }
            }
            Some((_, false)) => {}
        }
    }
    match open {
        Some((fence, _)) => Err(format!("{}: {fence} is not closed", page.lines().count())),
        None => Ok(blocks),
    }
}

/// The block that an info string starts; none if it is no transcript.
fn start(info: &str) -> Result<Option<Block>, String> {
    let mut words = info.split_whitespace();
    if words.next() != Some("redis-cli") {
        return Ok(None);
    }
    let mut block = Block {
        mode: Mode::Once,
        resp3: false,
        commands: Vec::new(),
    };
    for word in words {
        match word {
            "eventually" => block.mode = Mode::Eventually,
            "skip" => block.mode = Mode::Skip,
            "resp3" => block.resp3 = true,
            _ => return Err(format!("unknown word {word:?} after redis-cli")),
        }
    }
    Ok(Some(block))
}

/// What follows a prompt, if the line starts with one.
fn after_prompt(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("127.0.0.1:6379")?;
    let rest = match rest.strip_prefix('[') {
        Some(db) => db
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .strip_prefix(']')?,
        None => rest,
    };
    rest.strip_prefix("(TX)").unwrap_or(rest).strip_prefix("> ")
}

/// Whether the lines are what was expected. redis-cli's note on how long a slow command took is no
/// part of either.
pub fn matches(expected: &[String], got: &[String]) -> bool {
    let (expected, got) = (without_duration(expected), without_duration(got));
    let (mut e, mut g) = (0, 0);
    // The last `...` met, and the first line that it does not cover.
    let mut rest: Option<(usize, usize)> = None;
    loop {
        if e < expected.len() && expected[e] == "..." {
            e += 1;
            rest = Some((e, g));
        } else if e == expected.len() && g == got.len() {
            return true;
        } else if e < expected.len() && g < got.len() && line_matches(expected[e], got[g]) {
            (e, g) = (e + 1, g + 1);
        } else {
            match &mut rest {
                Some((after, covered)) if *covered < got.len() => {
                    *covered += 1;
                    (e, g) = (*after, *covered);
                }
                _ => return false,
            }
        }
    }
}

/// The lines that are not `(1.05s)`.
fn without_duration(lines: &[String]) -> Vec<&str> {
    let is_duration = |line: &str| {
        let seconds = line
            .strip_prefix('(')
            .and_then(|line| line.strip_suffix("s)"));
        seconds.is_some_and(|s| s.contains('.') && s.parse::<f64>().is_ok())
    };
    lines
        .iter()
        .map(String::as_str)
        .filter(|line| !is_duration(line))
        .collect()
}

/// Whether one line is what was expected, with its placeholders.
fn line_matches(expected: &str, got: &str) -> bool {
    let Some((before, after)) = expected.split_once('<') else {
        return expected == got;
    };
    let Some(got) = got.strip_prefix(before) else {
        return false;
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // The lengths that a placeholder may cover at the start of what is left.
    let (rest, lengths): (&str, Vec<usize>) = if let Some(rest) = after.strip_prefix("ms>") {
        (rest, Vec::from_iter((digits(got) == 13).then_some(13)))
    } else if let Some(rest) = after.strip_prefix("n>") {
        let sign = usize::from(got.starts_with('-'));
        let length = digits(&got[sign..]);
        (rest, Vec::from_iter((length > 0).then_some(sign + length)))
    } else if let Some(rest) = after.strip_prefix("id>") {
        let ms = digits(got);
        let seq = got[ms..].strip_prefix('-').map_or(0, digits);
        (
            rest,
            Vec::from_iter((ms > 0 && seq > 0).then_some(ms + 1 + seq)),
        )
    } else if let Some(rest) = after.strip_prefix("text>") {
        (
            rest,
            got.char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .collect(),
        )
    } else {
        // A `<` that is just that.
        return got
            .strip_prefix('<')
            .is_some_and(|got| line_matches(after, got));
    };
    lengths
        .into_iter()
        .any(|length| line_matches(rest, &got[length..]))
}

/// The difference as a diff: ` ` for what is as expected, `-` for what the page says, `+` for what
/// redis-cli printed.
pub fn diff(expected: &[String], got: &[String]) -> String {
    let (rows, columns) = (expected.len(), got.len());
    let same = |e: usize, g: usize| line_matches(&expected[e], &got[g]);
    // common[e][g]: how many lines of expected[e..] and got[g..] can be paired, in order.
    let mut common = vec![vec![0_usize; columns + 1]; rows + 1];
    for e in (0..rows).rev() {
        for g in (0..columns).rev() {
            common[e][g] = match same(e, g) {
                true => common[e + 1][g + 1] + 1,
                false => common[e + 1][g].max(common[e][g + 1]),
            };
        }
    }
    let (mut e, mut g, mut out) = (0, 0, String::new());
    let mut put = |sign: char, line: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{sign}{line}");
    };
    while e < rows || g < columns {
        if e < rows && g < columns && same(e, g) {
            put(' ', &expected[e]);
            (e, g) = (e + 1, g + 1);
        } else if g == columns || (e < rows && common[e + 1][g] >= common[e][g + 1]) {
            put('-', &expected[e]);
            e += 1;
        } else {
            put('+', &got[g]);
            g += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn fits(expected: &str, got: &str) -> bool {
        matches(&lines(expected), &lines(got))
    }

    #[test]
    fn placeholders_match_what_they_stand_for_and_nothing_else() {
        assert!(fits("1) \"<ms>\"", "1) \"1764000000000\""));
        assert!(!fits("1) \"<ms>\"", "1) \"176400000000\""));
        assert!(!fits("1) \"<ms>\"", "1) \"17640000000000\""));
        assert!(fits("(integer) <n>", "(integer) -12"));
        assert!(!fits("(integer) <n>", "(integer) "));
        assert!(!fits("(integer) <n>", "(integer) 1.5"));
        assert!(fits("\"<id>\"", "\"1764000000000-0\""));
        assert!(!fits("\"<id>\"", "\"1764000000000\""));
        assert!(fits("\"<text>\" and <text>", "\"ü \"\" and x"));
        assert!(!fits("\"<text>\"", "\"\""));
        assert!(fits("<a> < b <n>", "<a> < b 3"));
        assert!(fits(
            "{\\\"at\\\":<ms>,\\\"v\\\":<n>}",
            "{\\\"at\\\":1764000000000,\\\"v\\\":1}"
        ));
        assert!(!fits("OK", "OK "));
    }

    #[test]
    fn an_ellipsis_covers_any_number_of_lines() {
        assert!(fits("...", ""));
        assert!(fits("a\n...\nz", "a\nz"));
        assert!(fits("a\n...\nz", "a\nz\nb\nz"));
        assert!(fits("...\nb <n>\n...", "a\nb\nb 1\nc"));
        assert!(!fits("a\n...\nz", "a\nz\nb"));
        assert!(!fits("...\nb", "a"));
        assert!(!fits("a", "a\nb"));
        assert!(!fits("a\nb", "a"));
        assert!(fits("a", "a\n(0.61s)"));
        assert!(!fits("a", "a\n(0.61)"));
    }

    #[test]
    fn blocks_are_found_with_their_lines() {
        let page = "# A page\n```sh\n127.0.0.1:6379> no\n```\n\n```redis-cli resp3 eventually\n\
                    127.0.0.1:6379[2](TX)> GET a\n\"1\"\n\n127.0.0.1:6379> PING \n```\n\
                    ````\n```redis-cli\n````\n";
        let command = |line, text: &str, expected| Command {
            line,
            text: text.to_owned(),
            expected: lines(expected),
        };
        let commands = vec![command(7, "GET a", "\"1\"\n\n"), command(10, "PING", "")];
        assert_eq!(
            blocks(page),
            Ok(vec![Block {
                mode: Mode::Eventually,
                resp3: true,
                commands
            }])
        );
    }

    #[test]
    fn a_malformed_page_is_an_error_with_its_line() {
        assert_eq!(
            blocks("x\n```redis-cli"),
            Err("2: ``` is not closed".to_owned())
        );
        assert_eq!(
            blocks("```redis-cli\nOK\n```"),
            Err("2: a transcript starts with a prompt".to_owned())
        );
        let error = blocks("\n\n```redis-cli skipp\n```").unwrap_err();
        assert!(error.starts_with("3: unknown word"), "{error}");
    }

    #[test]
    fn a_diff_shows_both_sides() {
        let shown = diff(
            &lines("1) \"a\"\n2) <n>\n3) x"),
            &lines("1) \"a\"\n2) 4\n3) y\n4) z"),
        );
        assert_eq!(shown, " 1) \"a\"\n 2) <n>\n-3) x\n+3) y\n+4) z\n");
    }
}

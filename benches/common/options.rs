//! The flags of a bench: `--quick`, and numbers.

use std::process::exit;

/// A number that can be set: `--rounds 7`.
pub struct Number {
    pub name: &'static str,
    pub meaning: &'static str,
    pub default: usize,
    /// The default with `--quick`: just enough to prove that the bench runs.
    pub quick: usize,
}

/// How often a bench starts afresh: where the data happens to lie in memory matters.
pub const SERVERS: Number = Number {
    name: "servers",
    meaning: "sets of fresh servers, one for each side",
    default: 2,
    quick: 1,
};

pub const ROUNDS: Number = Number {
    name: "rounds",
    meaning: "rounds on each set of servers, in which all take turns",
    default: 3,
    quick: 2,
};

pub const MILLISECONDS: Number = Number {
    name: "milliseconds",
    meaning: "about how long each takes in a round",
    default: 1_000,
    quick: 50,
};

pub const PIPELINE: Number = Number {
    name: "pipeline",
    meaning: "commands per pipeline",
    default: 32,
    quick: 32,
};

/// What was asked for.
pub struct Options {
    pub quick: bool,
    values: Vec<(&'static str, usize)>,
}

impl Options {
    /// Reads the command line; ends the program after `--help` or a flag that makes no sense.
    pub fn read(about: &str, numbers: &[Number]) -> Options {
        let args: Vec<String> = std::env::args().skip(1).collect();
        match parse(&args, numbers) {
            Ok(Some(options)) => options,
            Ok(None) => {
                println!("{about}\n\n  --quick          few of everything: proves that it runs");
                for n in numbers {
                    let flag = format!("--{} N", n.name);
                    println!("  {flag:<16} {} ({})", n.meaning, n.default);
                }
                exit(0)
            }
            Err(error) => {
                eprintln!("{error} (see --help)");
                exit(2)
            }
        }
    }

    /// All of them.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.values.iter().copied()
    }

    /// The number with this name.
    pub fn get(&self, name: &str) -> usize {
        let found = self.values.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("no option {name}"), |(_, value)| *value)
    }
}

/// `None`: help was asked for.
fn parse(args: &[String], numbers: &[Number]) -> Result<Option<Options>, String> {
    // `cargo bench` says --bench; `cargo test --benches` does not, and wants no long run.
    let quick = args.iter().any(|arg| arg == "--quick") || !args.iter().any(|arg| arg == "--bench");
    let default = |n: &Number| (n.name, if quick { n.quick } else { n.default });
    let mut values: Vec<_> = numbers.iter().map(default).collect();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--bench" | "--quick" => continue,
            "--help" | "-h" => return Ok(None),
            _ => {}
        }
        let known = arg
            .strip_prefix("--")
            .and_then(|name| values.iter_mut().find(|(known, _)| *known == name));
        let Some((name, value)) = known else {
            return Err(format!("unknown flag: {arg}"));
        };
        *value = match rest.next().map(|text| text.parse()) {
            Some(Ok(number)) if number > 0 => number,
            _ => return Err(format!("--{name} takes a whole number above 0")),
        };
    }
    Ok(Some(Options { quick, values }))
}

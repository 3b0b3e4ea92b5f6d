//! `devicestate-faults`: breaks what stands around devicestate-bridge, and counts what got lost.
//!
//! `docs/faults.md` describes the scenarios and what they assert. This file runs them one after the
//! other and prints a line for each.

use clap::Parser;
use devicestate_faults::built;
use devicestate_faults::failure::{Failure, Result};
use devicestate_faults::scenarios::{Scenario, ALL};
use devicestate_faults::stage::{Context, Tally};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Breaks what stands around devicestate-bridge, and counts what got lost.
#[derive(Debug, Parser)]
#[command(name = "devicestate-faults", version, max_term_width = 100)]
struct Flags {
    /// Scenarios to run; without a name all of them
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Messages of all devices together, in each scenario
    #[arg(long, value_name = "N", default_value_t = 200_000,
          value_parser = clap::value_parser!(u32).range(1_000..=5_000_000))]
    messages: u32,

    /// Number of devices
    #[arg(long, value_name = "N", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(4..=100_000))]
    devices: u32,

    /// Bridge to test, instead of the one beside this program
    #[arg(long, value_name = "FILE")]
    bridge: Option<PathBuf>,

    /// List the scenarios
    #[arg(long)]
    list: bool,
}

/// Exit codes: 0 when all have passed, 1 when one has not, 2 for a name that is none.
fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.list {
        for scenario in ALL {
            println!("{:<16}{}", scenario.name, scenario.about);
        }
        return ExitCode::SUCCESS;
    }
    let scenarios = match chosen(&flags.names) {
        Ok(scenarios) => scenarios,
        Err(failure) => {
            eprintln!("devicestate-faults: {failure}");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:<16}{:>9}{:>9}{:>7}{:>7}{:>9}{:>8}",
        "scenario", "messages", "acked", "lost", "twice", "again", "seconds"
    );
    let mut all_passed = true;
    for scenario in scenarios {
        all_passed &= run(scenario, &flags);
    }
    match all_passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(ALL.iter().collect());
    }
    let find = |name: &String| {
        let found = ALL.iter().find(|scenario| scenario.name == name);
        found.ok_or_else(|| Failure::new(format!("no scenario {name} (see --list)")))
    };
    names.iter().map(find).collect()
}

/// Runs one scenario and prints its line; says whether it passed. What it wrote is kept if not.
fn run(scenario: &Scenario, flags: &Flags) -> bool {
    attempt(scenario, flags).unwrap_or_else(|failure| {
        println!("{:<16}FAIL: {failure}", scenario.name);
        false
    })
}

fn attempt(scenario: &Scenario, flags: &Flags) -> Result<bool> {
    let context = context(scenario, flags)?;
    let outcome = (scenario.run)(&context);
    let passed = outcome.as_ref().is_ok_and(Tally::passed);
    match &outcome {
        Ok(tally) => println!("{:<16}{}", scenario.name, line(tally)),
        Err(failure) => println!("{:<16}FAIL: {failure}", scenario.name),
    }
    if passed {
        fs::remove_dir_all(&context.folder)?;
        return Ok(true);
    }
    for complaint in outcome.iter().flat_map(|tally| &tally.complaints) {
        println!("    {complaint}");
    }
    println!("    logs and data: {}", context.folder.display());
    Ok(false)
}

fn line(tally: &Tally) -> String {
    let findings = &tally.findings;
    let excused = match findings.excused {
        0 => String::new(),
        excused => format!(" ({excused} lost and excused)"),
    };
    format!(
        "{:>9}{:>9}{:>7}{:>7}{:>9}{:>8.1}  {}{excused}",
        tally.messages,
        findings.acknowledged,
        findings.lost,
        findings.twice,
        findings.again,
        tally.seconds,
        if tally.passed() { "PASS" } else { "FAIL" },
    )
}

fn context(scenario: &Scenario, flags: &Flags) -> Result<Context> {
    let build = built::folder()?;
    let folder = build
        .join("faults")
        .join(format!("{}-{}", scenario.name, std::process::id()));
    Ok(Context {
        bridge: match &flags.bridge {
            Some(file) => file.clone(),
            None => built::file(&build, "devicestate-bridge")?,
        },
        module: built::file(&build, "libdevicestate.so")?,
        folder,
        devices: flags.devices as usize,
        messages: flags.messages as usize,
    })
}

//! What follows the benches: plots, the judgement on the targets, and `docs/benchmarks.md`.
//!
//! `scripts/bench` runs it; `devicestate-report [--quick] [--docs] BENCH...` reads the figures of
//! these benches. With `--docs` the documentation is made of them; of quick figures it is made
//! beside them, to prove that it can be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use devicestate_report::figures::Figures;
use devicestate_report::{docs, folder, plot, targets, terminal};

/// Of the repository, as seen from its root.
const SOURCE: &str = "docs/benchmarks.md.in";
const DOCUMENT: &str = "docs/benchmarks.md";

fn main() -> ExitCode {
    let (flags, benches): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|arg| arg.starts_with("--"));
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    match report(has("--quick"), has("--docs"), &benches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(missing) => {
            for why in missing {
                eprintln!("{why}");
            }
            ExitCode::FAILURE
        }
    }
}

fn report(quick: bool, make_docs: bool, benches: &[String]) -> Result<(), Vec<String>> {
    let folder = folder(quick);
    let figures = Figures::read(&folder, benches, quick)?;
    for report in figures.reports() {
        for (name, svg) in plot::all(report).map_err(|why| vec![why])? {
            write(&folder.join(name), &svg)?;
        }
    }
    let judged = targets::judge(&figures, benches);
    println!("\n{}", terminal::columns(&targets::texts(&judged)));
    let summary = serde_json::to_string_pretty(&judged);
    let summary = summary.map_err(|error| vec![error.to_string()])?;
    write(&folder.join("summary.json"), &(summary + "\n"))?;
    println!("plots and summary.json are in {}", folder.display());
    if make_docs {
        let source = root().join(SOURCE);
        let source = fs::read_to_string(&source).map_err(|why| vec![format!("{SOURCE}: {why}")])?;
        let text = docs::fill(&source, &figures, benches)?;
        let beside = folder.join("benchmarks.md");
        let (document, name) = match quick {
            true => (&beside, beside.display().to_string()),
            false => (&root().join(DOCUMENT), DOCUMENT.to_owned()),
        };
        write(document, &text)?;
        println!("{name} is made of them");
    }
    Ok(())
}

/// The folder of the repository.
fn root() -> PathBuf {
    let this_crate = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = this_crate.ancestors().nth(2);
    root.unwrap_or(this_crate).to_owned()
}

fn write(file: &Path, text: &str) -> Result<(), Vec<String>> {
    fs::write(file, text).map_err(|why| vec![format!("{}: {why}", file.display())])
}

//! The files of the build that are tested.

use crate::failure::{Failure, Result};
use std::path::{Path, PathBuf};

/// The folder of a build: `target/release`. Programs of cargo's own are in folders below it.
pub fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("."));
    let folder = match folder.ends_with("deps") {
        true => folder.parent().unwrap_or(folder),
        false => folder,
    };
    Ok(folder.to_owned())
}

/// A file in this folder.
pub fn file(folder: &Path, name: &str) -> Result<PathBuf> {
    let file = folder.join(name);
    match file.is_file() {
        true => Ok(file),
        false => Err(Failure::new(format!(
            "no {}: run `cargo build --release --workspace` first",
            file.display()
        ))),
    }
}

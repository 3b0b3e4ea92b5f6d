//! The module file under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::SystemTime;

use super::processes::target_binary;

/// Its path. Says so once when it is older than its sources, for `cargo test` alone
/// does not build it.
#[track_caller]
pub fn module() -> PathBuf {
    static COMPARED: Once = Once::new();
    let module = target_binary("libdevicestate.so");
    COMPARED.call_once(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = ["src", "crates/core/src"].map(|dir| newest(&root.join(dir)));
        let built = fs::metadata(&module).and_then(|m| m.modified()).ok();
        if sources.into_iter().flatten().max() > built {
            eprintln!(
                "note: {} is older than its sources: run `cargo build`",
                module.display()
            );
        }
    });
    module
}

/// When the newest file below a folder was changed.
fn newest(dir: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let times = entries.filter_map(|entry| match entry.file_type().ok()?.is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().ok()?.modified().ok(),
    });
    times.max()
}

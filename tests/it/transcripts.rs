//! Replays the transcripts of README.md and docs/, so that no page can show what does not happen.
//! `support/transcript.rs` says how they are written. Each page runs on a server of its own, from
//! its first block to its last.
//!
//! `DEVICESTATE_PAGES=device.get cargo test transcripts` replays only pages with that in their name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::transcript::{blocks, diff, matches, Block, Mode};
use crate::support::*;

/// How long an `eventually` block may take to match.
const EVENTUALLY: Duration = Duration::from_secs(5);

/// redis-cli answers a line with an open quote by itself, without asking the server, also within
/// MULTI. So it stands between two commands and tells where the output of one ends.
const SEPARATOR: (&str, &str) = ("\"", "Invalid argument(s)");

/// Replays a page on a server and gives what does not match, ready to print.
fn replay(name: &str, text: &str, server: &Server) -> Vec<String> {
    let blocks = match blocks(text) {
        Ok(blocks) => blocks,
        Err(error) => return vec![format!("{name}:{error}")],
    };
    let mut failures = Vec::new();
    for block in &blocks {
        let found = match block.mode {
            Mode::Skip => continue,
            Mode::Once => run(block, server),
            Mode::Eventually => run_until_it_matches(block, server),
        };
        failures.extend(found.into_iter().map(|failure| format!("{name}:{failure}")));
    }
    failures
}

/// Runs a block again and again; gives what did not match the last time.
fn run_until_it_matches(block: &Block, server: &Server) -> Vec<String> {
    let mut con = server.connection();
    for command in &block.commands {
        let name = command.text.split_whitespace().next().unwrap_or_default();
        let info = cmd!(con, "COMMAND INFO", name).at(0);
        if info.is_nil() || info.at(2).texts().iter().any(|flag| flag == "write") {
            let line = command.line;
            return vec![format!(
                "{line}: {name} may write, so it cannot be run eventually\n"
            )];
        }
    }
    let start = Instant::now();
    loop {
        let failures = run(block, server);
        if failures.is_empty() || start.elapsed() > EVENTUALLY {
            return failures;
        }
    }
}

/// Runs the commands of a block in one redis-cli and compares the output of each.
fn run(block: &Block, server: &Server) -> Vec<String> {
    let input: String = block
        .commands
        .iter()
        .map(|c| format!("{}\n{}\n", c.text, SEPARATOR.0))
        .collect();
    let mut command = Command::new("redis-cli");
    command
        .env_remove("REDISCLI_AUTH")
        .arg("--no-raw")
        .arg(if block.resp3 { "-3" } else { "-2" });
    command.args(["-h", "127.0.0.1", "-p", &server.port().to_string()]);
    let output = Process::spawn_fed("redis-cli", command, &input).output_at_exit();
    let lines: Vec<String> = output.lines().map(str::to_owned).collect();
    let mut outputs: Vec<&[String]> = lines.split(|line| line == SEPARATOR.1).collect();
    let after_the_last = outputs.pop().unwrap_or_default();

    let mut failures = Vec::new();
    if outputs.len() != block.commands.len() || !after_the_last.is_empty() {
        let line = block.commands.first().map_or(0, |command| command.line);
        failures.push(format!(
            "{line}: redis-cli did not come to the end of the block:\n{output}"
        ));
    }
    for (command, got) in block.commands.iter().zip(outputs) {
        if !matches(&command.expected, got) {
            let diff = diff(&command.expected, got);
            failures.push(format!("{}: {}\n{diff}", command.line, command.text));
        }
    }
    failures
}

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of a folder of the repository, sorted.
fn pages_in(dir: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(dir))
        .into_iter()
        .flatten()
        .flatten();
    let files = entries.map(|entry| entry.path());
    let mut pages: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    pages
}

/// A page's path as it is printed.
fn name_of(page: &Path) -> String {
    page.strip_prefix(root())
        .unwrap_or(page)
        .display()
        .to_string()
}

#[test]
fn every_page_shows_what_happens() {
    let wanted = std::env::var("DEVICESTATE_PAGES").unwrap_or_default();
    let readme = root().join("README.md");
    let all = pages_in("docs")
        .into_iter()
        .chain(pages_in("docs/commands"));
    let mut failures = Vec::new();
    for page in readme.is_file().then_some(readme).into_iter().chain(all) {
        let (name, text) = (
            name_of(&page),
            fs::read_to_string(&page).expect("read a page"),
        );
        // Most pages of docs/ show none. One that is malformed must still fail.
        let shows_something = blocks(&text).map_or(true, |blocks| !blocks.is_empty());
        if name.contains(&wanted) && shows_something {
            failures.extend(replay(&name, &text, &Server::start()));
        }
    }
    let (count, all) = (failures.len(), failures.join("\n"));
    assert!(
        failures.is_empty(),
        "{count} transcripts do not show what happens:\n\n{all}"
    );
}

#[test]
fn every_command_has_its_page_with_a_transcript_and_every_page_its_command() {
    let server = Server::start();
    let names = cmd!(
        server.connection(),
        "COMMAND LIST",
        "FILTERBY",
        "MODULE",
        "devicestate"
    );
    let commands: BTreeSet<String> = names.texts().iter().map(|n| n.to_lowercase()).collect();
    assert!(
        !commands.is_empty(),
        "the server knows no command of the module devicestate"
    );
    for name in &commands {
        let family = name.split_once('.').map_or("", |(family, _)| family);
        let known = ["device", "throttle", "alert", "queue"].contains(&family);
        assert!(known, "{name} is of no family that docs/commands has");
    }

    let mut described = BTreeSet::new();
    for page in pages_in("docs/commands") {
        let stem = page
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // An index of the folder is no command.
        if stem == "README" {
            continue;
        }
        let found = blocks(&fs::read_to_string(&page).expect("read a page")).unwrap_or_default();
        let shown = found.iter().filter(|block| block.mode != Mode::Skip);
        let shown: Vec<String> = shown
            .flat_map(|b| &b.commands)
            .map(|c| c.text.to_lowercase())
            .collect();
        assert!(
            shown
                .iter()
                .any(|text| text.split_whitespace().next() == Some(&stem)),
            "{} has no transcript that runs the command",
            name_of(&page)
        );
        described.insert(stem);
    }
    let without_page: Vec<&String> = commands.difference(&described).collect();
    let without_command: Vec<&String> = described.difference(&commands).collect();
    assert!(
        without_page.is_empty(),
        "commands without docs/commands/<name>.md: {without_page:?}"
    );
    assert!(
        without_command.is_empty(),
        "pages without a command: {without_command:?}"
    );
}

/// The replayer itself, on a plain server.
mod replayer {
    use super::*;

    fn replayed(page: &str) -> Vec<String> {
        replay("page.md", page, &Server::builder().without_module().start())
    }

    #[test]
    fn a_page_that_tells_the_truth_passes() {
        let page = r#"
# Words between

```redis-cli
127.0.0.1:6379> SET a "1 \" 2"
OK
127.0.0.1:6379> GET a
"1 \" 2"
127.0.0.1:6379> HSET h x 1 y 2
(integer) <n>
127.0.0.1:6379> NOPE x
(error) ERR unknown command <text>
127.0.0.1:6379> XADD s * f v
"<id>"
127.0.0.1:6379> MULTI
OK
127.0.0.1:6379(TX)> SET b 2
QUEUED
127.0.0.1:6379(TX)> EXEC
1) OK
127.0.0.1:6379> SET e ""
OK
127.0.0.1:6379> GET e
""
```

The state carries across the blocks:

```redis-cli
127.0.0.1:6379> GET b
"2"
127.0.0.1:6379> HGETALL h
1) "x"
...
127.0.0.1:6379> INFO keyspace
# Keyspace
db0:keys=<n>,<text>
```

```redis-cli resp3
127.0.0.1:6379> HGETALL h
1# "x" => "1"
2# "y" => "2"
```

```redis-cli skip
127.0.0.1:6379> SET b 3
OK, which nobody checks
```

```redis-cli
127.0.0.1:6379> SET b 4 PX 200
OK
```

```redis-cli eventually
127.0.0.1:6379> GET b
(nil)
```
"#;
        assert_eq!(replayed(page), Vec::<String>::new());
    }

    #[test]
    fn a_page_that_lies_fails_with_its_line_and_a_diff() {
        let page = "```redis-cli\n\
                    127.0.0.1:6379> RPUSH l a b\n(integer) 2\n\
                    127.0.0.1:6379> LRANGE l 0 -1\n1) \"a\"\n2) \"c\"\n\
                    127.0.0.1:6379> LLEN l\n(integer) 2\n```\n";
        let diff = "page.md:4: LRANGE l 0 -1\n 1) \"a\"\n-2) \"c\"\n+2) \"b\"\n";
        assert_eq!(replayed(page), [diff]);
        // One line too few, one too many.
        assert_eq!(replayed("```redis-cli\n127.0.0.1:6379> PING\n```").len(), 1);
        assert_eq!(
            replayed("```redis-cli\n127.0.0.1:6379> PING\nPONG\n\n```").len(),
            1
        );
    }

    #[test]
    fn a_malformed_page_fails() {
        assert_eq!(replayed("```redis-cli\n"), ["page.md:1: ``` is not closed"]);
    }

    #[test]
    fn eventually_gives_up_and_never_writes() {
        let never = "```redis-cli eventually\n127.0.0.1:6379> GET a\n\"1\"\n```";
        assert_eq!(replayed(never), ["page.md:2: GET a\n-\"1\"\n+(nil)\n"]);
        let writes = "```redis-cli eventually\n127.0.0.1:6379> SET a 1\nOK\n```";
        assert_eq!(
            replayed(writes),
            ["page.md:2: SET may write, so it cannot be run eventually\n"]
        );
    }
}

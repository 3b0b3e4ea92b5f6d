//! The examples of `docs/protobuf.md` are true.

use super::*;

const PAGE: &str = include_str!("../../../../../docs/protobuf.md");

/// The first fenced block of a language.
fn block(language: &str) -> &'static str {
    let start = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(&start).unwrap();
    rest.split_once("```").unwrap().0
}

fn load(more: &str) -> Schemas {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.proto"), block("proto")).unwrap();
    let settings = format!("{}\n{more}", block("toml"));
    let mut settings: toml::Table = settings.parse().unwrap();
    let config: ProtobufConfig = settings.remove("protobuf").unwrap().try_into().unwrap();
    let schemas = Schemas::load(&config, folder.path()).unwrap();
    for rule in &config.rule {
        schemas.get(&rule.message).unwrap();
    }
    schemas
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let byte = |pair: &str| u8::from_str_radix(pair, 16).unwrap();
    hexadecimal.split_whitespace().map(byte).collect()
}

#[test]
fn the_table_of_payloads_is_true() {
    let schemas = load("");
    let rows = PAGE.lines().filter(|line| line.starts_with("| `acme.v1."));
    let mut checked = 0;
    for row in rows {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, name, payload, size, report, report_size, _] = cells[..] else {
            panic!("{row}");
        };
        let payload = bytes(payload);
        let told = schemas.get(name).unwrap().report(&payload, ROOMY).unwrap();
        assert_eq!(told, report, "{row}");
        assert_eq!(size, payload.len().to_string(), "{row}");
        assert_eq!(report_size, told.len().to_string(), "{row}");
        checked += 1;
    }
    assert_eq!(checked, 6);
}

#[test]
fn the_trap_is_as_the_page_tells() {
    let schemas = load("");
    let pump = schemas.get("acme.v1.Pump").unwrap();
    let thermo = schemas.get("acme.v1.Thermo").unwrap();
    let warnings = schemas.warnings([pump, thermo].iter());
    assert_eq!(warnings.len(), 1);
    assert!(
        PAGE.contains(&format!("WARN {}\n", warnings[0])),
        "{warnings:?}"
    );

    let told = "The pump's empty payload is now `";
    let (_, rest) = PAGE.split_once(told).unwrap();
    let pump = load("[protobuf.implicit]\n\"acme.v1.Pump\" = \"write\"").get("acme.v1.Pump");
    let report = pump.unwrap().report(b"", ROOMY).unwrap();
    assert!(rest.starts_with(&format!("{report}`")), "{report}");
}

#[test]
fn the_refusal_is_as_the_page_tells() {
    let thermo = load("").get("acme.v1.Thermo").unwrap();
    let reason = thermo.report(&[0x0d, 0, 0], ROOMY).unwrap_err();
    assert!(
        PAGE.contains(&format!("device 't-7': {reason}\n")),
        "{reason}"
    );
}

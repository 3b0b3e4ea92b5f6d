//! Payloads that are meant to hurt, or that are simply broken.

use super::*;
use proptest::prelude::*;

fn refusal(name: &str, payload: &[u8]) -> String {
    schema(name).report(payload, ROOMY).unwrap_err()
}

/// `inner` as field `number`, wrapped `times` times.
fn nested(number: u8, times: usize, inner: &[u8]) -> Vec<u8> {
    let mut bytes = inner.to_vec();
    for _ in 0..times {
        let mut outer = vec![number << 3 | 2];
        let mut length = bytes.len();
        while length > 127 {
            outer.push(length as u8 | 128);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend(bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn broken_payloads_are_refused_with_a_reason() {
    for (name, payload, reason) in [
        ("Thermo", &[0x0d, 0, 0][..], "no acme.v1.Thermo: "),
        ("Thermo", &[0x08, 1], "wire type"),
        ("Thermo", &[0x3a, 5, b'x'], "buffer"),
        ("Thermo", &[0x3a, 2, 0xff, 0xfe], "UTF-8"),
        ("Thermo", &[0x07], "wire type"),
        ("Thermo", &[0x00], "tag"),
        ("Thermo", &[0xff; 20], "varint"),
        ("Thermo", b"{\"temp_c\":1}", "no acme.v1.Thermo: "),
        ("Bare", &[0x32, 3, 0x0a, 9, b'x'], "no acme.v1.Bare: "),
    ] {
        let told = refusal(name, payload);
        assert!(told.starts_with("the payload is no acme.v1."), "{told}");
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains("failed to decode"), "{told}");
    }
}

#[test]
fn deep_messages_are_refused() {
    let x = [0x10, 1];
    let deepest = schema("Tree").report(&nested(1, 99, &x), ROOMY).unwrap();
    assert_eq!(deepest.matches("left").count(), 99);
    for times in [101, 1000, 50_000] {
        let told = refusal("Tree", &nested(1, times, &x));
        assert!(
            told.contains("recursion") || told.contains("nest"),
            "{told}"
        );
    }
}

/// Fields that are not known are read, too: groups nest without a length.
#[test]
fn deep_groups_are_refused() {
    let told = refusal("Tree", &vec![0x7b; 200_000]);
    assert!(told.contains("recursion"), "{told}");
}

/// Each Any starts the decoder afresh, whose own limit does not see the others.
#[test]
fn deep_anys_are_refused() {
    let mut bytes = Vec::new();
    for _ in 0..2000 {
        let mut any = nested(1, 1, b"x/acme.v1.Tree");
        any.extend(nested(2, 1, &bytes));
        bytes = nested(3, 1, &any);
    }
    let told = refusal("Tree", &bytes);
    assert!(told.contains("nest more than 100 levels"), "{told}");
}

/// Two bytes of payload become 60 of JSON.
#[test]
fn what_becomes_too_long_is_refused() {
    let tree = schema_with("acme.v1.Tree", "implicit = {\"acme.v1.Bare\" = \"write\"}");
    let payload = [0x22, 0].repeat(100_000);
    let told = tree.report(&payload, 262_144).unwrap_err();
    assert!(
        told.ends_with("its JSON has more than max_payload (262144) bytes"),
        "{told}"
    );
    let fits = tree.report(&payload[..200], 262_144).unwrap();
    assert_eq!(fits.matches("temp").count(), 100);

    let packed = [vec![0x32, 0x80, 0x08], vec![1; 1024]].concat();
    let told = schema("Numbers").report(&packed, 4096).unwrap_err();
    assert!(told.contains("max_payload"), "{told}");
}

/// All types of the test, each once without and once with the zeros written.
fn all() -> Vec<Schema> {
    let names = ["Thermo", "Bare", "Inner", "Tree", "Numbers", "Known"];
    let write = names.map(|name| format!("\"acme.v1.{name}\" = \"write\""));
    let settings = ["".to_owned(), format!("implicit = {{{}}}", write.join(","))];
    let types = settings.map(|settings| schemas(PROTO, &settings).unwrap());
    let get = |types: &Schemas, name| types.get(&format!("acme.v1.{name}")).unwrap();
    types
        .iter()
        .flat_map(|types| names.map(|name| get(types, name)))
        .collect()
}

/// Bytes that look like fields: known numbers, all wire types, short lengths.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field = (0u8..14, 0u8..6, prop::collection::vec(any::<u8>(), 0..9)).prop_map(
        |(number, wire, bytes)| {
            let mut field = vec![number << 3 | wire];
            if wire == 2 {
                field.push(bytes.len() as u8);
            }
            field.extend(bytes);
            field
        },
    );
    prop::collection::vec(field, 0..8).prop_map(|fields| fields.concat())
}

/// What comes out is one JSON object, or a sentence.
fn check(schemas: &[Schema], payload: &[u8]) -> Result<(), TestCaseError> {
    for schema in schemas {
        if let Ok(report) = schema.report(payload, 4096) {
            prop_assert!(report.len() <= 4096 + 1);
            let json: serde_json::Value = serde_json::from_str(&report)
                .map_err(|error| TestCaseError::fail(format!("{error}: {report}")))?;
            prop_assert!(json.is_object());
        }
    }
    Ok(())
}

#[test]
fn arbitrary_bytes_become_an_object_or_a_sentence() {
    let schemas = all();
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..256),
        fields(),
        (fields(), 1u8..14, 1usize..4)
            .prop_map(|(bytes, number, times)| nested(number, times, &bytes)),
    ];
    proptest!(ProptestConfig::with_cases(2000), |(payload in bytes)| check(&schemas, &payload)?);
}

#[test]
fn cut_payloads_become_an_object_or_a_sentence() {
    let schemas = all();
    let numbers = schema("Numbers").encode(
        r#"{"axes":[1,2],"levels":{"a":1},"thermos":[{"note":"x","isOn":true}],"modes":[1,2]}"#,
    );
    let known = schema("Known")
        .encode(r#"{"at":"2026-01-02T03:04:05Z","extra":{"a":[null,{"b":1}]},"mask":"a.b"}"#);
    for whole in [numbers, known] {
        for cut in 0..whole.len() {
            check(&schemas, &whole[..cut]).unwrap();
        }
        // Within a field there is nothing to guess.
        assert!(schemas[4].report(&whole[..1], ROOMY).is_err());
    }
}

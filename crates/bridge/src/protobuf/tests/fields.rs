//! What becomes of each kind of field. One test for each trap.

use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

#[test]
fn a_zero_that_was_said_is_reported() {
    // Field 1, 32 bits: 0.0. Field 2, varint: false.
    let payload = [0x0d, 0, 0, 0, 0, 0x10, 0];
    let report = schema("Thermo").report(&payload, ROOMY);
    assert_eq!(report.as_deref(), Ok(r#"{"temp_c":0.0,"is_on":false}"#));
}

#[test]
fn what_was_not_said_is_not_reported() {
    assert_eq!(schema("Thermo").report(b"", ROOMY).as_deref(), Ok("{}"));
    assert_eq!(schema("Bare").report(b"", ROOMY).as_deref(), Ok("{}"));
}

/// The trap: the device sent 0, and its protobuf library left it out.
#[test]
fn an_implicit_zero_is_skipped_unless_told_otherwise() {
    let zero = r#"{"temp":0,"on":false,"note":"x","ports":[]}"#;
    assert_eq!(schema("Bare").report_of(zero), r#"{"note":"x"}"#);
    // Sent all the same, it is taken for the same silence.
    let sent = schema("Bare").report(&[0x0d, 0, 0, 0, 0, 0x10, 0], ROOMY);
    assert_eq!(sent.as_deref(), Ok("{}"));

    let written = schema_with("acme.v1.Bare", "implicit = {\"acme.v1.Bare\" = \"write\"}");
    assert_eq!(
        written.report_of(zero),
        r#"{"temp":0.0,"on":false,"note":"x","mode":"MODE_UNSPECIFIED","ports":[],"counts":{}}"#
    );
}

/// Messages, members of a oneof and optional fields have presence: nothing is invented for them.
#[test]
fn write_invents_nothing_that_has_presence() {
    let settings = "implicit = {\"acme.v1.Bare\" = \"write\", \"acme.v1.Thermo\" = \"write\"}";
    let bare = schema_with("acme.v1.Bare", settings);
    let report: Json = serde_json::from_str(&bare.report_of("{}")).unwrap();
    for name in ["inner", "code", "text", "said"] {
        assert_eq!(report.get(name), None, "{name}");
    }
    let said = bare.report_of(r#"{"code":0,"said":"0","inner":{}}"#);
    assert!(said.ends_with(r#""inner":{},"code":0,"said":0}"#), "{said}");
    assert_eq!(
        schema_with("acme.v1.Thermo", settings).report_of("{}"),
        "{}"
    );
}

#[test]
fn implicit_is_said_for_each_type_by_itself() {
    let json = r#"{"inner":{"x":0}}"#;
    let inner = schema_with("acme.v1.Bare", "implicit = {\"acme.v1.Inner\" = \"write\"}");
    assert_eq!(inner.report_of(json), r#"{"inner":{"x":0}}"#);
    let outer = schema_with("acme.v1.Bare", "implicit = {\"acme.v1.Bare\" = \"write\"}");
    assert!(outer.report_of(json).contains(r#""inner":{}"#));
}

#[test]
fn integers_of_64_bits_are_numbers() {
    assert_eq!(
        schema("Thermo")
            .report_of(r#"{"uptimeMs":"18446744073709551615","driftNs":"-9223372036854775808"}"#),
        r#"{"uptime_ms":18446744073709551615,"drift_ns":-9223372036854775808}"#
    );
}

/// Widened to 64 bits, 21.4 would be 21.399999618530273, and never equal to a wish of 21.4.
#[test]
fn a_float_stays_as_short_as_it_is() {
    let thermo = schema("Thermo");
    for (json, report) in [
        (r#"{"tempC":21.4}"#, r#"{"temp_c":21.4}"#),
        (r#"{"level":21.4}"#, r#"{"level":21.4}"#),
        (r#"{"level":1e300}"#, r#"{"level":1e+300}"#),
        (r#"{"tempC":-0.5}"#, r#"{"temp_c":-0.5}"#),
    ] {
        assert_eq!(thermo.report_of(json), report);
    }
}

#[test]
fn enums_are_named_and_unknown_ones_are_numbers() {
    let thermo = schema("Thermo");
    assert_eq!(thermo.report_of(r#"{"mode":1}"#), r#"{"mode":"MODE_ECO"}"#);
    let zero = thermo.report_of(r#"{"mode":0}"#);
    assert_eq!(zero, r#"{"mode":"MODE_UNSPECIFIED"}"#);
    assert_eq!(thermo.report_of(r#"{"mode":7}"#), r#"{"mode":7}"#);
    let list = schema("Numbers").report_of(r#"{"modes":[1,-5]}"#);
    assert_eq!(list, r#"{"modes":["MODE_ECO",-5]}"#);
}

#[test]
fn bytes_are_base64_with_padding() {
    // Field 6: three bytes that differ in the two alphabets of base64.
    let payload = [0x32, 4, 0xfb, 0xff, 0xfe, 0x00];
    let report = schema("Thermo").report(&payload, ROOMY);
    assert_eq!(report.as_deref(), Ok(r#"{"key_hash":"+//+AA=="}"#));
    let empty = schema("Thermo").report(&[0x32, 0], ROOMY);
    assert_eq!(empty.as_deref(), Ok(r#"{"key_hash":""}"#));
}

#[test]
fn texts_are_escaped() {
    let note = r#"{"note":"\"}\u0000\n\u00fc"}"#;
    let report = schema("Thermo").report_of(note);
    assert_eq!(report, "{\"note\":\"\\\"}\\u0000\\n\u{fc}\"}");
}

#[test]
fn what_json_has_no_word_for_is_left_out() {
    let thermo = schema("Thermo");
    for number in ["NaN", "Infinity", "-Infinity"] {
        let json = format!(r#"{{"tempC":"{number}","note":"x","level":"{number}"}}"#);
        assert_eq!(thermo.report_of(&json), r#"{"note":"x"}"#);
        assert_eq!(
            thermo.report_of(&format!(r#"{{"tempC":"{number}"}}"#)),
            "{}"
        );
    }
}

/// Without it, the other axes would move up.
#[test]
fn a_list_with_not_a_number_is_left_out_whole() {
    let numbers = schema("Numbers");
    for (json, report) in [
        (r#"{"axes":[1,"NaN",3]}"#, "{}"),
        (r#"{"axes":[1,2,3]}"#, r#"{"axes":[1.0,2.0,3.0]}"#),
        (
            r#"{"levels":{"a":1,"b":"NaN","c":3}}"#,
            r#"{"levels":{"a":1.0,"c":3.0}}"#,
        ),
        (
            r#"{"thermos":[{"level":"NaN","note":"x"},{}]}"#,
            r#"{"thermos":[{"note":"x"},{}]}"#,
        ),
    ] {
        assert_eq!(numbers.report_of(json), report);
    }
}

#[test]
fn maps_are_sorted_objects() {
    let numbers = schema("Numbers");
    for (json, report) in [
        (
            r#"{"byNumber":{"10":"ten","-9":"x","9":"nine"}}"#,
            r#"{"by_number":{"-9":"x","9":"nine","10":"ten"}}"#,
        ),
        (
            r#"{"byFlag":{"true":"t","false":""}}"#,
            r#"{"by_flag":{"false":"","true":"t"}}"#,
        ),
        (
            r#"{"levels":{"b\"":1,"a":0}}"#,
            r#"{"levels":{"a":0.0,"b\"":1.0}}"#,
        ),
    ] {
        assert_eq!(numbers.report_of(json), report);
    }
}

/// A device that is newer than the files of the bridge.
#[test]
fn fields_that_the_files_do_not_have_are_skipped() {
    // Field 2, then field 1000 as a varint and field 1001 as bytes.
    let payload = [0x10, 1, 0xc0, 0x3e, 5, 0xca, 0x3e, 2, 0xff, 0xff];
    let report = schema("Thermo").report(&payload, ROOMY);
    assert_eq!(report.as_deref(), Ok(r#"{"is_on":true}"#));
}

#[test]
fn proto2_has_presence_groups_and_extensions() {
    let proto = r#"
        syntax = "proto2";
        package old;
        message Pump {
          required int32 speed = 1;
          optional int32 power = 2 [default = 5];
          optional group Valve = 3 { optional bool open = 4; }
          extensions 100 to 200;
        }
        extend Pump { optional string maker = 100; }
    "#;
    let pump = schemas(proto, "").unwrap().get("old.Pump").unwrap();
    // power = 0; the group with open = false; maker = "A".
    let payload = [0x10, 0, 0x1b, 0x20, 0, 0x1c, 0xa2, 0x06, 1, b'A'];
    assert_eq!(
        pump.report(&payload, ROOMY).as_deref(),
        Ok(r#"{"power":0,"valve":{"open":false},"[old.maker]":"A"}"#)
    );
    // A default is the reader's business; a required field is not asked for.
    assert_eq!(pump.report(b"", ROOMY).as_deref(), Ok("{}"));
}

proptest! {
    /// Against the library's own JSON, where the two mean to agree.
    #[test]
    fn finite_values_are_those_of_the_library(
        temp in prop::option::of(-1e30f32..1e30), level in prop::option::of(-1e300..1e300f64),
        uptime: Option<u64>, drift: Option<i64>, note: Option<String>, mode in -1i32..3,
        key: Option<Vec<u8>>,
    ) {
        use prost_reflect::{SerializeOptions, Value};
        let schema = schema("Thermo");
        let mut message = DynamicMessage::new(schema.message.clone());
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                message.set_field_by_name(name, value);
            }
        };
        set("temp_c", temp.map(Value::F32));
        set("level", level.map(Value::F64));
        set("uptime_ms", uptime.map(Value::U64));
        set("drift_ns", drift.map(Value::I64));
        set("note", note.map(Value::String));
        set("key_hash", key.map(|key| Value::Bytes(key.into())));
        set("mode", Some(Value::EnumNumber(mode)));
        let options = SerializeOptions::new()
            .stringify_64_bit_integers(false)
            .use_proto_field_name(true);
        let mut expected = serde_json::Serializer::new(Vec::new());
        message.serialize_with_options(&mut expected, &options).unwrap();
        let report = schema.report(&message.encode_to_vec(), ROOMY).unwrap();
        let expected: Json = serde_json::from_slice(&expected.into_inner()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Json>(&report).unwrap(), expected);
    }
}

//! What is wrong with files and names is said in one line.

use super::*;

fn load(files: &[(&str, &str)], settings: &str) -> Result<Schemas, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Schemas::load(&toml::from_str(settings).unwrap(), folder.path())
}

fn error(files: &[(&str, &str)], settings: &str) -> String {
    let reason = load(files, settings).err().unwrap();
    assert_eq!(reason.lines().count(), 1, "{reason}");
    reason
}

#[test]
fn a_file_that_does_not_compile_is_told_with_its_place() {
    let settings = "files = [\"a.proto\"]";
    for (text, place) in [
        (
            "syntax = \"proto3\";\nmessage A {\n  int32 x = ;\n}\n",
            "protobuf.files: a.proto:3:13: expected an integer",
        ),
        (
            "syntax = \"proto3\";\nmessage A {\n  Bee b = 1;\n}\n",
            "protobuf.files: a.proto:3:3: name 'Bee' is not defined",
        ),
        (
            "syntax = \"proto3\";\nimport \"b.proto\";\n",
            "protobuf.files: a.proto:2:1: import 'b.proto' not found",
        ),
        (
            "syntax = \"proto3\";\nmessage A {\n int32 x = 1;\n int32 y = 1;\n}\n",
            "protobuf.files: a.proto:4:12: ",
        ),
    ] {
        let told = error(&[("a.proto", text)], settings);
        assert!(told.starts_with(place), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let told = error(&[], "files = [\"no.proto\"]");
    assert!(
        told.contains("'no.proto' is not in any include path"),
        "{told}"
    );
    let told = error(
        &[("a.proto", "")],
        "files = [\"a.proto\"]\ninclude = [\"b\"]",
    );
    assert!(
        told.contains("'a.proto' is not in any include path"),
        "{told}"
    );
}

#[test]
fn imports_are_found_in_the_folders() {
    let schemas = load(
        &[
            (
                "own/a.proto",
                "import \"lib/b.proto\"; message A { optional lib.B b = 1; }",
            ),
            ("shared/lib/b.proto", "package lib; message B {}"),
        ],
        "files = [\"a.proto\"]\ninclude = [\"own\", \"shared\"]",
    )
    .unwrap();
    assert!(schemas.get("A").is_ok());
    assert!(schemas.get("lib.B").is_ok());
}

#[test]
fn a_type_that_is_not_there_is_told() {
    let schemas = schemas(PROTO, "").unwrap();
    assert_eq!(
        schemas.get("Thermo").unwrap_err(),
        "there is no message 'Thermo'; did you mean 'acme.v1.Thermo'?"
    );
    assert_eq!(
        schemas.get("acme.v1.Bear").unwrap_err(),
        "there is no message 'acme.v1.Bear' in protobuf.files"
    );
    let told = super::schemas(PROTO, "implicit = {Bare = \"write\"}").err();
    assert_eq!(
        told.as_deref(),
        Some("protobuf.implicit: there is no message 'Bare'; did you mean 'acme.v1.Bare'?")
    );
}

#[test]
fn a_report_is_an_object() {
    let schemas = schemas(PROTO, "").unwrap();
    assert!(schemas.get("google.protobuf.Struct").is_ok());
    for name in ["Timestamp", "Value", "ListValue", "Int64Value"] {
        let told = schemas.get(&format!("google.protobuf.{name}")).unwrap_err();
        assert!(told.contains("is no object in JSON"), "{told}");
    }
}

fn warnings(name: &str, settings: &str) -> Vec<String> {
    let schemas = schemas(PROTO, settings).unwrap();
    schemas.warnings([schemas.get(name).unwrap()].iter())
}

#[test]
fn fields_without_presence_are_named() {
    let told = warnings("acme.v1.Tree", "");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0]
            .starts_with("fields of acme.v1.Bare without presence: temp, on, note, mode, ports. "),
        "{told:?}"
    );
    assert!(told[1].starts_with("fields of acme.v1.Inner without presence: x. "));
    assert!(told[2].starts_with("fields of acme.v1.Tree without presence: many. "));
    assert_eq!(warnings("acme.v1.Thermo", ""), Vec::<String>::new());
}

/// Who has said what is meant need not be told again.
#[test]
fn a_decision_silences_the_warning() {
    for decision in ["skip", "write"] {
        let settings = format!(
            "implicit = {{\"acme.v1.Bare\" = \"{decision}\", \"acme.v1.Inner\" = \"{decision}\"}}"
        );
        assert_eq!(warnings("acme.v1.Bare", &settings), Vec::<String>::new());
    }
}

#[test]
fn long_lists_of_fields_are_cut() {
    let fields: String = (1..=25).map(|n| format!("int32 f{n} = {n};")).collect();
    let proto = format!("syntax = \"proto3\"; message Wide {{ {fields} }}");
    let schemas = schemas(&proto, "").unwrap();
    let told = schemas.warnings([schemas.get("Wide").unwrap()].iter());
    assert!(told[0].contains("f9, f10, 15 more. "), "{told:?}");
}

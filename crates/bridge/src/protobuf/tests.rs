//! The schema the tests decode with, and how they do.

mod fields;
mod hostile;
mod loading;
mod page;
mod well_known;

use super::*;
use prost_reflect::prost::Message;
use serde::de::DeserializeSeed;

/// As large as a test needs.
const ROOMY: usize = 1 << 20;

const PROTO: &str = r#"
    syntax = "proto3";
    package acme.v1;
    import "google/protobuf/any.proto";
    import "google/protobuf/duration.proto";
    import "google/protobuf/empty.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";

    enum Mode {
      MODE_UNSPECIFIED = 0;
      MODE_ECO = 1;
    }

    message Thermo {
      optional float temp_c = 1;
      optional bool is_on = 2;
      optional Mode mode = 3;
      optional uint64 uptime_ms = 4;
      optional sint64 drift_ns = 5;
      optional bytes key_hash = 6;
      optional string note = 7;
      optional double level = 8;
    }

    message Bare {
      float temp = 1;
      bool on = 2;
      string note = 3;
      Mode mode = 4;
      repeated int32 ports = 5;
      map<string, int32> counts = 6;
      Inner inner = 7;
      oneof what {
        int32 code = 8;
        string text = 9;
      }
      optional int64 said = 10;
    }

    message Inner {
      int32 x = 1;
    }

    message Tree {
      Tree left = 1;
      optional int32 x = 2;
      google.protobuf.Any any = 3;
      repeated Bare many = 4;
    }

    message Numbers {
      repeated double axes = 1;
      map<string, double> levels = 2;
      repeated Thermo thermos = 3;
      map<int64, string> by_number = 4;
      map<bool, string> by_flag = 5;
      repeated Mode modes = 6;
    }

    message Known {
      google.protobuf.Timestamp at = 1;
      google.protobuf.Duration lasts = 2;
      google.protobuf.Struct extra = 3;
      google.protobuf.Value any_value = 4;
      google.protobuf.ListValue list = 5;
      google.protobuf.Int64Value count = 6;
      google.protobuf.DoubleValue level = 7;
      google.protobuf.BytesValue raw = 8;
      google.protobuf.BoolValue flag = 9;
      google.protobuf.FieldMask mask = 10;
      google.protobuf.Empty empty = 11;
      google.protobuf.NullValue nothing = 12;
      repeated google.protobuf.DoubleValue levels = 13;
    }
"#;

/// The types of a file with this text.
fn schemas(proto: &str, settings: &str) -> Result<Schemas, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("test.proto"), proto).unwrap();
    let mut config: ProtobufConfig = toml::from_str(settings).unwrap();
    config.files.push("test.proto".into());
    Schemas::load(&config, folder.path())
}

fn schema_with(name: &str, settings: &str) -> Schema {
    schemas(PROTO, settings).unwrap().get(name).unwrap()
}

fn schema(name: &str) -> Schema {
    schema_with(&format!("acme.v1.{name}"), "")
}

impl Schema {
    /// The bytes of the message that ProtoJSON describes.
    fn encode(&self, json: &str) -> Vec<u8> {
        let mut json = serde_json::Deserializer::from_str(json);
        let message = self.message.clone().deserialize(&mut json).unwrap();
        message.encode_to_vec()
    }

    /// What becomes of the message that ProtoJSON describes.
    fn report_of(&self, json: &str) -> String {
        self.report(&self.encode(json), ROOMY).unwrap()
    }
}

//! Devices with a protobuf of their own: broker, bridge, server. What the bridge itself does with
//! such messages is tested in `crates/bridge`; here it is what becomes of the shadow.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::Connection;
use serde_json::{json, Value as Json};

use crate::support::*;

const SOON: Duration = Duration::from_secs(20);

const PROTO: &str = r#"
    syntax = "proto3";
    package acme.v1;

    enum Mode {
      MODE_UNSPECIFIED = 0;
      MODE_ECO = 1;
    }

    message Thermo {
      optional float temp_c = 1;
      optional Mode mode = 2;
      optional uint64 energy_wh = 3;
    }
"#;

const CONFIG: &str = r#"
    [protobuf]
    files = ["thermo.proto"]
    include = ["proto"]
    [[protobuf.rule]]
    topic = "plant/{device}/up"
    message = "acme.v1.Thermo"
    # What is compared below has to stand still: the downlink would acknowledge events.
    [downlink]
    enabled = false
"#;

/// A float of field 1.
fn temp(degrees: f32) -> Vec<u8> {
    [&[0x0d][..], &degrees.to_le_bytes()].concat()
}

fn publish(broker: &Mosquitto, topic: &str, payload: &[u8]) {
    let mut client = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &broker.port().to_string()])
        .args(["-q", "1", "-t", topic, "-s"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub must be installed");
    let mut input = client.stdin.take().expect("a pipe");
    input.write_all(payload).expect("write to mosquitto_pub");
    drop(input);
    assert!(client.wait().expect("its end").success());
}

#[test]
fn a_protobuf_device_has_a_shadow_like_any_other() {
    let server = Server::builder().module_arg("restart-grace", 0).start();
    let mut con = server.connection();
    let broker = Mosquitto::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("bridge.toml");
    std::fs::write(&config, CONFIG).expect("write bridge.toml");
    std::fs::create_dir(folder.path().join("proto")).expect("make a folder");
    std::fs::write(folder.path().join("proto/thermo.proto"), PROTO).expect("write a schema");
    let mqtt = format!("mqtt://127.0.0.1:{}", broker.port());
    let config = config.to_str().expect("a plain path");
    let mut bridge = Process::bridge(&[
        "--config",
        config,
        "--mqtt",
        &mqtt,
        "--redis",
        &server.url(),
    ]);
    let shadow = |con: &mut Connection, what: &str| -> Json {
        let reply = cmd!(con, "DEVICE.SHADOW.GET", "t1");
        let document = match reply.is_nil() {
            true => Json::Null,
            false => reply.json(),
        };
        let part = document.pointer(&format!("/state/{what}"));
        part.cloned().unwrap_or_default()
    };

    // 21.4 as a float, and 2^53 + 1 Wh, which no double holds.
    let energy = [0x18, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    publish(
        &broker,
        "plant/t1/up",
        &[temp(21.4), energy.to_vec()].concat(),
    );
    let first = json!({"temp_c": 21.4, "energy_wh": 9_007_199_254_740_993_u64});
    wait_for("the first report", SOON, || {
        shadow(&mut con, "reported") == first
    });

    // A wish for zero, which the device fulfils: nothing is left to do.
    let wish = r#"{"temp_c":0,"mode":"MODE_ECO"}"#;
    cmd!(con, "DEVICE.SHADOW.SET", "t1", wish).value();
    assert_eq!(
        shadow(&mut con, "delta"),
        json!({"temp_c": 0, "mode": "MODE_ECO"})
    );
    publish(&broker, "plant/t1/up", &[temp(0.0), vec![0x10, 1]].concat());
    wait_for("the delta is gone", SOON, || {
        shadow(&mut con, "delta").is_null()
    });
    assert_eq!(
        shadow(&mut con, "reported"),
        json!({"temp_c": 0.0, "mode": "MODE_ECO", "energy_wh": 9_007_199_254_740_993_u64})
    );

    // What cannot be read changes nothing, and is no sign of life.
    let before = snapshot(&mut con);
    for broken in [&[0x0d, 0, 0][..], &[0xff; 40], b"{\"reported\":{}}"] {
        publish(&broker, "plant/t1/up", broken);
    }
    wait_for("all three are refused", SOON, || {
        let refused = "refused a message on topic 'plant/t1/up', device 't1'";
        bridge.output().matches(refused).count() == 3
    });
    let letters = "bridge:dead-letters";
    wait_for("all three are dead letters", SOON, || {
        cmd!(con, "XLEN", letters).int() == 3
    });
    cmd!(con, "DEL", letters).int();
    assert_eq!(snapshot(&mut con), before);

    bridge.signal("TERM");
    let output = bridge.output_at_exit();
    assert!(
        output.contains("received 5, applied 2, refused 3"),
        "{output}"
    );
}

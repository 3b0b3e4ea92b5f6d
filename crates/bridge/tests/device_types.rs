//! Reports whose protobuf message is that of their device's type: the server is asked for the type.

mod support;

use std::process::Command;
use support::bridge::Bridge;
use support::broker::Broker;
use support::server::Server;
use support::wait_until;
use tempfile::TempDir;

const PROTO: &str = "
    syntax = \"proto3\";
    package acme;
    message Thermo { optional uint32 temp = 1; }
    message Pump { optional uint32 speed = 1; }
";

/// Field 1, 21.
const PAYLOAD: [u8; 2] = [8, 21];

const PROTOBUF: [&str; 5] = ["-q", "1", "-D", "publish", "content-type"];

/// The folder of the `.proto` file, and a configuration that names it.
fn configured(more: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.proto"), PROTO).unwrap();
    let config = format!(
        "{more}
        [protobuf]
        files = [\"acme.proto\"]
        include = [{:?}]
        [[protobuf.rule]]
        device_type = \"thermo\"
        message = \"acme.Thermo\"
        [[protobuf.rule]]
        device_type = \"pump\"
        message = \"acme.Pump\"
        ",
        folder.path().to_str().unwrap()
    );
    (folder, config)
}

fn publish(broker: &Broker, device: &str) {
    let options = [&PROTOBUF[..], &["application/x-protobuf"]].concat();
    broker.publish_as(&options, &format!("devices/{device}/reported"), PAYLOAD);
}

fn reported(server: &Server, device: &str) -> Option<String> {
    let fields: Option<Vec<Option<String>>> =
        server.query(&["DEVICE.GET", device, "reported_state"]);
    fields?.pop()?
}

fn wait_for_dead_letters(server: &Server, count: i64) {
    wait_until("dead letters", || {
        server.query::<i64>(&["XLEN", "bridge:dead-letters"]) == count
    });
}

/// With the bridge that applies, and then with a receiver and a processor.
#[test]
fn a_report_is_read_by_the_type_of_its_device() {
    for queued in [false, true] {
        let (broker, server) = (Broker::start(), Server::start());
        let (_folder, config) = configured(&format!("[queue]\nenabled = {queued}\ncount = 2\n"));
        server.command(&["DEVICE.REGISTER", "t", "thermo"]);
        server.command(&["DEVICE.REGISTER", "p", "pump"]);
        server.command(&["DEVICE.REGISTER", "l", "lamp"]);
        let bridge = Bridge::start(&broker.url(), &server.url(), &config);
        let processor = queued.then(|| Bridge::process(&[], &server.url(), &config));
        for device in ["t", "p", "l", "nobody"] {
            publish(&broker, device);
        }
        wait_for_dead_letters(&server, 2);
        let applied = || (reported(&server, "t"), reported(&server, "p"));
        let expected = [r#"{"temp":21}"#, r#"{"speed":21}"#].map(|json| Some(json.to_owned()));
        wait_until("both are applied", || applied() == expected.clone().into());
        assert_eq!(reported(&server, "l"), None);
        let refuser = processor.as_ref().unwrap_or(&bridge);
        refuser.wait_for("no rule says which protobuf message devices of the type 'lamp' send");
        refuser.wait_for("device 'nobody': the payload is protobuf of its device's type, and");

        // Once it is registered, its dead letter can be tried again.
        server.command(&["DEVICE.REGISTER", "nobody", "pump"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &config).unwrap();
        let replay = Command::new(env!("CARGO_BIN_EXE_devicestate-bridge"))
            .args(["replay", "--redis", &server.url(), "--config"])
            .arg(file.path())
            .output()
            .unwrap();
        let told = String::from_utf8(replay.stdout).unwrap();
        assert!(told.contains("1 replayed, 1 left"), "{told}");
        assert_eq!(
            reported(&server, "nobody").as_deref(),
            Some(r#"{"speed":21}"#)
        );
        wait_for_dead_letters(&server, 1);
    }
}

/// The question goes before the report, and nothing else of the device in between. All messages wait in
/// the bridge before the first is answered.
#[test]
fn the_order_of_a_device_stays() {
    let (broker, server) = (Broker::start(), Server::start());
    let (_folder, config) = configured("");
    server.command(&["DEVICE.REGISTER", "t", "thermo"]);
    let _bridge = Bridge::start(&broker.url(), &server.url(), &config);
    for end in [1, 2] {
        server.freeze();
        publish(&broker, "t");
        broker.publish_lines(
            "devices/t/reported",
            (0..50).map(|n| json(&format!("\"temp\":{n}"))),
        );
        if end == 2 {
            publish(&broker, "t");
        }
        server.thaw();
        broker.publish("devices/t/reported", json(&format!("\"end\":{end}")));
        let last = if end == 1 { 49 } else { 21 };
        let expected = format!("{{\"end\":{end},\"temp\":{last}}}");
        wait_until("the last one is applied", || {
            reported(&server, "t").is_some_and(|state| state.contains(&format!("\"end\":{end}")))
        });
        assert_eq!(reported(&server, "t"), Some(expected));
    }
}

fn json(members: &str) -> String {
    format!("{{\"reported\":{{{members}}}}}")
}

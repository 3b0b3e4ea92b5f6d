//! Where the keys of a device are, and what fleet-wide commands answer for.

use devicestate_core::slot::Slot;

use crate::support::*;

#[test]
fn everything_of_a_device_is_in_the_slot_of_its_id() {
    let cluster = Cluster::start(3, 0, || {
        Server::builder().config("devicestate.reports-maxlen", 10)
    });
    let mut client = cluster.client();
    let mut call = |words: &[&str]| client.call(words).value().clone();
    call(&["DEVICE.REGISTER", "lamp-7", "lamp"]);
    call(&[
        "DEVICE.HEARTBEAT",
        "lamp-7",
        "REPORTED",
        r#"{"on":true}"#,
        "TIMEOUT",
        "60000",
    ]);
    call(&["DEVICE.SHADOW.SET", "lamp-7", r#"{"on":false}"#]);
    call(&[
        "DEVICE.SHADOW.SET",
        "lamp-7",
        r#"{"a":1}"#,
        "NAME",
        "second",
    ]);
    call(&["DEVICE.COMMAND", "lamp-7", r#"{"do":"blink"}"#]);
    call(&[
        "ALERT.RAISE",
        "lamp-7",
        "hot",
        "SEVERITY",
        "5",
        "NOTIFY",
        "1",
        "ann",
    ]);
    let slot = Slot::of(b"lamp-7");
    let mut keys = 0;
    for node in &cluster.nodes {
        for key in cmd!(node.connection(), "KEYS", "*").texts() {
            assert_eq!(Slot::of(key.as_bytes()), slot, "{key}");
            keys += 1;
        }
    }
    assert!(keys > 10, "{keys}");
}

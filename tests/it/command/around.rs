//! What is around commands: the key prefix, odd ids, devices that the plain recipe wrote.

use super::*;

#[test]
fn keys_take_the_prefix_and_the_channel_does_not() {
    let server = Server::builder().module_arg("key-prefix", "sc:").start();
    server.settle();
    let channel = Subscriber::channels(&server, &["device:d:commands"]);
    let mut con = server.connection();
    beat(&mut con, "d");
    assert_eq!(waiting(&mut con, "d"), 0);
    let id = give(&mut con, "d {}");
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(cmd!(con, "XLEN sc:device:commands:d").int(), 1);
    assert_eq!(channel.wait_for_count(1, SOON)[0].json()["command_id"], id);
    cmd!(con, "RENAME sc:device:commands:d elsewhere").text();
    assert_eq!(waiting(&mut con, "d"), 0);
    cmd!(con, "RENAME elsewhere sc:device:commands:d").text();
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(done(&mut con, &format!("d {id} OK")), 1);
    assert_eq!(cmd!(con, "XLEN sc:device:outcomes:d").int(), 1);
    assert_eq!(cmd!(con, "KEYS device:*").texts(), [""; 0]);
}

#[test]
fn odd_ids_are_ids() {
    let server = Server::start();
    let mut con = server.connection();
    let long = "x".repeat(256);
    for id in [
        "%n%s",
        "\u{1f4df}",
        "*",
        "device:state:x",
        "COUNT",
        "-1",
        "a/b",
        &long,
    ] {
        cmd!(con, "DEVICE.REGISTER", id, "sensor").int();
        let command = cmd!(con, "DEVICE.COMMAND", id, "{\"a\":1}", "TTL", "1h").text();
        assert_eq!(waiting(&mut con, id), 1, "{id}");
        let taken = cmd!(con, "DEVICE.COMMAND.TAKE", id, "COUNT", 2);
        assert_eq!(taken.at(0).at(0).text(), command, "{id}");
        let reply = cmd!(con, "DEVICE.COMMAND.DONE", id, &command, "OK");
        assert_eq!(reply.int(), 1, "{id}");
        assert_eq!(list(&mut con, id).len(), 1, "{id}");
        assert_eq!(cmd!(con, "DEVICE.REMOVE", id).int(), 1);
    }
    assert_eq!(cmd!(con, "KEYS *").texts(), ["devices:events"]);
}

/// It is adopted by its first command, as by any other write.
#[test]
fn a_device_of_the_plain_recipe_gets_commands_too() {
    let server = Server::start();
    let mut con = server.connection();
    let seen = format!("{}.5", now_ms() / 1_000);
    let hash = ["device_id", "d", "device_type", "lamp", "status", "online"];
    let mut command = command("HSET device:state:d");
    con.run(command.arg(&hash[..]).arg("last_seen").arg(seen))
        .int();
    let id = give(&mut con, "d {}");
    assert_eq!(number(&mut con, "d", "version"), 0);
    assert_eq!(cmd!(con, "DEVICE.COUNT TYPE lamp").int(), 1);
    assert_eq!(waiting(&mut con, "d"), 1);
    assert_eq!(take_ids(&mut con, "d"), [id]);
}

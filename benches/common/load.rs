//! Loading a server as fast as it answers: raw bytes, pipelined, every reply checked.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use crate::support::*;

/// The reply to the first heartbeat of a device, and to the next ones.
pub const CAME_ONLINE: &[u8] = b"*5\r\n:1\r\n:1\r\n:0\r\n$-1\r\n:0\r\n";
pub const STAYED_ONLINE: &[u8] = b"*5\r\n:0\r\n:1\r\n:0\r\n$-1\r\n:0\r\n";

/// Bytes per write.
const CHUNK: usize = 1 << 16;

/// Sends what `commands` writes for each number of `range`, over one connection; each must be
/// answered with exactly `reply`.
pub fn pipeline(
    server: &Server,
    range: Range<usize>,
    reply: &[u8],
    commands: impl Fn(usize, &mut Vec<u8>) + Sync,
) {
    let stream = connect(server);
    let mut writer = stream.try_clone().expect("share a connection");
    thread::scope(|scope| {
        let numbers = range.clone();
        let commands = &commands;
        scope.spawn(move || {
            let mut chunk = Vec::with_capacity(2 * CHUNK);
            for number in numbers {
                commands(number, &mut chunk);
                if chunk.len() >= CHUNK {
                    writer.write_all(&chunk).expect("write to the server");
                    chunk.clear();
                }
            }
            writer.write_all(&chunk).expect("write to the server");
        });
        let mut reader = BufReader::with_capacity(CHUNK, stream);
        let mut found = vec![0; reply.len()];
        for number in range {
            let read = reader.read_exact(&mut found);
            let as_text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            if read.is_err() || found != reply {
                panic!(
                    "number {number} was answered {} and not {} ({read:?})\n{}",
                    as_text(&found),
                    as_text(reply),
                    server.log()
                );
            }
        }
    });
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
    stream.set_nodelay(true).expect("set nodelay");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("set the read timeout");
    stream
}

/// Appends one command.
pub fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "*{}\r\n", args.len());
    for arg in args {
        let _ = write!(out, "${}\r\n", arg.len());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Brings devices online that were not known before; `timeout` is that of each, in milliseconds.
pub fn bring_online(
    server: &Server,
    range: Range<usize>,
    id: impl Fn(usize) -> String + Sync,
    timeout: impl Fn(usize) -> u64 + Sync,
) {
    pipeline(server, range, CAME_ONLINE, |number, out| {
        heartbeat(out, &id(number), Some(timeout(number)));
    });
}

/// The same with the server's default timeout.
pub fn bring_online_by_default(
    server: &Server,
    range: Range<usize>,
    id: impl Fn(usize) -> String + Sync,
) {
    pipeline(server, range, CAME_ONLINE, |number, out| {
        heartbeat(out, &id(number), None);
    });
}

/// One heartbeat of each of these devices, which are online; with a timeout, that is theirs then.
pub fn beat(
    server: &Server,
    range: Range<usize>,
    id: impl Fn(usize) -> String + Sync,
    timeout: Option<u64>,
) {
    pipeline(server, range, STAYED_ONLINE, |number, out| {
        heartbeat(out, &id(number), timeout);
    });
}

fn heartbeat(out: &mut Vec<u8>, id: &str, timeout: Option<u64>) {
    let timeout = timeout.map(|ms| ms.to_string());
    let mut words: Vec<&[u8]> = vec![b"DEVICE.HEARTBEAT", id.as_bytes()];
    if let Some(timeout) = &timeout {
        words.extend([b"TIMEOUT".as_slice(), timeout.as_bytes()]);
    }
    command(out, &words);
}

/// Writes the same devices to a server without the module: either exactly the hash and the sets
/// that the module writes, or those of the plain recipe; and the heartbeat key.
pub fn write_plain(
    server: &Server,
    range: Range<usize>,
    id: impl Fn(usize) -> String + Sync,
    form: Form,
) {
    let now = now_ms().to_string();
    let seconds = format!("{:.6}", now_ms() as f64 / 1_000.0);
    let reply = match form {
        Form::LikeOurs => ":8\r\n:1\r\n:1\r\n:1\r\n:1\r\n+OK\r\n",
        Form::PlainRecipe => ":8\r\n:1\r\n:1\r\n:1\r\n+OK\r\n",
    };
    pipeline(server, range, reply.as_bytes(), |number, out| {
        let id = id(number);
        let (state, heartbeat) = (
            format!("device:state:{id}"),
            format!("device:heartbeat:{id}"),
        );
        let mut send = |line: &[&str]| {
            let args: Vec<&[u8]> = line.iter().map(|arg| arg.as_bytes()).collect();
            command(out, &args);
        };
        let (id, state) = (id.as_str(), state.as_str());
        match form {
            Form::LikeOurs => send(&[
                "HSET",
                state,
                "version",
                "0",
                "last_seen",
                &now,
                "status",
                "online",
                "device_id",
                id,
                "device_type",
                "unknown",
                "status_since",
                &now,
                "registered_at",
                &now,
                "timeout",
                "3600000",
            ]),
            Form::PlainRecipe => send(&[
                "HSET",
                state,
                "device_id",
                id,
                "device_type",
                "unknown",
                "status",
                "online",
                "last_seen",
                &seconds,
                "registered_at",
                &seconds,
                "reported_state",
                "{}",
                "desired_state",
                "{}",
                "metadata",
                "{}",
            ]),
        }
        send(&["SADD", "devices:registered", id]);
        send(&["SADD", "devices:online", id]);
        send(&["SADD", "devices:type:unknown", id]);
        if matches!(form, Form::LikeOurs) {
            send(&["SADD", "devices:online:type:unknown", id]);
        }
        send(&["SET", &heartbeat, "1", "PX", "90000000"]);
    });
}

/// See [`write_plain`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    LikeOurs,
    PlainRecipe,
}

/// Whether the two forms of one device still agree, so that a bench compares like with like.
pub fn assert_alike(ours: &Server, plain: &Server, key: &str) {
    let names =
        |server: &Server| -> Vec<String> { cmd!(server.connection(), "HKEYS", key).texts() };
    assert_eq!(
        names(ours),
        names(plain),
        "the fields of {key} changed: mend write_plain"
    );
}

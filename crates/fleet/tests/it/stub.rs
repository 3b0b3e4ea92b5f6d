//! A server that speaks just enough RESP2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>)
//! for the fleet, and remembers what it was told.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use crate::process::{wall_ms, PATIENCE};

/// A command as it came in.
#[derive(Clone, Debug)]
pub struct Command {
    pub args: Vec<String>,
    /// Wall-clock milliseconds.
    pub at_ms: u64,
}

impl Command {
    pub fn name(&self) -> &str {
        &self.args[0]
    }

    pub fn id(&self) -> String {
        self.args[1].clone()
    }

    /// The argument after a keyword.
    pub fn after(&self, keyword: &str) -> Option<&str> {
        let place = self.args.iter().skip(2).position(|arg| arg == keyword)?;
        self.args.get(place + 3).map(String::as_str)
    }

    pub fn is_beat_of(&self, id: &str) -> bool {
        self.name() == "DEVICE.HEARTBEAT" && self.args[1] == id
    }
}

#[derive(Default)]
struct Seen {
    commands: Vec<Command>,
    connections: Vec<TcpStream>,
    refused: Option<(String, String)>,
}

pub struct Stub {
    port: u16,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Stub {
    pub fn start(port: u16) -> Stub {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let shared = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let copy = stream.try_clone().unwrap();
                shared.0.lock().unwrap().connections.push(copy);
                let shared = shared.clone();
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Stub { port, seen }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Answers beats of this device with an error.
    pub fn refuse(&self, id: &str, error: &str) {
        self.seen.0.lock().unwrap().refused = Some((id.into(), error.into()));
    }

    pub fn drop_connections(&self) {
        for connection in self.seen.0.lock().unwrap().connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// What was told until now, in order.
    pub fn commands(&self) -> Vec<Command> {
        self.seen.0.lock().unwrap().commands.clone()
    }

    /// Waits until the commands so far meet a condition.
    pub fn wait(&self, what: &str, condition: impl Fn(&[Command]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        while !condition(&seen.commands) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not seen: {what}, after {} commands",
                seen.commands.len()
            );
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }
}

/// Serves one connection until it ends.
fn serve(stream: TcpStream, shared: &(Mutex<Seen>, Condvar)) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut replies = Vec::new();
    while let Ok(args) = read_command(&mut reader) {
        let command = Command {
            args,
            at_ms: wall_ms(),
        };
        {
            let mut seen = shared.0.lock().unwrap();
            let refused = seen
                .refused
                .as_ref()
                .filter(|(id, _)| command.is_beat_of(id));
            match (refused, command.name()) {
                (Some((_, error)), _) => replies.extend(format!("-{error}\r\n").bytes()),
                (None, "DEVICE.HEARTBEAT") => {
                    replies.extend(b"*5\r\n:1\r\n:1\r\n:7\r\n$-1\r\n:0\r\n")
                }
                (None, "DEVICE.REGISTER" | "DEVICE.OFFLINE") => replies.extend(b":1\r\n"),
                (None, _) => replies.extend(b"+OK\r\n"),
            }
            if command.name().starts_with("DEVICE.") {
                seen.commands.push(command);
            }
        }
        // Answer when the pipeline is read, not in between.
        if reader.buffer().is_empty() {
            shared.1.notify_all();
            if writer.write_all(&replies).is_err() {
                return;
            }
            replies.clear();
        }
    }
}

fn read_command(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let count = read_number(reader, b'*')?;
    let mut args = Vec::with_capacity(count);
    for _ in 0..count {
        let length = read_number(reader, b'$')?;
        let mut bytes = vec![0; length + 2];
        reader.read_exact(&mut bytes)?;
        bytes.truncate(length);
        args.push(String::from_utf8(bytes).map_err(io::Error::other)?);
    }
    Ok(args)
}

/// Reads a line of a mark and a number.
fn read_number(reader: &mut impl BufRead, mark: u8) -> io::Result<usize> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    match text
        .trim_end()
        .strip_prefix(char::from(mark))
        .map(str::parse)
    {
        Some(Ok(number)) => Ok(number),
        _ => Err(io::Error::other(format!("not a command: {text:?}"))),
    }
}

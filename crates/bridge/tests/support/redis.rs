//! A server that speaks just enough RESP, and whose answers to DEVICE commands the test decides.

use super::wait_until;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// A command and its arguments.
pub type Words = Vec<String>;

pub enum Answer {
    Confirm,
    Error(&'static str),
    /// Close the connection instead.
    HangUp,
}

type Rule = Box<dyn FnMut(&[String]) -> Answer + Send>;
type Choice = Box<dyn Fn(&[String]) -> bool + Send>;

struct State {
    /// DEVICE commands that have arrived.
    seen: Vec<Words>,
    /// DEVICE commands that were answered without an error.
    confirmed: Vec<Words>,
    rule: Rule,
    /// Which commands get no answer for now.
    withheld: Choice,
    refusing: bool,
    /// Connections of an older generation are cut.
    generation: usize,
    connections: Vec<TcpStream>,
    /// The names connections gave themselves, by id. None is ever forgotten, as if a server that
    /// was stalled had not noticed their end yet.
    names: BTreeMap<String, String>,
    /// The ids that were killed, each with the number of commands seen before.
    killed: Vec<(String, usize)>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub struct Redis {
    pub port: u16,
    shared: Arc<Shared>,
}

impl Redis {
    pub fn start() -> Redis {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                seen: Vec::new(),
                confirmed: Vec::new(),
                rule: Box::new(|_| Answer::Confirm),
                withheld: Box::new(|_| false),
                refusing: false,
                generation: 0,
                connections: Vec::new(),
                names: BTreeMap::new(),
                killed: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for (id, stream) in listener.incoming().flatten().enumerate() {
                let shared = serving.clone();
                thread::spawn(move || shared.serve(stream, id));
            }
        });
        Redis { port, shared }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Answers every DEVICE command as `rule` says.
    pub fn answer(&self, rule: impl FnMut(&[String]) -> Answer + Send + 'static) {
        self.lock().rule = Box::new(rule);
    }

    /// From now on DEVICE commands are read, but not answered.
    pub fn withhold(&self) {
        self.withhold_those(|_| true);
    }

    /// Only these get no answer from now on.
    pub fn withhold_those(&self, choice: impl Fn(&[String]) -> bool + Send + 'static) {
        self.lock().withheld = Box::new(choice);
        self.shared.changed.notify_all();
    }

    pub fn release(&self) {
        self.withhold_those(|_| false);
    }

    /// Cuts all connections, and each new one, until [`Redis::come_back`].
    pub fn go_away(&self) {
        let mut state = self.lock();
        state.refusing = true;
        state.generation += 1;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    pub fn come_back(&self) {
        self.lock().refusing = false;
    }

    /// Cuts all connections; new ones are served.
    pub fn cut(&self) {
        self.go_away();
        self.come_back();
    }

    pub fn seen(&self) -> usize {
        self.lock().seen.len()
    }

    pub fn confirmed(&self) -> Vec<Words> {
        self.lock().confirmed.clone()
    }

    pub fn killed(&self) -> Vec<(String, usize)> {
        self.lock().killed.clone()
    }

    pub fn forget(&self) {
        let mut state = self.lock();
        state.seen.clear();
        state.confirmed.clear();
    }

    #[track_caller]
    pub fn wait_for_seen(&self, commands: usize) {
        wait_until("redis sees the commands", || self.seen() >= commands);
    }

    #[track_caller]
    pub fn wait_for(&self, device: &str) -> Words {
        let mut found = None;
        wait_until(&format!("a command of {device} is confirmed"), || {
            let state = self.lock();
            found = state.confirmed.iter().find(|w| w[1] == device).cloned();
            found.is_some()
        });
        found.unwrap()
    }

    /// The sequence numbers confirmed for each device, in order.
    pub fn sequences(&self) -> BTreeMap<String, Vec<usize>> {
        let mut sequences: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for words in &self.lock().confirmed {
            if let Some(at) = words.iter().position(|word| word == "SEQ") {
                let seq = words[at + 1].parse().unwrap();
                sequences.entry(words[1].clone()).or_default().push(seq);
            }
        }
        sequences
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream, id: usize) {
        stream.set_nodelay(true).unwrap();
        let mut output = stream.try_clone().unwrap();
        let generation = {
            let mut state = self.state.lock().unwrap();
            if state.refusing {
                return;
            }
            state.connections.push(stream.try_clone().unwrap());
            state.generation
        };
        let mut input = BufReader::new(stream);
        while let Some(words) = read_command(&mut input) {
            let answer = match words[0].to_ascii_uppercase().as_str() {
                "PING" => "+PONG\r\n".to_owned(),
                "CLIENT" => self.client(&words[1..], id),
                name if name.starts_with("DEVICE.") => match self.device(words, generation) {
                    Some(answer) => answer,
                    None => break,
                },
                _ => "+OK\r\n".to_owned(),
            };
            if output.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        let _ = output.shutdown(Shutdown::Both);
    }

    fn client(&self, words: &[String], id: usize) -> String {
        let mut state = self.state.lock().unwrap();
        match words[0].to_ascii_uppercase().as_str() {
            "ID" => return format!(":{id}\r\n"),
            "SETNAME" => {
                state.names.insert(id.to_string(), words[1].clone());
            }
            "LIST" => {
                let id = &words[2];
                let name = state.names.get(id).map_or("", String::as_str);
                let line = format!("id={id} addr=127.0.0.1:1 name={name} age=1\n");
                return format!("${}\r\n{line}\r\n", line.len());
            }
            "KILL" => {
                let seen = state.seen.len();
                state.killed.push((words[2].clone(), seen));
                return ":1\r\n".to_owned();
            }
            _ => {}
        }
        "+OK\r\n".to_owned()
    }

    fn device(&self, words: Words, generation: usize) -> Option<String> {
        let mut state = self.state.lock().unwrap();
        state.seen.push(words.clone());
        while (state.withheld)(&words) && state.generation == generation {
            state = self.changed.wait(state).unwrap();
        }
        if state.generation != generation {
            return None;
        }
        match (state.rule)(&words) {
            Answer::Confirm => {
                let answer = match words[0].as_str() {
                    "DEVICE.OFFLINE" => ":1\r\n",
                    _ => "*5\r\n:0\r\n:1\r\n:1\r\n$-1\r\n:0\r\n",
                };
                state.confirmed.push(words);
                Some(answer.to_owned())
            }
            Answer::Error(text) => Some(format!("-{text}\r\n")),
            Answer::HangUp => None,
        }
    }
}

fn read_command(input: &mut BufReader<TcpStream>) -> Option<Words> {
    let count = read_number(input, '*')?;
    (0..count)
        .map(|_| {
            let length = read_number(input, '$')?;
            let mut bytes = vec![0; length + 2];
            input.read_exact(&mut bytes).ok()?;
            bytes.truncate(length);
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

fn read_number(input: &mut BufReader<TcpStream>, sign: char) -> Option<usize> {
    let mut line = String::new();
    input.read_line(&mut line).ok()?;
    line.strip_prefix(sign)?.trim_end().parse().ok()
}

//! Thin conveniences over `redis::Connection`.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Cmd, Connection, ConnectionLike, PushKind, RedisResult, Value};

use super::resp;
use super::server::Server;

/// `cmd!(con, "DEVICE.HEARTBEAT", id, "TIMEOUT", 200)` sends one command and gives its
/// `RedisResult<Value>`; [`Reply`] reads it. `con` is a `Connection` or a `&mut Connection`. Words
/// of a command's name may stand together: `cmd!(con, "CONFIG SET", "maxmemory", 0)`.
macro_rules! cmd {
    ($con:expr, $name:expr $(, $arg:expr)* $(,)?) => {{
        #[allow(unused_imports)]
        use $crate::support::client::Run as _;
        #[allow(unused_mut)]
        let mut command = $crate::support::client::command($name);
        $(command.arg($arg);)*
        $con.run(&command)
    }};
}
pub(crate) use cmd;

/// A command by its name, which may be of several words.
pub fn command(name: &str) -> Cmd {
    let mut command = Cmd::new();
    for word in name.split(' ') {
        command.arg(word);
    }
    command
}

/// Milliseconds since the Unix epoch, by the clock the server reads too.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970")
        .as_millis() as i64
}

/// Sends a command; what [`cmd!`] is built on.
pub trait Run {
    /// The reply, or the error the server answered.
    fn run(&mut self, command: &Cmd) -> RedisResult<Value>;
}

impl Run for Connection {
    fn run(&mut self, command: &Cmd) -> RedisResult<Value> {
        self.req_command(command).and_then(refused)
    }
}

/// An error reply as an error; one within an array (of EXEC) stays a `Value::ServerError` in it.
fn refused(reply: Value) -> RedisResult<Value> {
    match reply {
        Value::ServerError(error) => Err(error.into()),
        reply => Ok(reply),
    }
}

/// Reads a reply as what the test knows it to be; anything else is a panic that shows the reply.
/// Works on a `Value` and on the `RedisResult<Value>` of [`cmd!`], where an error panics too.
pub trait Reply {
    /// The reply itself.
    fn value(&self) -> &Value;

    /// An integer, also one that came as text.
    #[track_caller]
    fn int(&self) -> i64 {
        match self.value() {
            Value::Int(n) => *n,
            other => match other.text().parse() {
                Ok(n) => n,
                Err(_) => panic!("not an integer: {other:?}"),
            },
        }
    }

    /// A text: bulk or simple string, in UTF-8.
    #[track_caller]
    fn text(&self) -> String {
        match self.value() {
            Value::BulkString(bytes) => match String::from_utf8(bytes.clone()) {
                Ok(text) => text,
                Err(_) => panic!("not UTF-8: {}", bytes.escape_ascii()),
            },
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.clone(),
            Value::Okay => "OK".to_owned(),
            // So that a field that holds a number reads the same in RESP2 and RESP3.
            Value::Int(n) => n.to_string(),
            Value::Double(n) => n.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The bytes of a bulk string.
    #[track_caller]
    fn bytes(&self) -> Vec<u8> {
        match self.value() {
            Value::BulkString(bytes) => bytes.clone(),
            other => panic!("not a bulk string: {other:?}"),
        }
    }

    /// Whether the reply is null.
    #[track_caller]
    fn is_nil(&self) -> bool {
        matches!(self.value(), Value::Nil)
    }

    /// The elements of an array or set.
    #[track_caller]
    fn items(&self) -> Vec<Value> {
        match self.value() {
            Value::Array(items) | Value::Set(items) => items.clone(),
            other => panic!("not an array: {other:?}"),
        }
    }

    /// The element at `index` of an array.
    #[track_caller]
    fn at(&self, index: usize) -> Value {
        match self.items().get(index) {
            Some(item) => item.clone(),
            None => panic!("no element {index} in {:?}", self.value()),
        }
    }

    /// The elements of an array of texts.
    #[track_caller]
    fn texts(&self) -> Vec<String> {
        self.items().iter().map(Reply::text).collect()
    }

    /// The elements of an array of texts, sorted: for sets and pages without an order.
    #[track_caller]
    fn sorted(&self) -> Vec<String> {
        let mut texts = self.texts();
        texts.sort();
        texts
    }

    /// A map, however it came: RESP3 map, or flat array of names and values. A name that comes
    /// twice is a panic.
    #[track_caller]
    fn fields(&self) -> BTreeMap<String, Value> {
        let pairs: Vec<(Value, Value)> = match self.value() {
            Value::Map(pairs) => pairs.clone(),
            Value::Array(flat) if flat.len() % 2 == 0 => flat
                .chunks(2)
                .map(|pair| (pair[0].clone(), pair[1].clone()))
                .collect(),
            other => panic!("not a map: {other:?}"),
        };
        let mut map = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.text();
            assert!(
                !map.contains_key(&name),
                "{name:?} comes twice in {:?}",
                self.value()
            );
            map.insert(name, value);
        }
        map
    }

    /// A map of texts.
    #[track_caller]
    fn text_fields(&self) -> BTreeMap<String, String> {
        self.fields()
            .into_iter()
            .map(|(name, value)| (name, value.text()))
            .collect()
    }

    /// The JSON document in a text.
    #[track_caller]
    fn json(&self) -> serde_json::Value {
        let text = self.text();
        match serde_json::from_str(&text) {
            Ok(json) => json,
            Err(error) => panic!("not JSON ({error}): {text}"),
        }
    }
}

impl Reply for Value {
    fn value(&self) -> &Value {
        self
    }
}

impl Reply for RedisResult<Value> {
    #[track_caller]
    fn value(&self) -> &Value {
        match self {
            Ok(value) => value,
            Err(error) => panic!("the server refused: {error}"),
        }
    }
}

/// Sends the command and asserts that it is refused with the error code `code` and a text that
/// contains `contains`. Gives the whole text (`CODE text`) for further looks. An error that is not
/// UTF-8 fails too: no client library could show it.
#[track_caller]
pub fn expect_error<A: AsRef<[u8]>>(
    con: &mut Connection,
    args: &[A],
    code: &str,
    contains: &str,
) -> String {
    let mut command = Cmd::new();
    let mut shown = String::new();
    for arg in args {
        command.arg(arg.as_ref());
        shown.push_str(&format!(" {}", arg.as_ref().escape_ascii()));
    }
    match con.run(&command) {
        Ok(reply) => panic!("{shown} was not refused but answered {reply:?}"),
        Err(error) => {
            let found = error.code().unwrap_or("(no error of the server)");
            let detail = error.detail().unwrap_or("");
            let whole = format!("{found} {detail}");
            assert!(
                found == code && detail.contains(contains),
                "{shown} was refused with\n  {whole}\nnot with\n  {code} ...{contains}..."
            );
            whole
        }
    }
}

/// A connection that sends any bytes and shows exactly what came back.
pub struct Raw {
    reader: BufReader<TcpStream>,
}

impl Raw {
    /// A fresh connection in RESP2, without any greeting.
    pub fn connect(server: &Server) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("connect");
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("set the read timeout");
        stream.set_nodelay(true).expect("set nodelay");
        let mut raw = Raw {
            reader: BufReader::with_capacity(1 << 16, stream),
        };
        if let Some(password) = server.password() {
            assert_eq!(raw.call(&["AUTH", password]), b"+OK\r\n");
        }
        raw
    }

    /// Writes the bytes as they are: half a command, an inline command, no command at all.
    pub fn send(&mut self, bytes: &[u8]) {
        self.reader
            .get_mut()
            .write_all(bytes)
            .expect("write to the server");
    }

    /// Sends one command without reading its reply.
    pub fn send_args<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.send(&resp::encode(args));
    }

    /// The bytes of the next reply.
    pub fn read(&mut self) -> Vec<u8> {
        resp::read_reply(&mut self.reader).expect("read a reply")
    }

    /// Sends one command and gives the bytes of its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        self.send_args(args);
        self.read()
    }

    /// Sends one command and gives its reply, or its error.
    pub fn value<A: AsRef<[u8]>>(&mut self, args: &[A]) -> RedisResult<Value> {
        redis::parse_redis_value(&self.call(args)).and_then(refused)
    }

    /// The keys that the server has told this client, which caches them in RESP3, to be no longer
    /// valid, up to now. Since 7.2 servers remember what a module reads with calls for the client, too,
    /// so `device:state:d` may come beside `d`.
    pub fn invalidated(&mut self) -> Vec<String> {
        self.send_args(&["PING"]);
        let mut keys = Vec::new();
        loop {
            match redis::parse_redis_value(&self.read()).expect("a reply") {
                Value::Push {
                    kind: PushKind::Invalidate,
                    data,
                } => {
                    keys.extend(data.iter().flat_map(Reply::texts));
                }
                other => {
                    assert_eq!(other.text(), "PONG");
                    return keys;
                }
            }
        }
    }

    /// The stream below, for instance to shut it down or to set another timeout.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

//! A real server of its own for each test.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use tempfile::TempDir;

use super::client::{cmd, Reply};
use super::module::module;
use super::ports::free_port;
use super::processes::{signal, tail};
use super::wait::wait_for;

/// How long a server may take to get ready or to end.
const LIMIT: Duration = Duration::from_secs(30);

/// What every test server is set to; a test's own `config` comes later and wins.
const DEFAULTS: &[(&str, &str)] = &[
    ("bind", "127.0.0.1"),
    ("daemonize", "no"),
    ("save", ""),
    ("appendonly", "no"),
    ("notify-keyspace-events", "Exd"),
    ("hash-max-listpack-value", "4096"),
    ("stream-node-max-bytes", "512"),
    ("enable-debug-command", "yes"),
    ("enable-module-command", "yes"),
    // A subscriber of a test must not be cut off when a whole fleet dies at once.
    ("client-output-buffer-limit", "pubsub 0 0 0"),
    // A replica need not wait for company.
    ("repl-diskless-sync-delay", "0"),
];

/// The program of the servers under test.
pub fn program() -> String {
    let program = env::var("DEVICESTATE_TEST_SERVER");
    program.unwrap_or_else(|_| "redis-server".to_owned())
}

/// What a server is to be started with.
pub struct Builder {
    program: String,
    config: Vec<(String, String)>,
    with_module: bool,
    module_args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Builder {
    /// A line of redis.conf, written as it would stand there: `config("save", "60 1")`. An empty
    /// value becomes `""`. A module setting is `config("devicestate.heartbeat-timeout", "200")`.
    pub fn config(mut self, name: &str, value: impl ToString) -> Builder {
        self.config.push((name.to_owned(), value.to_string()));
        self
    }

    /// An argument of `loadmodule`: `module_arg("key-prefix", "sc:")`.
    pub fn module_arg(mut self, name: &str, value: impl ToString) -> Builder {
        self.module_args.push(name.to_owned());
        self.module_args.push(value.to_string());
        self
    }

    /// Another program than the one under test.
    pub fn program(mut self, program: impl Into<String>) -> Builder {
        self.program = program.into();
        self
    }

    /// A variable of the environment in which it runs.
    pub fn env(mut self, name: &str, value: impl ToString) -> Builder {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// A plain server, as it would be without devicestate.
    pub fn without_module(mut self) -> Builder {
        self.with_module = false;
        self
    }

    /// Starts the server and waits until it answers; panics with the end of its log otherwise.
    #[track_caller]
    pub fn start(self) -> Server {
        match self.try_start() {
            Ok(server) => server,
            Err(log) => panic!("the server does not start:\n{}", tail(&log, 60)),
        }
    }

    /// Starts the server; where it refuses to run, its log tells why: for settings that must be
    /// refused.
    #[track_caller]
    pub fn try_start(self) -> Result<Server, String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let password = self
            .config
            .iter()
            .rev()
            .find(|(name, _)| name == "requirepass");
        let mut server = Server {
            password: password.map(|(_, value)| value.clone()),
            builder: self,
            child: None,
            status: None,
            port: 0,
            dir,
        };
        for _ in 0..10 {
            server.port = free_port();
            match server.launch() {
                Launch::Ready => return Ok(server),
                Launch::PortTaken => {}
                Launch::Ended => return Err(server.log()),
            }
        }
        panic!("the server found no port it could listen on");
    }
}

/// A running server. It is killed, by its own handle, when the test lets go of it.
pub struct Server {
    builder: Builder,
    child: Option<Child>,
    status: Option<ExitStatus>,
    port: u16,
    password: Option<String>,
    dir: TempDir,
}

/// How a start went.
enum Launch {
    Ready,
    PortTaken,
    Ended,
}

impl Server {
    /// A server with the module and the default settings, settled: from here on nothing but what
    /// the test does changes anything.
    #[track_caller]
    pub fn start() -> Server {
        let server = Server::builder().start();
        server.settle();
        server
    }

    /// Waits until the module hears its devices and the check that follows a load is over.
    #[track_caller]
    pub fn settle(&self) {
        let mut con = self.connection();
        wait_for("the module hears and has checked", LIMIT, || {
            let info = cmd!(con, "INFO", "devicestate").text();
            let says = |line: &str| info.lines().any(|found| found == line);
            says("devicestate_hearing:yes") && says("devicestate_checking:no")
        });
    }

    /// To be configured, then `.start()`ed.
    #[track_caller]
    pub fn builder() -> Builder {
        Builder {
            program: program(),
            config: Vec::new(),
            with_module: true,
            module_args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// A new connection in RESP2. An answer that takes over a minute is an error.
    #[track_caller]
    pub fn connection(&self) -> Connection {
        self.connect(ProtocolVersion::RESP2, 0)
    }

    /// A new connection in RESP3.
    #[track_caller]
    pub fn connection_resp3(&self) -> Connection {
        self.connect(ProtocolVersion::RESP3, 0)
    }

    /// A new connection in RESP2 to database `db`.
    #[track_caller]
    pub fn connection_to_db(&self, db: i64) -> Connection {
        self.connect(ProtocolVersion::RESP2, db)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>`, for programs that take an address.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// The password it was configured with.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The id of the process.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a server that runs").id()
    }

    /// The server's folder: redis.conf, its log, its data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The log so far, of all its starts, and what it printed outside the log.
    pub fn log(&self) -> String {
        let read = |name| fs::read(self.dir.path().join(name)).unwrap_or_default();
        let (log, printed) = (read("server.log"), read("server.out"));
        format!(
            "{}{}",
            String::from_utf8_lossy(&log),
            String::from_utf8_lossy(&printed)
        )
    }

    /// Whether it was started and nobody killed it since.
    pub fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// Whether the process runs (also when it is stopped by [`Server::stop`]).
    pub fn is_alive(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            match child.try_wait().expect("ask for the status of a child") {
                None => return true,
                Some(status) => self.ended(status),
            }
        }
        false
    }

    /// How the last process ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        match self.is_alive() {
            true => None,
            false => self.status,
        }
    }

    /// Kills the server as a crash would (SIGKILL).
    pub fn kill_hard(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill a child");
            self.status = Some(child.wait().expect("wait for a child"));
        }
    }

    /// Shuts the server down as an operator would (SIGTERM) and waits until it is gone.
    #[track_caller]
    pub fn terminate(&mut self) {
        if self.is_alive() {
            signal(self.pid(), "TERM");
            wait_for("the server ends after SIGTERM", LIMIT, || !self.is_alive());
        }
    }

    /// Starts the server again, in the same folder and on the same port; ends it first if it runs.
    #[track_caller]
    pub fn restart(&mut self) {
        self.terminate();
        match self.launch() {
            Launch::Ready => {}
            _ => panic!(
                "the server does not start again:\n{}",
                tail(&self.log(), 60)
            ),
        }
    }

    /// Starts a server that was killed again, with these words behind its configuration file, and does
    /// not wait for it: to meet it while it loads.
    #[track_caller]
    pub fn begin(&mut self, words: &[&str]) {
        assert!(self.child.is_none(), "it runs");
        self.spawn(words);
    }

    /// Freezes the process (SIGSTOP).
    pub fn stop(&self) {
        signal(self.pid(), "STOP");
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn cont(&self) {
        signal(self.pid(), "CONT");
    }

    fn ended(&mut self, status: ExitStatus) {
        self.child = None;
        self.status = Some(status);
    }

    fn connection_info(&self, protocol: ProtocolVersion, db: i64) -> ConnectionInfo {
        // Without the library's own CLIENT SETINFO: older servers count it as an error.
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(protocol)
            .set_db(db)
            .set_skip_set_lib_name();
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let address = ("127.0.0.1", self.port)
            .into_connection_info()
            .expect("an address");
        address.set_redis_settings(settings)
    }

    fn try_connect(&self, protocol: ProtocolVersion, db: i64) -> redis::RedisResult<Connection> {
        let client = redis::Client::open(self.connection_info(protocol, db))?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(10))?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(connection)
    }

    #[track_caller]
    fn connect(&self, protocol: ProtocolVersion, db: i64) -> Connection {
        match self.try_connect(protocol, db) {
            Ok(connection) => connection,
            Err(error) => panic!("no connection: {error}\n{}", tail(&self.log(), 40)),
        }
    }

    /// Writes redis.conf and starts the process.
    #[track_caller]
    fn spawn(&mut self, words: &[&str]) {
        let conf = self.dir.path().join("redis.conf");
        fs::write(&conf, self.conf()).expect("write redis.conf");
        let printed = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("server.out"))
            .expect("open server.out");
        let program = &self.builder.program;
        let started = Command::new(program)
            .arg(&conf)
            .args(words)
            .envs(self.builder.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(printed.try_clone().expect("share server.out"))
            .stderr(printed)
            .spawn();
        match started {
            Ok(child) => self.child = Some(child),
            Err(error) => panic!("{program} does not start: {error}"),
        }
    }

    /// Starts the process and waits until it answers.
    #[track_caller]
    fn launch(&mut self) -> Launch {
        // Each start has its own log in the file, so an earlier failure is not read again.
        let before = self.log().len();
        self.spawn(&[]);
        let start = Instant::now();
        loop {
            if self.answers() {
                return Launch::Ready;
            }
            if !self.is_alive() {
                let log = self.log();
                let taken = log[before.min(log.len())..].contains("Address already in use");
                return if taken {
                    Launch::PortTaken
                } else {
                    Launch::Ended
                };
            }
            if start.elapsed() > LIMIT {
                let log = self.log();
                self.kill_hard();
                panic!(
                    "the server does not answer after {LIMIT:?}:\n{}",
                    tail(&log, 60)
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether this very server (and no other that got the port first) answers, loading done.
    fn answers(&self) -> bool {
        let Ok(mut con) = self.try_connect(ProtocolVersion::RESP2, 0) else {
            return false;
        };
        if cmd!(con, "PING").is_err() {
            return false;
        }
        match cmd!(con, "CONFIG GET", "logfile") {
            Ok(reply) => reply.fields()["logfile"].text() == self.log_path(),
            Err(_) => false,
        }
    }

    fn log_path(&self) -> String {
        self.dir.path().join("server.log").display().to_string()
    }

    /// The text of redis.conf.
    fn conf(&self) -> String {
        let mut lines = vec![
            format!("port {}", self.port),
            format!("dir {}", self.dir.path().display()),
            format!("logfile {}", self.log_path()),
        ];
        let defaults = DEFAULTS.iter().map(|(name, value)| (*name, *value));
        let own = self
            .builder
            .config
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.chain(own) {
            lines.push(format!(
                "{name} {}",
                if value.is_empty() { "\"\"" } else { value }
            ));
        }
        if self.builder.with_module {
            let mut line = format!("loadmodule {}", module().display());
            for arg in &self.builder.module_args {
                let arg = arg.replace('\\', r"\\").replace('"', "\\\"");
                line.push_str(&format!(" \"{arg}\""));
            }
            lines.push(line);
        }
        lines.join("\n") + "\n"
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_hard();
        let log = self.log();
        let crashed = log.contains("BUG REPORT START");
        if thread::panicking() || crashed {
            eprintln!("--- the last of the server's log:\n{}", tail(&log, 60));
        }
        // A test that looked away must not pass over it.
        assert!(
            thread::panicking() || !crashed,
            "the server crashed during the test"
        );
    }
}

//! A real server with the module, on a port of its own, that can be stopped, killed and frozen. What
//! it was told is on disk: it is there again after [`Server::resume`].

use super::{free_port, start, terminate};
use redis::{Client, Connection, RedisResult, Value};
use std::env;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use tempfile::TempDir;

pub struct Server {
    pub port: u16,
    folder: TempDir,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// With lines of redis.conf of its own, such as `devicestate.heartbeat-timeout 500`.
    pub fn start_with(lines: &[&str]) -> Server {
        let mut server = Server {
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            process: None,
        };
        let own = lines.join("\n");
        let settings = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nlogfile server.log\nsave \"\"\nappendonly yes\n\
             stream-node-max-bytes 512\nhash-max-listpack-value 4096\n\
             enable-debug-command yes\nloadmodule {}\n{own}\n",
            server.port,
            server.folder.path().display(),
            module().display(),
        );
        std::fs::write(server.folder.path().join("redis.conf"), settings).unwrap();
        server.resume();
        server
    }

    /// Starts a server that was stopped or killed, with what it had.
    pub fn resume(&mut self) {
        let program = env::var("DEVICESTATE_TEST_SERVER");
        let mut server = Command::new(program.as_deref().unwrap_or("redis-server"));
        server.arg(self.folder.path().join("redis.conf"));
        let is_up = || matches!(self.ask(&["PING"]), Ok(Value::SimpleString(_)));
        self.process = Some(start(&mut server, is_up));
    }

    /// SIGTERM.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            terminate(&process);
            process.wait().unwrap();
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Stops all its work, until [`Server::thaw`].
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command, whose answer must not be an error.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Value {
        self.ask(words)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The answer of a command as `T`.
    #[track_caller]
    pub fn query<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let answer = self.command(words);
        redis::from_redis_value(answer).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Runs a command, on a connection of its own.
    pub fn ask(&self, words: &[&str]) -> RedisResult<Value> {
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command.query(&mut self.connection()?)
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    pub fn connection(&self) -> RedisResult<Connection> {
        let connection =
            Client::open(self.url())?.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(connection)
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server wrote:\n{}", self.log());
        }
        self.kill();
    }
}

/// `libdevicestate.so` of the build profile of this test, or else the one for release.
fn module() -> PathBuf {
    if let Ok(module) = env::var("DEVICESTATE_TEST_MODULE") {
        return module.into();
    }
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let folders = [profile, &profile.join("../release")];
    let found = folders
        .iter()
        .map(|folder| folder.join("libdevicestate.so"))
        .find(|file| file.is_file());
    found.expect("the module must be built: cargo build --release")
}

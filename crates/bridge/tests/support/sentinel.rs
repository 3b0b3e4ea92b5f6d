//! A Sentinel that watches a master of the test's own.

use super::{free_port, wait_until};
use redis::{Client, RedisResult};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub const MASTER: &str = "fleet";

pub struct Sentinel {
    pub port: u16,
    process: Child,
    _folder: TempDir,
}

impl Sentinel {
    /// One that decides alone, and soon.
    pub fn start(master: u16) -> Sentinel {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nlogfile sentinel.log\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 3000\n",
            folder.path().display()
        );
        std::fs::write(&file, settings).unwrap();
        let process = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed");
        let sentinel = Sentinel {
            port,
            process,
            _folder: folder,
        };
        wait_until("the Sentinel knows the replica", || {
            sentinel
                .ask::<Vec<Vec<String>>>(&["REPLICAS", MASTER])
                .is_ok_and(|replicas| replicas.len() == 1)
        });
        sentinel
    }

    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{MASTER}", self.port)
    }

    /// `SENTINEL ...`
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let mut command = redis::cmd("SENTINEL");
        for word in words {
            command.arg(word);
        }
        command.query(&mut connection)
    }

    /// The port of the master, as far as the Sentinel knows.
    pub fn master(&self) -> u16 {
        let (_, port): (String, String) = self
            .ask(&["GET-MASTER-ADDR-BY-NAME", MASTER])
            .expect("the Sentinel answers");
        port.parse().unwrap()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

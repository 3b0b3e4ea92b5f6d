//! Q24: workers that are killed at any moment. Each is a process of its own, which is this test
//! program again.

use std::collections::{HashMap, HashSet};
use std::env;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::Commands;

use super::*;

/// What tells a process that it is a worker: where the server is.
const WORKER: &str = "DEVICESTATE_TEST_WORKER";
const MAX: i64 = 10;
/// Every so manieth message can't be handled.
const POISON: usize = 500;

#[test]
fn workers_are_killed_and_no_message_is_lost() {
    killing(3_000, 8, 60);
}

#[test]
fn slow_50_workers_are_killed_over_100_000_messages_and_none_is_lost() {
    killing(100_000, 50, 400);
}

/// Not a test: what [`killing`] starts as a process. Takes messages, notes that it saw them, and says
/// that they are done.
#[test]
#[ignore = "a worker: the tests beside it start it as a process"]
fn worker() {
    let Ok(url) = env::var(WORKER) else {
        panic!("{WORKER} does not say where the server is");
    };
    let mut con = redis::Client::open(url).unwrap().get_connection().unwrap();
    let name = format!("w{}", std::process::id());
    loop {
        let words = format!("q {name} COUNT 20 LEASE 400 MAX {MAX} BLOCK 1s");
        let got = take(&mut con, &words);
        let mut done = redis::cmd("QUEUE.ACK");
        done.arg("q");
        for got in &got {
            let _: () = con.sadd("seen", &got.body).unwrap();
            if got.body.starts_with("poison") {
                let _: i64 = con.hincr("failed", &got.body, 1).unwrap();
                number_of(&mut con, &format!("NACK q {name} {}", got.id));
            } else {
                done.arg(&got.id);
            }
        }
        if done.args_iter().count() > 2 {
            done.query::<i64>(&mut con).unwrap();
        }
    }
}

/// Workers as processes; they end with it.
struct Crowd {
    url: String,
    workers: Vec<Child>,
}

impl Crowd {
    fn start(server: &Server, count: usize) -> Crowd {
        let mut crowd = Crowd {
            url: server.url(),
            workers: Vec::new(),
        };
        for _ in 0..count {
            let worker = crowd.spawn();
            crowd.workers.push(worker);
        }
        crowd
    }

    fn spawn(&self) -> Child {
        Command::new(env::current_exe().expect("this program"))
            .args([
                "--exact",
                "queue::crowds::worker",
                "--ignored",
                "--nocapture",
            ])
            .env(WORKER, &self.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a worker")
    }

    /// Kills one (SIGKILL) and starts another.
    fn replace(&mut self, which: usize) {
        let worker = self.spawn();
        let mut old = std::mem::replace(&mut self.workers[which], worker);
        old.kill().expect("kill a child");
        old.wait().expect("wait for a child");
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

fn killing(messages: usize, workers: usize, kills: usize) {
    let server = Server::start();
    let mut con = server.connection();
    let name = |n: usize| match n % POISON {
        0 => format!("poison {n}"),
        _ => format!("good {n}"),
    };
    let mut crowd = Crowd::start(&server, workers);
    let mut random = 88_172_645_463_325_252_u64;
    let mut killed = 0;
    // A part of the messages, a kill, the next part: kills are spread over the whole run.
    let part = messages.div_ceil(kills);
    for first in (0..messages).step_by(part) {
        let mut pipe = redis::pipe();
        for n in first..(first + part).min(messages) {
            pipe.cmd("QUEUE.ADD").arg("q").arg(name(n)).ignore();
        }
        pipe.query::<()>(&mut con).expect("messages");
        // They are at it: some of this part has been handed out.
        wait_for("the workers keep up", Duration::from_secs(60), || {
            stat(&mut con, "q")[0] < (part / 2).max(1) as i64
        });
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        crowd.replace((random % workers as u64) as usize);
        killed += 1;
    }
    assert!(killed >= kills * 9 / 10, "only {killed} were killed");
    wait_for(
        "all messages are done or dead",
        Duration::from_secs(120),
        || stat(&mut con, "q")[..3] == [0, 0, 0],
    );
    drop(crowd);

    let seen: HashSet<String> = con.smembers("seen").expect("what was seen");
    let expected: HashSet<String> = (0..messages).map(name).collect();
    assert_eq!(seen.len(), messages, "some were never seen");
    assert_eq!(seen, expected);
    // Dead are those that failed, after exactly so many deliveries.
    let failed: HashMap<String, i64> = con.hgetall("failed").expect("what failed");
    let dead = dead(&mut con, "q");
    let mut buried = HashSet::new();
    for (id, deliveries) in &dead {
        let entry = cmd!(con, "XRANGE", "q", id, id).at(0);
        let body = entry.at(1).text_fields()["b"].clone();
        assert!(body.starts_with("poison"), "{body} is dead");
        assert_eq!(*deliveries, MAX, "{body}");
        assert!((1..=MAX).contains(&failed[&body]), "{body}: {failed:?}");
        buried.insert(body);
    }
    let poison: HashSet<String> = (0..messages).step_by(POISON).map(name).collect();
    assert_eq!(buried, poison);
    for (id, _) in &dead {
        assert_eq!(number_of(&mut con, &format!("ACK q {id}")), 1);
    }
    assert_eq!(cmd!(con, "XLEN q").int(), 0);
    assert!(info_number(&mut con, "queue_redelivered") > 0);
}

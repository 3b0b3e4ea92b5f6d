//! Queues in transactions and scripts, from many clients at once, and what WATCH sees of them.

use std::collections::HashSet;
use std::sync::Barrier;
use std::thread;

use super::*;

#[test]
fn a_message_goes_its_way_in_a_transaction_and_in_a_script() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "MULTI").text();
    for line in [
        "ADD q A",
        "ADD q B DELAY 1h",
        "GET q w COUNT 5",
        "STAT q",
        "GET q w COUNT x",
    ] {
        assert_eq!(try_queue(&mut con, line).text(), "QUEUED");
    }
    let replies = cmd!(con, "EXEC").items();
    assert_eq!(read(&replies[2]).len(), 1);
    assert_eq!(replies[3].fields()["leased"].int(), 1);
    assert!(matches!(replies[4], Value::ServerError(_)));

    let script = "local id = redis.call('QUEUE.ADD', KEYS[1], 'S', 'ATTR', 'n', 'v')
                  local got = redis.call('QUEUE.GET', KEYS[1], 'w')
                  local held = redis.call('QUEUE.TOUCH', KEYS[1], 'w', '1m', id)
                  local bad = redis.pcall('QUEUE.ACK', KEYS[1], 'x')
                  return {id, got[1][1], got[1][3], held, redis.call('QUEUE.ACK', KEYS[1], id), bad.err}";
    let reply = cmd!(con, "EVAL", script, 1, "q");
    assert_eq!(reply.at(0).text(), reply.at(1).text());
    assert_eq!(reply.at(2).texts(), ["n", "v"]);
    assert_eq!((reply.at(3).int(), reply.at(4).int()), (1, 1));
    assert!(reply.at(5).text().contains("id: 'x'"));
    for (call, is_allowed) in [
        ("STAT", true),
        ("PENDING", true),
        ("GET", false),
        ("ADD", false),
    ] {
        let script = format!("return redis.call('QUEUE.{call}', KEYS[1], unpack(ARGV))");
        let reply = match call {
            "GET" | "ADD" => cmd!(con, "EVAL_RO", script, 1, "q", "w"),
            _ => cmd!(con, "EVAL_RO", script, 1, "q"),
        };
        assert_eq!(reply.is_ok(), is_allowed, "{call}");
    }
}

#[test]
fn watch_sees_every_change() {
    let server = Server::start();
    let (mut con, mut other) = (server.connection(), server.connection());
    let first = add(&mut other, "q", "A", "");
    let mut changed = |line: &str| {
        cmd!(con, "WATCH q").text();
        try_queue(&mut other, line).unwrap();
        cmd!(con, "MULTI").text();
        cmd!(con, "PING").text();
        cmd!(con, "EXEC").is_nil()
    };
    assert!(changed("ADD q B"));
    assert!(changed("GET q w"));
    assert!(changed(&format!("TOUCH q w 1h {first}")));
    assert!(changed(&format!("NACK q w {first} DEAD")));
    assert!(changed(&format!("KICK q {first}")));
    assert!(changed(&format!("ACK q {first}")));
    for line in ["STAT q", "PENDING q", "ACK q 1-1", "NACK q w 1-1"] {
        assert!(!changed(line), "{line}");
    }
    assert!(changed("GET q w"));
    assert!(!changed("GET q w"));
}

#[test]
fn twenty_workers_at_once_get_each_message_once() {
    const WORKERS: usize = 20;
    const MESSAGES: usize = 4_000;
    let server = Server::start();
    let barrier = Barrier::new(WORKERS + 1);
    let worker = |n: usize| {
        let mut con = server.connection();
        barrier.wait();
        let mut mine = Vec::new();
        loop {
            let got = take(&mut con, &format!("q w{n} COUNT 7 BLOCK 500"));
            if got.is_empty() && cmd!(con, "EXISTS over").int() == 1 {
                return mine;
            }
            for got in got {
                assert_eq!(got.deliveries, 1);
                assert_eq!(number_of(&mut con, &format!("ACK q {}", got.id)), 1);
                mine.push(got.body);
            }
        }
    };
    let all: Vec<String> = thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (0..WORKERS)
            .map(|n| scope.spawn(move || worker(n)))
            .collect();
        let mut con = server.connection();
        barrier.wait();
        for n in 0..MESSAGES {
            add(
                &mut con,
                "q",
                &n.to_string(),
                if n % 10 == 0 { "DELAY 20" } else { "" },
            );
        }
        wait_for("all are done", SOON, || cmd!(con, "XLEN q").int() == 0);
        cmd!(con, "SET over 1").text();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });
    assert_eq!(all.len(), MESSAGES);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), MESSAGES);
}

/// Among many, INFLIGHT 1 means one.
#[test]
fn many_workers_keep_the_order() {
    const MESSAGES: i64 = 500;
    let server = Server::start();
    let mut con = server.connection();
    for n in 0..MESSAGES {
        add(&mut con, "q", &n.to_string(), "");
    }
    thread::scope(|scope| {
        for n in 0..8 {
            let mut con = server.connection();
            scope.spawn(move || loop {
                let got = take(&mut con, &format!("q w{n} COUNT 3 INFLIGHT 1 BLOCK 300"));
                let Some(got) = got.first() else {
                    return;
                };
                cmd!(con, "RPUSH", "done", &got.body).int();
                if got.body.ends_with('3') && got.deliveries == 1 {
                    // Failed: it comes again before the next one.
                    assert_eq!(number_of(&mut con, &format!("NACK q w{n} {}", got.id)), 1);
                } else {
                    assert_eq!(number_of(&mut con, &format!("ACK q {}", got.id)), 1);
                }
            });
        }
    });
    let mut done = cmd!(con, "LRANGE done 0 -1").texts();
    done.dedup();
    let expected: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
    assert_eq!(done, expected);
}

//! What is remembered keeps a command from walking over what it need not see.

use super::*;

/// Calls of a command and their microseconds since the statistics were reset.
fn calls(con: &mut Connection, name: &str) -> (u64, u64) {
    let stats = cmd!(con, "INFO commandstats").text();
    let start = format!("cmdstat_{name}:calls=");
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(start.as_str()));
    let numbers = line.map(|line| {
        let (calls, rest) = line.split_once(",usec=").expect("microseconds");
        let usec = rest.split(',').next().unwrap_or_default();
        (calls.parse().unwrap(), usec.parse().unwrap())
    });
    numbers.unwrap_or((0, 0))
}

fn fill(server: &Server, messages: usize) {
    let mut con = server.connection();
    for _ in 0..messages / 10_000 {
        let mut pipe = redis::pipe();
        for n in 0..10_000 {
            pipe.cmd("QUEUE.ADD").arg("q").arg(n).ignore();
        }
        pipe.query::<()>(&mut con).expect("messages");
    }
}

#[test]
fn a_get_does_not_walk_over_100_000_leases() {
    const MESSAGES: usize = 100_000;
    let server = Server::start();
    let mut con = server.connection();
    fill(&server, MESSAGES);
    for _ in 0..MESSAGES / 10_000 {
        cmd!(con, "QUEUE.GET q w COUNT 10000 LEASE 1h").items();
    }
    assert_eq!(stat(&mut con, "q"), [0, 0, MESSAGES as i64, 0]);
    let last = cmd!(con, "XREVRANGE q + - COUNT 1").at(0).at(0).text();
    cmd!(con, "CONFIG RESETSTAT").text();
    for _ in 0..1_000 {
        assert_eq!(get(&mut con, "q w2"), []);
    }
    assert_eq!(calls(&mut con, "xpending").0, 0);
    let (gets, usec) = calls(&mut con, "queue.get");
    assert!(
        usec / gets < 100,
        "{} us for a GET that finds nothing",
        usec / gets
    );
    // One of them comes back: it is found without a walk too.
    assert_eq!(cmd!(con, "QUEUE.NACK", "q", "w", &last).int(), 1);
    assert_eq!(take(&mut con, "q w2")[0].id, last);
    assert_eq!(calls(&mut con, "xpending").0, 2);
    // Other hands: one walk, then it is known again.
    forget(&mut con, "q");
    cmd!(con, "CONFIG RESETSTAT").text();
    for _ in 0..10 {
        assert_eq!(get(&mut con, "q w2"), []);
    }
    let walk = calls(&mut con, "xpending").0;
    assert!(
        (100..=110).contains(&walk),
        "{walk} pages of the pending list"
    );
}

#[test]
fn many_expired_messages_do_not_hold_up_the_server_and_are_dropped_at_last() {
    let server = Server::start();
    let mut con = server.connection();
    let mut pipe = redis::pipe();
    for n in 0..25_000 {
        pipe.cmd("QUEUE.ADD")
            .arg("q")
            .arg(n)
            .arg("TTL")
            .arg(1)
            .ignore();
    }
    pipe.query::<()>(&mut con).expect("messages");
    wait_for_the_clock();
    add(&mut con, "q", "good", "");
    // A look is bounded; a client that waits is served all the same.
    assert_eq!(get(&mut con, "q w"), []);
    assert_eq!(cmd!(con, "XLEN q").int(), 15_001);
    assert_eq!(get(&mut con, "q w BLOCK 0"), bodies(&[("good", 1)]));
    assert_eq!(cmd!(con, "XLEN q").int(), 1);
    assert_eq!(info_number(&mut con, "queue_expired"), 25_000);
}

#[test]
fn a_full_queue_makes_room_of_what_expired() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    add(con, "q", "stays", "");
    for body in ["leased", "dead", "waits", "put off"] {
        add(con, "q", body, "TTL 200");
    }
    let until = now_ms() + 200;
    let got = take(con, "q w COUNT 5 LEASE 1h");
    assert_eq!(got.len(), 5);
    number_of(con, &format!("NACK q w {} DEAD", got[2].id));
    number_of(
        con,
        &format!("NACK q w {} {} DELAY 1h", got[3].id, got[4].id),
    );
    let full = ["QUEUE.ADD", "q", "new", "MAXLEN", "5"];
    expect_refusal(con, &full, "QUEUEFULL", "");
    wait_for("they expire", SOON, || now_ms() >= until);
    // More are in the way than expired: nothing changes.
    expect_refusal(
        con,
        &["QUEUE.ADD", "q", "new", "MAXLEN", "3"],
        "QUEUEFULL",
        "",
    );
    add(con, "q", "new", "MAXLEN 5");
    assert_eq!(cmd!(con, "XLEN q").int(), 4);
    assert_eq!(stat(con, "q"), [1, 0, 2, 1]);
    assert_eq!(cmd!(con, "XPENDING q work").at(0).int(), 2);
    assert_eq!(info_number(con, "queue_expired"), 2);
    add(con, "q", "new", "MAXLEN 5");
    expect_refusal(con, &full, "QUEUEFULL", "");
}

/// What was found while a queue was full was believed as long as its oldest message stayed.
#[test]
fn a_full_queue_is_looked_at_again_when_others_fill_it() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let full = ["QUEUE.ADD", "q", "C", "MAXLEN", "2"];
    for (option, command) in [("TTL 50", ""), ("", "50")] {
        cmd!(con, "FLUSHALL").text();
        add(con, "q", "A", "");
        let second = add(con, "q", "B", "");
        expect_refusal(con, &full, "QUEUEFULL", "");
        number_of(con, &format!("ACK q {second}"));
        if command.is_empty() {
            add(con, "q", "D", &format!("{option} MAXLEN 2"));
        } else {
            // Hands that do not know of queues.
            cmd!(con, "XADD", "q", "*", "b", "D", "x", now_ms() + 50).text();
        }
        let until = now_ms() + 50;
        wait_for("it expires", SOON, || now_ms() > until);
        add(con, "q", "E", "MAXLEN 2");
        assert_eq!(get(con, "q w COUNT 9"), bodies(&[("A", 1), ("E", 1)]));
    }
}

/// A lease of an expired message keeps its place, until it ends or is made shorter.
#[test]
fn a_full_queue_makes_room_when_a_lease_of_what_expired_is_made_shorter() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let id = add(con, "q", "A", "TTL 100");
    let until = now_ms() + 100;
    take(con, "q w LEASE 1h");
    wait_for("it expires", SOON, || now_ms() > until);
    let full = ["QUEUE.ADD", "q", "B", "MAXLEN", "1"];
    expect_refusal(con, &full, "QUEUEFULL", "");
    assert_eq!(number_of(con, &format!("TOUCH q w 1 {id}")), 1);
    wait_for_the_clock();
    wait_for("there is room", SOON, || {
        try_queue(con, "ADD q B MAXLEN 1").is_ok()
    });
}

/// Delayed messages that no GET has come to yet lie where the new ones are looked for.
#[test]
fn stat_does_not_walk_over_50_000_delayed_messages() {
    const MESSAGES: i64 = 50_000;
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    for _ in 0..MESSAGES / 10_000 {
        let mut pipe = redis::pipe();
        for n in 0..10_000 {
            pipe.cmd("QUEUE.ADD").arg("q").arg(n);
            pipe.arg("DELAY").arg("1h").ignore();
        }
        pipe.query::<()>(con).expect("messages");
    }
    cmd!(con, "DEVICE.HEARTBEAT d").items();
    cmd!(con, "RENAME q device:commands:d").text();
    let key = "device:commands:d";
    for new in 0..2 {
        // Once it may.
        assert_eq!(stat(con, key), [new, MESSAGES, 0, 0]);
        cmd!(con, "CONFIG RESETSTAT").text();
        for _ in 0..200 {
            cmd!(con, "QUEUE.STAT", key).fields();
            assert_eq!(cmd!(con, "DEVICE.HEARTBEAT d").at(4).int(), new);
        }
        for name in ["queue.stat", "device.heartbeat"] {
            let (calls, usec) = calls(con, name);
            assert_eq!(calls, 200);
            // To read them all takes several times as long, on an idle machine.
            assert!(usec / calls < 5_000, "{} us for a {name}", usec / calls);
        }
        add(con, key, "new", "");
    }
}

/// To find out whose the groups are is not asked for each message.
#[test]
fn an_add_looks_at_the_groups_once() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    let looks = |con: &mut Connection| {
        let names = ["xinfo|groups", "xinfo|consumers", "xpending"];
        names.map(|name| calls(con, name).0).iter().sum::<u64>()
    };
    for n in 0..100 {
        add(con, "q", &n.to_string(), "");
    }
    let of_adds = looks(con);
    assert!(of_adds <= 1, "{of_adds} looks");
    for got in take(con, "q w COUNT 50 LEASE 1h") {
        number_of(con, &format!("ACK q {}", got.id));
    }
    let before = looks(con);
    for n in 0..100 {
        add(con, "q", &n.to_string(), "");
    }
    assert_eq!(looks(con), before);
    // What made the module forget the queue has it look once more, but not read what is pending.
    take(con, "q w COUNT 50 LEASE 1h");
    cmd!(con, "EXPIRE q 3600").int();
    let of_pending = |con: &mut Connection| calls(con, "xpending").0;
    let before = of_pending(con);
    add(con, "q", "x", "");
    assert_eq!(of_pending(con), before);
}

/// Names that change do not fill the group.
#[test]
fn workers_that_are_gone_are_forgotten() {
    let server = Server::start();
    let mut con = server.connection();
    let con = &mut con;
    add(con, "q", "kept", "");
    take(con, "q keeper LEASE 1h");
    for n in 0..500 {
        add(con, "q", "x", "");
        let got = take(con, &format!("q w{n}"));
        number_of(con, &format!("ACK q {}", got[0].id));
    }
    // The next look at the group counts them.
    wait_for("those that are gone are removed", SOON, || {
        assert_eq!(get(con, "q keeper"), []);
        cmd!(con, "XINFO CONSUMERS q work").items().len() <= 64
    });
    assert_eq!(
        cmd!(con, "QUEUE.PENDING q").at(0).fields()["worker"].text(),
        "keeper"
    );
}

#[test]
fn more_queues_than_are_remembered() {
    const QUEUES: usize = 25_000;
    let server = Server::start();
    let mut con = server.connection();
    for round in 0..2 {
        let mut pipe = redis::pipe();
        for n in 0..QUEUES {
            let key = format!("q{n}");
            pipe.cmd("QUEUE.ADD").arg(&key).arg("x").ignore();
            pipe.cmd("QUEUE.GET")
                .arg(&key)
                .arg("w")
                .arg("LEASE")
                .arg("1h");
        }
        let replies: Vec<Value> = pipe.query(&mut con).expect("replies");
        assert!(replies.iter().all(|reply| read(reply).len() == 1));
        // Those of which nothing is pending may be forgotten, and come back.
        let mut pipe = redis::pipe();
        for (n, reply) in replies.iter().enumerate().skip(1).step_by(2) {
            pipe.cmd("QUEUE.ACK")
                .arg(format!("q{n}"))
                .arg(&read(reply)[0].id);
        }
        let acked: Vec<i64> = pipe.query(&mut con).expect("replies");
        assert!(acked.iter().all(|n| *n == 1));
        let leased = stat(&mut con, "q0")[2];
        assert_eq!(leased, round + 1);
        assert_eq!(stat(&mut con, &format!("q{}", QUEUES - 1)), [0; 4]);
    }
}

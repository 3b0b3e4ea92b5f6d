//! Streams that other programs write, and hands that reach into a queue.

use super::*;

#[test]
fn entries_of_xadd_are_messages() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "XADD q * b hello a:unit C").text();
    cmd!(con, "XADD q * temp 21 unit F").text();
    cmd!(
        con,
        "XADD",
        "q",
        "*",
        "b",
        "late",
        "d",
        now_ms() + 3_600_000
    )
    .text();
    cmd!(con, "XADD", "q", "*", "b", "over", "x", now_ms() - 1).text();
    cmd!(con, "XADD", "q", "*", "x", "soon").text();
    let rows = cmd!(con, "QUEUE.GET q w COUNT 10").items();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows[0].at(1).text(), "hello");
    assert_eq!(rows[0].at(2).texts(), ["unit", "C"]);
    assert!(rows[1].at(1).is_nil());
    assert_eq!(rows[1].at(2).texts(), ["temp", "21", "unit", "F"]);
    assert!(rows[2].at(1).is_nil());
    assert_eq!(rows[2].at(2).texts(), ["x", "soon"]);
    assert_eq!(stat(&mut con, "q"), [0, 1, 3, 0]);
    for row in rows {
        assert_eq!(
            number_of(&mut con, &format!("ACK q {}", row.at(0).text())),
            1
        );
    }
    assert_eq!(cmd!(con, "XLEN q").int(), 1);
}

#[test]
fn xrange_and_xlen_read_a_queue() {
    let server = Server::start();
    let mut con = server.connection();
    let id = add(&mut con, "q", "A", "ATTR n v TTL 1h DELAY 1m");
    assert_eq!(cmd!(con, "XLEN q").int(), 1);
    let entry = cmd!(con, "XRANGE q - +").at(0);
    assert_eq!(entry.at(0).text(), id);
    let fields = entry.at(1).text_fields();
    assert_eq!((fields["b"].as_str(), fields["a:n"].as_str()), ("A", "v"));
    let [due, end] = ["d", "x"].map(|name| fields[name].parse::<i64>().unwrap());
    assert_eq!(end - due, 3_600_000 - 60_000);
    assert!((now_ms() - 60_000..=now_ms() + 60_000).contains(&due));
}

/// Found by the fuzzer: the first command after that was answered NOGROUP.
#[test]
fn a_queue_that_expired_is_none() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "DEBUG SET-ACTIVE-EXPIRE 0").text();
    for (command, answer) in [
        ("TOUCH q w 1h <id>", 0),
        ("NACK q w <id>", 0),
        ("ACK q <id>", 0),
        ("KICK q <id>", 0),
    ] {
        let id = add(&mut con, "q", "A", "");
        cmd!(con, "PEXPIRE q 200").int();
        let then = now_ms() + 200;
        // From here on the queue is remembered. Whoever looks at the key later takes it away.
        get(&mut con, "q w LEASE 1h");
        wait_for("its time is over", SOON, || now_ms() > then);
        let command = command.replace("<id>", &id);
        assert_eq!(number_of(&mut con, &command), answer, "{command}");
        assert_eq!(get(&mut con, "q w"), []);
    }
}

/// The documented way to look at what is dead.
#[test]
fn other_groups_and_readers_do_not_matter() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    cmd!(con, "XGROUP CREATE q audit 0").text();
    cmd!(con, "XREADGROUP GROUP audit me STREAMS q >").items();
    assert_eq!(get(&mut con, "q w"), bodies(&[("A", 1)]));
    assert_eq!(stat(&mut con, "q"), [0, 0, 1, 0]);
}

#[test]
fn what_xdel_and_xtrim_took_does_not_come() {
    let server = Server::start();
    let mut con = server.connection();
    let ids: Vec<String> = (0..6)
        .map(|n| add(&mut con, "q", &n.to_string(), ""))
        .collect();
    take(&mut con, "q w COUNT 3 LEASE 1h");
    number_of(&mut con, &format!("NACK q w {} DEAD", ids[1]));
    cmd!(con, "XDEL", "q", &ids[0], &ids[1], &ids[3]).int();
    let_pass(&mut con, "q", 3_600_000);
    assert_eq!(
        get(&mut con, "q w2 COUNT 10 LEASE 1h"),
        bodies(&[("2", 2), ("4", 1), ("5", 1)])
    );
    // Their ghosts are gone from the pending list as well.
    assert_eq!(cmd!(con, "XPENDING q work").at(0).int(), 3);
    assert_eq!(number_of(&mut con, &format!("KICK q {}", ids[1])), 0);
    assert_eq!(number_of(&mut con, &format!("ACK q {}", ids[1])), 0);
    cmd!(con, "XTRIM q MAXLEN 0").int();
    let_pass(&mut con, "q", 3_600_000);
    assert_eq!(get(&mut con, "q w2 COUNT 10"), []);
    assert_eq!(cmd!(con, "XPENDING q work").at(0).int(), 0);
    assert_eq!(dead(&mut con, "q"), []);
    assert_eq!(stat(&mut con, "q"), [0; 4]);
}

/// Not to be done, and nothing is lost by it.
#[test]
fn what_is_taken_with_xreadgroup_comes_back() {
    let server = Server::start();
    let mut con = server.connection();
    for body in ["A", "B"] {
        add(&mut con, "q", body, "");
    }
    take(&mut con, "q w LEASE 1h");
    cmd!(con, "XREADGROUP GROUP work stranger STREAMS q >").items();
    let rows = cmd!(con, "QUEUE.PENDING q").items();
    assert_eq!(rows[1].fields()["worker"].text(), "stranger");
    let left = rows[1].fields()["lease_left"].int();
    assert!((10_000..=30_000).contains(&left), "{left}");
    assert_eq!(get(&mut con, "q w COUNT 2"), []);
    assert_eq!(stat(&mut con, "q"), [0, 0, 2, 0]);
    let id = rows[1].fields()["id"].text();
    cmd!(con, "XCLAIM", "q", "work", "stranger", 0, &id, "IDLE", 30_000, "JUSTID").items();
    forget(&mut con, "q");
    assert_eq!(get(&mut con, "q w COUNT 2 LEASE 1h"), bodies(&[("B", 2)]));
    // XACK alone: the entry stays, and nobody gets it again.
    cmd!(con, "XACK", "q", "work", &id).int();
    assert_eq!(get(&mut con, "q w COUNT 2"), []);
    assert_eq!(number_of(&mut con, &format!("ACK q {id}")), 1);
}

/// Whatever happens to the key, the next command reads the truth.
#[test]
fn what_is_remembered_follows_the_key() {
    let server = Server::start();
    let mut con = server.connection();
    for (how, remains) in [
        ("DEL q", false),
        ("UNLINK q", false),
        ("FLUSHDB", false),
        ("FLUSHALL ASYNC", false),
        ("PEXPIRE q 0", false),
        ("RENAME q p", false),
        ("MOVE q 5", false),
        ("COPY other q REPLACE", true),
        ("RENAME other q", true),
        ("XGROUP DESTROY q work", false),
    ] {
        cmd!(con, "FLUSHALL").text();
        for key in ["q", "other"] {
            add(&mut con, key, "A", "");
            assert_eq!(take(&mut con, &format!("{key} w LEASE 1h")).len(), 1);
        }
        cmd!(con, how).unwrap();
        let now_leased = stat(&mut con, "q")[2];
        assert_eq!(now_leased, i64::from(remains), "{how}");
        add(&mut con, "q", "B", "");
        let got = get(&mut con, "q w COUNT 10 LEASE 1h");
        let expected = match how {
            // All of it is new again.
            "XGROUP DESTROY q work" => bodies(&[("A", 1), ("B", 1)]),
            _ => bodies(&[("B", 1)]),
        };
        assert_eq!(got, expected, "{how}");
        let truth = cmd!(con, "XPENDING q work").at(0).int();
        assert_eq!(stat(&mut con, "q"), [0, 0, truth, 0], "{how}");
    }
}

#[test]
fn a_key_that_expires_takes_the_queue_with_it() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w LEASE 1h");
    cmd!(con, "PEXPIRE q 50").int();
    wait_for("it is gone", SOON, || cmd!(con, "EXISTS q").int() == 0);
    add(&mut con, "q", "B", "");
    assert_eq!(get(&mut con, "q w COUNT 2"), bodies(&[("B", 1)]));
    assert_eq!(stat(&mut con, "q"), [0, 0, 1, 0]);
}

/// The last delivered id set back: nothing is handed out twice.
#[test]
fn setid_does_not_take_messages_from_their_workers() {
    let server = Server::start();
    let mut con = server.connection();
    for body in ["1", "2", "3", "4"] {
        add(&mut con, "q", body, "");
    }
    let got = take(&mut con, "q w COUNT 3 LEASE 1h");
    number_of(&mut con, &format!("NACK q w {} DEAD", got[1].id));
    cmd!(con, "XGROUP SETID q work 0").text();
    assert_eq!(get(&mut con, "q w2 COUNT 10"), bodies(&[("4", 1)]));
    cmd!(con, "XGROUP SETID q work 0").text();
    add(&mut con, "q", "5", "");
    assert_eq!(
        get(&mut con, "q w2 COUNT 10 INFLIGHT 10"),
        bodies(&[("5", 1)])
    );
}

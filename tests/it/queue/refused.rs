//! What is refused: it changes nothing, and says what was wrong.

use super::*;

#[test]
fn words_that_make_no_sense() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w");
    for (words, contains) in [
        ("ADD q b ATTR", "ATTR name is missing"),
        ("ADD q b ATTR n", "ATTR value is missing"),
        ("ADD q b ATTR n v ATTR n v", "ATTR: 'n' is given twice"),
        ("ADD q b TTL", "TTL is missing"),
        ("ADD q b TTL 0", "TTL: 0 ms"),
        ("ADD q b TTL -1", "TTL: '-1'"),
        ("ADD q b TTL soon", "TTL: 'soon'"),
        ("ADD q b TTL 315360000001", "TTL: 315360000001 ms"),
        ("ADD q b TTL 1 TTL 2", "TTL is given twice"),
        ("ADD q b MAXLEN 0", "MAXLEN: '0'"),
        ("ADD q b MAXLEN -1", "MAXLEN: '-1'"),
        (
            "ADD q b MAXLEN 9223372036854775808",
            "MAXLEN: '9223372036854775808'",
        ),
        ("ADD q b DELAY x", "DELAY: 'x'"),
        ("ADD q b DELAY 315360000001", "DELAY: 315360000001 ms"),
        ("ADD q b DELAY 1h TTL 1h", "DELAY: the message would expire"),
        ("ADD q b NOPE", "unknown option 'NOPE'"),
        ("GET q -", "worker: '-'"),
        ("GET q w COUNT 0", "COUNT: '0'"),
        ("GET q w COUNT 10001", "COUNT: '10001'"),
        ("GET q w LEASE 0", "LEASE: 0 ms"),
        ("GET q w LEASE 315360000001", "LEASE: 315360000001 ms"),
        ("GET q w MAX -1", "MAX: '-1'"),
        ("GET q w INFLIGHT 0", "INFLIGHT: '0'"),
        ("GET q w BLOCK x", "BLOCK: 'x'"),
        ("GET q w BLOCK -1", "BLOCK: '-1'"),
        ("GET q w COUNT", "COUNT is missing"),
        ("GET q w NOPE", "unknown option 'NOPE'"),
        ("ACK q x", "id: 'x'"),
        ("ACK q 1-2-3", "id: '1-2-3'"),
        ("ACK q 1-0 $", "id: '$'"),
        ("ACK q 1-0 +", "id: '+'"),
        ("NACK q - 1-0", "worker: '-'"),
        ("NACK q w DEAD", "id: 'DEAD'"),
        ("NACK q w 1-0 DELAY", "DELAY is missing"),
        (
            "NACK q w 1-0 DELAY 1 DEAD",
            "DELAY and DEAD exclude each other",
        ),
        ("NACK q w 1-0 DEAD 2-0", "unknown option '2-0'"),
        ("NACK q w 1-0 NOPE", "id: 'NOPE'"),
        ("TOUCH q w 0 1-0", "ms: 0 ms"),
        ("TOUCH q w x 1-0", "ms: 'x'"),
        ("TOUCH q w 1s x", "id: 'x'"),
        ("KICK q x", "id: 'x'"),
        ("PENDING q COUNT 0", "COUNT: '0'"),
        ("PENDING q COUNT 10001", "COUNT: '10001'"),
        ("PENDING q x", "unknown option 'x'"),
    ] {
        let line = format!("QUEUE.{words}");
        let args: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &args, "ERR", contains);
    }
    for words in [
        "ADD q",
        "GET q",
        "ACK q",
        "NACK q w",
        "TOUCH q w 1",
        "KICK q",
        "PENDING",
        "STAT",
    ] {
        let line = format!("QUEUE.{words}");
        let args: Vec<&str> = line.split(' ').collect();
        expect_refusal(&mut con, &args, "ERR", "wrong number of arguments");
    }
    expect_refusal(&mut con, &["QUEUE.GET", "q", ""], "ERR", "worker: ''");
    let long = "w".repeat(257);
    expect_refusal(
        &mut con,
        &["QUEUE.GET", "q", &long],
        "ERR",
        "1 to 256 bytes",
    );
    expect_refusal(
        &mut con,
        &["QUEUE.ADD", "q", "b", "ATTR", "", "v"],
        "ERR",
        "name is empty",
    );
}

#[test]
fn any_bytes_are_safe_in_every_place() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    let id = take(&mut con, "q w")[0].id.clone();
    for odd in [&b"%n%s\0\xff\r\n"[..], "\u{4e00}\u{1f600}".as_bytes(), b""] {
        for (name, before) in [
            ("QUEUE.ADD", &["q", "b"][..]),
            ("QUEUE.ADD", &["q", "b", "TTL"]),
            ("QUEUE.ADD", &["q", "b", "ATTR", "n", "v", "ATTR", "n"]),
            ("QUEUE.GET", &["q", "w"]),
            ("QUEUE.GET", &["q", "w", "LEASE"]),
            ("QUEUE.ACK", &["q", &id]),
            ("QUEUE.NACK", &["q", "w", &id]),
            ("QUEUE.NACK", &["q", "w", &id, "DELAY"]),
            ("QUEUE.TOUCH", &["q", "w", "1000", &id]),
            ("QUEUE.KICK", &["q"]),
            ("QUEUE.PENDING", &["q"]),
        ] {
            let mut args: Vec<&[u8]> = vec![name.as_bytes()];
            args.extend(before.iter().map(|word| word.as_bytes()));
            args.push(odd);
            expect_refusal(&mut con, &args, "ERR", "");
        }
    }
}

#[test]
fn keys_of_other_types() {
    let server = Server::start();
    let mut con = server.connection();
    cmd!(con, "SET string x").text();
    cmd!(con, "RPUSH list x").int();
    cmd!(con, "HSET hash x y").int();
    for key in ["string", "list", "hash"] {
        for words in [
            "ADD k b",
            "ADD k b DELAY 1h",
            "ADD k b MAXLEN 1",
            "GET k w",
            "GET k w BLOCK 100",
            "ACK k 1-0",
            "NACK k w 1-0",
            "TOUCH k w 1s 1-0",
            "KICK k 1-0",
            "PENDING k",
            "STAT k",
        ] {
            let line = format!("QUEUE.{}", words.replacen('k', key, 1));
            let args: Vec<&str> = line.split(' ').collect();
            expect_refusal(
                &mut con,
                &args,
                "WRONGTYPE",
                &format!("'{key}' holds a {key}"),
            );
        }
    }
}

/// A stream of other hands may have groups of these names.
#[test]
fn groups_of_other_programs_are_left_alone() {
    let server = Server::start();
    let mut con = server.connection();
    for group in ["work", "dead"] {
        let key = format!("of-{group}");
        let id = cmd!(con, "XADD", &key, "*", "temp", 21).text();
        cmd!(con, "XADD", &key, "*", "temp", 22).text();
        cmd!(con, "XGROUP CREATE", &key, group, 0).text();
        cmd!(
            con,
            "XREADGROUP GROUP",
            group,
            "alice",
            "COUNT",
            1,
            "STREAMS",
            &key,
            ">"
        )
        .items();
        for line in [
            "ADD k b".to_owned(),
            "ADD k b MAXLEN 9".to_owned(),
            "GET k w".to_owned(),
            "ADD k b DELAY 1h".to_owned(),
            format!("ACK k {id}"),
            format!("NACK k alice {id}"),
            format!("NACK k alice {id} DEAD"),
            format!("TOUCH k alice 1s {id}"),
            format!("KICK k {id}"),
            "PENDING k".to_owned(),
            "STAT k".to_owned(),
        ] {
            let line = format!("QUEUE.{}", line.replacen('k', &key, 1));
            let args: Vec<&str> = line.split(' ').collect();
            let contains = format!("its group {group} has no consumer");
            expect_refusal(&mut con, &args, "WRONGTYPE", &contains);
        }
    }
    // A group that comes to a queue later is noticed too.
    add(&mut con, "q", "A", "");
    take(&mut con, "q w");
    cmd!(con, "XGROUP CREATE q dead 0").text();
    expect_refusal(
        &mut con,
        &["QUEUE.GET", "q", "w"],
        "WRONGTYPE",
        "its group dead",
    );
    expect_refusal(&mut con, &["QUEUE.ADD", "q", "B"], "WRONGTYPE", "");
    for n in 0..3 {
        add(&mut con, "added-to", &n.to_string(), "");
    }
    cmd!(con, "XGROUP CREATE added-to work 0").text();
    let words = ["QUEUE.ADD", "added-to", "B"];
    expect_refusal(&mut con, &words, "WRONGTYPE", "its group work");
    // And that it is gone.
    cmd!(con, "XGROUP DESTROY added-to work").int();
    add(&mut con, "added-to", "B", "");
}

#[test]
fn nothing_to_do_is_no_error_and_writes_nothing() {
    let server = Server::start();
    let mut con = server.connection();
    add(&mut con, "q", "A", "");
    take(&mut con, "q w");
    add(&mut con, "plain", "A", "");
    let before = snapshot(&mut con);
    for words in [
        "GET q w2",
        "GET none w",
        "ACK q 1-0",
        "ACK none 1-0",
        "ACK plain 1-0",
        "NACK q w 1-0",
        "NACK q other 1-0 DEAD",
        "NACK none w 1-0",
        "NACK plain w 1-0",
        "TOUCH q w 1s 1-0",
        "TOUCH none w 1s 1-0",
        "TOUCH plain w 1s 1-0",
        "KICK q 1-0",
        "KICK none 1-0",
        "KICK plain 1-0",
    ] {
        let reply = try_queue(&mut con, words);
        let is_nothing = match reply.value() {
            Value::Int(n) => *n == 0,
            other => other.items().is_empty(),
        };
        assert!(is_nothing, "{words}: {reply:?}");
    }
    assert_eq!(
        difference(&before, &snapshot(&mut con)),
        Vec::<String>::new()
    );
}

//! What the commands are there for, told from beginning to end. (A thousand calls that pass and one that
//! is limited are in `throttle.rs`.)

use super::calls::*;
use crate::devices::*;
use crate::support::*;

/// A sensor above its range tells once, however often it says so, and again when its clock has run.
#[test]
fn a_temperature_above_its_range_is_told_once_and_again_after_its_time() {
    let server = quick();
    let mut con = server.connection();
    cmd!(
        con,
        "DEVICE.REGISTER",
        "d",
        "t",
        "META",
        r#"{"owners":["ann"]}"#
    )
    .int();
    above_70(&mut con, "hot", "temperature", r#","every":"1h","wait":0"#);
    let channel = Subscriber::channels(&server, &["devices:alerts"]);
    let mut clock = Clock::start();
    for n in 0..500 {
        report(
            &mut con,
            "d",
            &format!("{{\"temperature\":{}}}", 71 + n % 10),
        );
    }
    assert_eq!(announced(&mut con, "d"), ["hot firing 1 1"]);
    assert_eq!(state(&mut con, "d", "hot"), "firing 1 500");
    assert_eq!(told(&mut con, "ann"), ["d hot firing 1 500"]);

    clock.set(&mut con, 3_598);
    report(&mut con, "d", r#"{"temperature":75}"#);
    assert_eq!(announced(&mut con, "d").len(), 1);
    clock.set(&mut con, 3_601);
    report(&mut con, "d", r#"{"temperature":75}"#);
    report(&mut con, "d", r#"{"temperature":75}"#);
    assert_eq!(
        announced(&mut con, "d"),
        ["hot firing 1 1", "hot firing 1 502"]
    );
    assert_eq!(told(&mut con, "ann"), ["d hot firing 1 3"]);
    // Normal again: it says so, once.
    for _ in 0..3 {
        report(&mut con, "d", r#"{"temperature":20}"#);
    }
    assert_eq!(announced(&mut con, "d")[2..], ["hot resolved 1 503"]);
    assert_eq!(told(&mut con, "ann"), ["d hot resolved 1 0"]);
    assert_eq!(channel.wait_for_count(3, SOON).len(), 3);
}

/// A user's alerts come as one batch, are gone when he has been told, and come back when whoever was to
/// tell him died before.
#[test]
fn the_alerts_of_a_user_come_as_one_batch_and_survive_the_notifier() {
    let server = quick();
    let mut con = server.connection();
    for id in ["cam-1", "cam-2", "cam-3"] {
        cmd!(con, "DEVICE.REGISTER", id, "camera").int();
        let words = format!("{id} battery DATA {{\"percent\":9}} NOTIFY 2 ann bob");
        assert_eq!(raise(&mut con, &words), "new 1");
    }
    cmd!(
        con,
        "ALERT.NOTIFY",
        "ann",
        "trial",
        r#"{"ends":"today"}"#,
        "SEVERITY",
        2
    )
    .int();
    // They wait for company.
    assert_eq!(due(&mut con), Vec::<String>::new());
    assert_eq!(batch(&mut con, "ann"), None);
    let mut clock = Clock::start();
    clock.set(&mut con, 3 * 3_600);
    let expected = [
        " trial firing 2 1",
        "cam-1 battery firing 1 1",
        "cam-2 battery firing 1 1",
        "cam-3 battery firing 1 1",
    ];
    let mut users = due(&mut con);
    users.sort();
    assert_eq!(users, ["ann", "bob"]);

    // The first notifier fetches it and dies.
    let mut dies = server.connection();
    let lost = batch(&mut dies, "ann LEASE 100").expect("a batch");
    assert_eq!(lost.lines(), expected);
    assert_eq!(lost.items[0].data, r#"{"ends":"today"}"#);
    assert_eq!(lost.items[1].data, r#"{"percent":9}"#);
    drop(dies);
    let again = wait_for("the batch comes back", SOON, || {
        batch(&mut con, "ann LEASE 1h")
    });
    assert_eq!(again.items, lost.items);
    assert_eq!(done(&mut con, "ann", &lost.token), 0);
    assert_eq!(done(&mut con, "ann", &again.token), 4);

    // All of it is gone, and bob's is another.
    for words in ["ann", "ann NOW"] {
        assert_eq!(batch(&mut con, words), None);
    }
    assert_eq!(due(&mut con), ["bob"]);
    assert_eq!(told(&mut con, "bob"), expected[1..]);
    assert_eq!(cmd!(con, "KEYS alerts:*").texts(), Vec::<String>::new());
}

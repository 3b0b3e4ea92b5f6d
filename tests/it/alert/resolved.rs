//! Who knows that an alert fires hears when it does no more; who does not, does not.

use super::*;

#[track_caller]
fn server_with_device() -> (Server, redis::Connection) {
    let server = quick();
    let mut con = server.connection();
    cmd!(con, "DEVICE.REGISTER d t").int();
    (server, con)
}

/// The states that were announced, in order, never twice the same without a repeat in between.
#[test]
fn resolved_is_announced_only_after_firing() {
    let (_server, mut con) = server_with_device();
    for _ in 0..5 {
        raise(&mut con, "d a");
        clear(&mut con, "d", "a");
        clear(&mut con, "d", "a");
    }
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1", "a resolved 1 1"]);
    // Worse than what was told is told, and so is its end.
    raise(&mut con, "d a SEVERITY 2");
    clear(&mut con, "d", "a");
    assert_eq!(
        announced(&mut con, "d")[2..],
        ["a firing 2 6", "a resolved 2 6"]
    );
    assert_eq!(info_number(&mut con, "alerts_resolved"), 2);
}

/// What a batch took over from a suppressed raise is a promise: the user was told that it fires.
#[test]
fn who_learned_from_a_batch_that_it_fires_again_hears_that_it_is_over() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d a WAIT 0 NOTIFY 2 ann bob");
    clear(&mut con, "d", "a");
    assert_eq!(raise(&mut con, "d a"), "suppressed 2");
    assert_eq!(told(&mut con, "ann"), ["d a firing 1 2"]);
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(told(&mut con, "ann"), ["d a resolved 1 0"]);
    // Bob had fetched nothing: for him it is one item. On the stream nothing was said of it.
    assert_eq!(told(&mut con, "bob"), ["d a resolved 1 2"]);
    assert_eq!(announced(&mut con, "d"), ["a firing 1 1", "a resolved 1 1"]);

    // Raised and cleared once more, unseen: nobody hears anything.
    assert_eq!(raise(&mut con, "d a"), "suppressed 3");
    assert_eq!(clear(&mut con, "d", "a"), 1);
    assert_eq!(cmd!(con, "EXISTS alerts:user:ann alerts:user:bob").int(), 0);
}

#[test]
fn the_same_while_the_batch_is_out() {
    let (_server, mut con) = server_with_device();
    raise(&mut con, "d a WAIT 0 NOTIFY 1 u");
    clear(&mut con, "d", "a");
    raise(&mut con, "d a");
    let out = batch(&mut con, "u").expect("a batch");
    assert_eq!(out.lines(), ["d a firing 1 2"]);
    clear(&mut con, "d", "a");
    assert_eq!(done(&mut con, "u", &out.token), 1);
    assert_eq!(told(&mut con, "u"), ["d a resolved 1 0"]);

    // And when it is lost, it is one item, in its last state.
    raise(&mut con, "d a SEVERITY 2 WAIT 0 NOTIFY 1 u");
    clear(&mut con, "d", "a");
    raise(&mut con, "d a");
    let out = batch(&mut con, "u LEASE 10m").expect("a batch");
    assert_eq!(out.lines(), ["d a firing 2 2"]);
    clear(&mut con, "d", "a");
    let_pass(&mut con, 600_000);
    assert_eq!(told(&mut con, "u"), ["d a resolved 2 2"]);
}

#[test]
fn a_device_that_flaps_between_batches_always_ends_as_it_is() {
    let (_server, mut con) = server_with_device();
    let mut last = String::new();
    for turn in 0..40_u32 {
        match turn.wrapping_mul(2_654_435_761) >> 29 {
            0..=2 => drop(raise(&mut con, "d a WAIT 0 NOTIFY 1 u")),
            3 | 4 => drop(clear(&mut con, "d", "a")),
            _ => {
                if let Some(batch) = batch(&mut con, "u") {
                    done(&mut con, "u", &batch.token);
                    last.clone_from(&batch.items[0].state);
                }
            }
        }
    }
    clear(&mut con, "d", "a");
    if let Some(batch) = batch(&mut con, "u") {
        last.clone_from(&batch.items[0].state);
    }
    assert_eq!(last, "resolved");
}

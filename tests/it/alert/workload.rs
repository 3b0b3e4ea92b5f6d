//! Everything that makes alerts, at random.

use redis::Connection;

use super::*;

/// A sequence of commands that the seed decides.
#[track_caller]
pub fn random_workload(con: &mut Connection, seed: u64, commands: usize) {
    let mut state = seed;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut tokens = vec!["none".to_owned(); 4];
    for i in 0..commands {
        let d = format!("d-{}", random(12));
        let a = ["a", "b", "hot", "gone"][random(4)];
        let user = random(4);
        let u = format!("u-{user}");
        let line = match random(20) {
            0 => format!("DEVICE.REGISTER {d} t META {{\"owners\":[\"{u}\"]}}"),
            1 => format!("DEVICE.REMOVE {d}"),
            2 => format!("DEVICE.OFFLINE {d}"),
            3 => format!("DEVICE.HEARTBEAT {d} TIMEOUT {}", 100 + random(200)),
            4 | 5 => format!("DEVICE.HEARTBEAT {d} REPORTED {{\"v\":{}}}", random(120)),
            6 => format!("DEVICE.SHADOW.REPORT {d} {{\"v\":{}}}", random(120)),
            7 => format!("ALERT.ACK {d} {a}"),
            8 | 9 => format!("ALERT.CLEAR {d} {a}"),
            10 => format!("ALERT.RAISE {d} {a} FOR {} NOTIFY 1 {u}", random(200)),
            11 => format!("ALERT.RAISE {d} {a} KEEP {} NOTIFY 1 {u}", 1 + random(200)),
            12 => format!(
                "ALERT.NOTIFY {u} n-{} {{\"i\":{i}}} WAIT {}",
                random(3),
                random(99)
            ),
            13 => format!(
                "ALERT.BATCH {u} NOW COUNT {} LEASE {}",
                1 + random(5),
                1 + random(99)
            ),
            14 => format!("ALERT.DONE {u} {}", tokens[user]),
            15 => format!("ALERT.RULE.SET t r-{} {{\"on\":\"offline\"}}", random(3)),
            16 => format!("ALERT.RULE.DEL t r-{}", random(3)),
            17 => "ALERT.DUE".to_owned(),
            _ => format!(
                "ALERT.RAISE {d} {a} SEVERITY {} EVERY {} DATA {{\"i\":{i}}} NOTIFY 1 {u}",
                random(5),
                [0, 50][random(2)]
            ),
        };
        // Some are refused: of unknown devices.
        if let Ok(reply) = cmd!(con, &line) {
            if line.starts_with("ALERT.BATCH") && !reply.is_nil() {
                tokens[user] = reply.at(0).text();
            }
        }
    }
}

/// Rules that the workload's reports and transitions meet.
#[track_caller]
pub fn set_rules(con: &mut Connection) {
    above_70(con, "hot", "v", r#","for":50,"every":100,"notify":["u-0"]"#);
    let gone = r#"{"on":"offline","for":30,"every":100,"notify":["u-1"]}"#;
    set_rule(con, "t", "gone", gone);
}

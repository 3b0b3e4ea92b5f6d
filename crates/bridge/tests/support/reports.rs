//! Numbered reports of many devices, and whether each was applied once and in order.

use super::broker::Broker;
use super::cluster::Cluster;
use super::wait_until;
use serde_json::Value as Json;

pub const DEVICES: usize = 24;

pub fn device(number: usize) -> String {
    format!("d{number}")
}

/// Each device reports the numbers from 1 on, all of them side by side.
pub fn publish_all(broker: &Broker, reports: usize) {
    std::thread::scope(|scope| {
        for number in 0..DEVICES {
            let topic = format!("devices/{}/reported", device(number));
            let lines = (1..=reports)
                .map(|n| format!("{{\"session\":1,\"seq\":{n},\"reported\":{{\"n\":{n}}}}}"));
            scope.spawn(move || broker.publish_lines(&topic, lines));
        }
    });
}

/// The last number that the device has reported, and how many of its reports were applied: each of them
/// makes a version.
pub fn reported(cluster: &Cluster, device: &str) -> (u64, u64) {
    let document: Option<String> = cluster.query(&["DEVICE.SHADOW.GET", device]);
    let document: Json = serde_json::from_str(&document.unwrap_or("{}".into())).unwrap();
    let number = |value: &Json| value.as_u64().unwrap_or(0);
    (
        number(&document["state"]["reported"]["n"]),
        number(&document["version"]),
    )
}

#[track_caller]
pub fn wait_for_all(cluster: &Cluster, reports: usize) {
    let reports = reports as u64;
    for number in 0..DEVICES {
        let device = device(number);
        wait_until(&format!("all reports of {device}"), || {
            reported(cluster, &device).0 == reports
        });
        // One that came late or twice would have made none, or one more.
        assert_eq!(reported(cluster, &device), (reports, reports), "{device}");
    }
}

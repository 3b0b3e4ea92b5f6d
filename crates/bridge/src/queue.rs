//! Queue mode: between the bridge that receives and the processors that apply stand reliable queues
//! of the server, `<key>:0` to `<key>:<count - 1>`. Every message of a device goes to the same one.
//! The receiver does not read a payload, but for the session that JSON may name, so it keeps its pace
//! whatever a message costs to apply, and any number of processors share the work. See "Receiver and processors" in `docs/bridge.md`.

mod delivery;
mod enqueue;

pub use delivery::Delivery;
pub use enqueue::Enqueue;

use devicestate_core::fnv::fnv1a;

/// Attributes of a message in a queue. The body is the payload as it came.
mod attribute {
    pub const TOPIC: &str = "topic";
    pub const DEVICE: &str = "device";
    /// Milliseconds since the Unix epoch.
    pub const RECEIVED_AT: &str = "received_at";
    /// Only where the message names one.
    pub const SESSION: &str = "session";
    pub const CONTENT_TYPE: &str = "content_type";
    /// Only with a retained message.
    pub const RETAINED: &str = "retained";
}

/// Which of `count` queues has a device's messages. It must never change, not between versions and not
/// between receivers, or a device's messages would overtake each other: FNV-1a of the id, both halves
/// folded into one because the low bits alone depend on the low bits of each byte.
fn number(device: &str, count: u32) -> u32 {
    let hash = fnv1a(device);
    let folded = (hash ^ (hash >> 32)) as u32;
    folded % count.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of the FNV-1a reference (64 bit), folded: "" cbf29ce484222325, "a" af63dc4c8601ec8c,
    /// "foobar" 85944171f73967e8.
    #[test]
    fn a_device_stays_in_its_queue_in_every_version() {
        let whole = |device| number(device, u32::MAX);
        assert_eq!(whole(""), 0xcbf2_9ce4 ^ 0x8422_2325);
        assert_eq!(whole("a"), 0xaf63_dc4c ^ 0x8601_ec8c);
        assert_eq!(whole("foobar"), 0x8594_4171 ^ 0xf739_67e8);
    }

    #[test]
    fn devices_are_spread_evenly() {
        for count in [2, 7, 16, 64] {
            let mut held = vec![0_u32; count as usize];
            for n in 0..10_000 {
                held[number(&format!("pump-{n:05}"), count) as usize] += 1;
            }
            let even = 10_000 / count;
            assert!(held.iter().all(|n| (even / 2..even * 2).contains(n)));
        }
    }
}

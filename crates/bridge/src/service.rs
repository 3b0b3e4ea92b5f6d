//! What the service manager is told: that the program has started, that its loop turns, how it does.
//!
//! This is systemd's protocol, `sd_notify(3)`: datagrams of `NAME=value` lines to the socket that the
//! environment names. Without such a socket nothing is told. Started means that the bridge does all
//! it can do by itself: the units of a machine do not wait for its Redis.

use crate::probes::Probes;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tracing::warn;

pub struct Service {
    socket: Option<UnixDatagram>,
}

impl Service {
    /// `socket` is the value of `NOTIFY_SOCKET`.
    pub fn new(socket: Option<&str>) -> Service {
        let socket = socket.and_then(|name| {
            connect(name)
                .inspect_err(|e| warn!("NOTIFY_SOCKET: {e}"))
                .ok()
        });
        Service { socket }
    }

    pub fn started(&self) {
        self.tell("READY=1");
    }

    /// To be called about once a second.
    pub fn beat(&self, probes: &Probes) {
        let reasons = probes.reasons();
        let mut reasons = reasons.iter();
        let status = reasons.next().map_or("ready".to_owned(), |(part, reason)| {
            format!("not ready: {part}: {reason}")
        });
        self.tell(&format!("WATCHDOG=1\nSTATUS={status}"));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            // A manager that is too busy hears it the next time.
            let _ = socket.send(state.as_bytes());
        }
    }
}

fn connect(name: &str) -> std::io::Result<UnixDatagram> {
    let address = address(name)?;
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn address(name: &str) -> std::io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(not(target_os = "linux"))]
fn address(name: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_pathname(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::probes::REDIS;
    use std::sync::Arc;

    #[test]
    fn the_manager_hears_of_start_life_and_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let heard = || {
            let mut bytes = [0; 200];
            let length = manager.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let service = Service::new(path.to_str());
        service.started();
        assert_eq!(heard(), "READY=1");
        let probes = Probes::new(&[REDIS], Arc::new(Metrics::new(&[])));
        service.beat(&probes);
        assert_eq!(
            heard(),
            "WATCHDOG=1\nSTATUS=not ready: redis: not connected yet"
        );
        probes.set(REDIS, Ok(()));
        service.beat(&probes);
        assert_eq!(heard(), "WATCHDOG=1\nSTATUS=ready");
        service.stopping();
        assert_eq!(heard(), "STOPPING=1");
    }

    #[test]
    fn without_a_manager_nothing_is_told() {
        for socket in [
            None,
            Some("/nowhere/notify"),
            Some("@nobody listens here"),
            Some(""),
        ] {
            let service = Service::new(socket);
            assert!(service.socket.is_none());
            service.started();
        }
    }
}

//! Every command that a server runs, in order: its MONITOR.

use super::server::Server;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;

/// The sequence numbers of heartbeats as they ran, by device.
pub struct Monitor {
    sequences: Arc<Mutex<BTreeMap<String, Vec<usize>>>>,
}

impl Monitor {
    /// Watches what runs from now on, until the server ends.
    pub fn start(server: &Server) -> Monitor {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert_eq!(lines.next().as_deref(), Some("+OK"));
        let sequences: Arc<Mutex<BTreeMap<String, Vec<usize>>>> = Arc::default();
        let seen = sequences.clone();
        thread::spawn(move || {
            for line in lines {
                // 1700000000.000000 [0 127.0.0.1:1] "DEVICE.HEARTBEAT" "d1" "SESSION" "1" "SEQ" "7"
                let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
                if let ["DEVICE.HEARTBEAT", device, .., "SEQ", seq] = words[..] {
                    let mut seen = seen.lock().unwrap();
                    let device = seen.entry(device.to_owned()).or_default();
                    device.push(seq.parse().unwrap());
                }
            }
        });
        Monitor { sequences }
    }

    pub fn sequences(&self) -> BTreeMap<String, Vec<usize>> {
        self.sequences.lock().unwrap().clone()
    }

    /// How many different heartbeats have run.
    pub fn distinct(&self) -> usize {
        let sequences = self.sequences.lock().unwrap();
        let highest = sequences.values().map(|seqs| seqs.iter().max());
        highest.flatten().sum()
    }

    pub fn all(&self) -> usize {
        self.sequences.lock().unwrap().values().map(Vec::len).sum()
    }

    /// Each device's heartbeats ran from 1 to `last`. Some may have been repeated; none was left out
    /// and none came before its predecessor.
    #[track_caller]
    pub fn assert_in_order(&self, devices: usize, last: usize) {
        let sequences = self.sequences();
        assert_eq!(sequences.len(), devices);
        for (device, seqs) in sequences {
            let mut highest = 0;
            for seq in seqs {
                assert!(seq <= highest + 1, "{device}: {seq} came after {highest}");
                highest = highest.max(seq);
            }
            assert_eq!(highest, last, "{device}");
        }
    }
}

//! What the bridge serves over HTTP.

use super::wait_until;
use std::io::{Read, Write};
use std::net::TcpStream;

/// The status and the body of a page.
pub fn get(port: u16, path: &str) -> (u16, String) {
    let answer = exchange(port, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// All that is answered to a request, until the connection is closed.
pub fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until /metrics has this line.
#[track_caller]
pub fn wait_for_metric(port: u16, line: &str) {
    let mut page = String::new();
    let mut found = || {
        page = get(port, "/metrics").1;
        page.lines().any(|l| l == line)
    };
    wait_until(
        &format!("{line} in {}", get(port, "/metrics").1),
        &mut found,
    );
}

/// Waits until /readyz answers so; returns its body.
#[track_caller]
pub fn wait_for_readiness(port: u16, status: u16) -> String {
    let mut body = String::new();
    wait_until(&format!("/readyz answers {status}"), || {
        let (now, page) = get(port, "/readyz");
        body = page;
        now == status
    });
    body
}

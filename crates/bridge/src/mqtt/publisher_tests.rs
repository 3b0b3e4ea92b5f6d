use super::*;
use crate::metrics::Metrics;
use crate::mqtt::outbox::Publication;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A broker that confirms messages, except that it closes the connection over those on the topic
/// `bad`, and answers those on `forbidden` with "not authorized". Mosquitto does no such thing as the
/// first.
struct Touchy {
    port: u16,
    topics: Arc<Mutex<Vec<String>>>,
}

impl Touchy {
    async fn start() -> Touchy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let topics = Arc::new(Mutex::new(Vec::new()));
        let seen = topics.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Its end is a test's end, or one of the cases.
                let _ = serve(stream, &seen).await;
            }
        });
        Touchy { port, topics }
    }
}

async fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    loop {
        let kind = stream.read_u8().await?;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = stream.read_u8().await?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        match kind >> 4 {
            // CONNECT
            1 => stream.write_all(&[0x20, 3, 0, 0, 0]).await?,
            // PUBLISH
            3 => {
                let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8_lossy(&body[2..end]).into_owned();
                let (high, low) = (body[end], body[end + 1]);
                seen.lock().unwrap().push(topic.clone());
                match topic.as_str() {
                    "bad" => return Ok(()),
                    "forbidden" => stream.write_all(&[0x40, 3, high, low, 0x87]).await?,
                    _ => stream.write_all(&[0x40, 2, high, low]).await?,
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_message_that_the_broker_does_not_like_stops_no_other() {
    let broker = Touchy::start().await;
    let address = BrokerAddress::parse(&format!("mqtt://127.0.0.1:{}", broker.port)).unwrap();
    let metrics = Arc::new(Metrics::new(&[]));
    let outbox = Outbox::new(metrics.clone());
    let publish = |topic: &str| {
        outbox.publish(Publication {
            topic: topic.to_owned(),
            ..Publication::default()
        })
    };
    let sent = ["a", "forbidden", "bad", "b", "c"].map(publish);
    let publisher = Publisher::new(&MqttConfig::default(), &address, outbox.clone(), 100);
    let running = tokio::spawn(publisher.run());
    let mut fates = Vec::new();
    for confirmation in sent {
        fates.push(confirmation.wait().await);
    }
    running.abort();
    let (good, bad) = (Fate::Confirmed, Fate::Refused);
    assert_eq!(fates, [good, bad, bad, good, good]);
    assert_eq!(
        (
            metrics.publications.published.get(),
            metrics.publications.refused.get()
        ),
        (3, 2)
    );
    assert!(outbox.is_empty());
    let topics = broker.topics.lock().unwrap();
    // What comes after the bad one is published when that is over.
    let c = topics.iter().rposition(|topic| topic == "c");
    assert_eq!(c, Some(topics.len() - 1));
}

#[tokio::test]
async fn what_is_too_late_is_not_published() {
    let broker = Touchy::start().await;
    let address = BrokerAddress::parse(&format!("mqtt://127.0.0.1:{}", broker.port)).unwrap();
    let outbox = Outbox::new(Arc::new(Metrics::new(&[])));
    let publish = |topic: &str, expiry| {
        outbox.publish(Publication {
            topic: topic.to_owned(),
            expiry,
            ..Publication::default()
        })
    };
    let late = publish("late", Some(Duration::ZERO));
    let soon = publish("soon", Some(Duration::from_secs(60)));
    let publisher = Publisher::new(&MqttConfig::default(), &address, outbox.clone(), 100);
    let running = tokio::spawn(publisher.run());
    assert_eq!(late.wait().await, Fate::Expired);
    assert_eq!(soon.wait().await, Fate::Confirmed);
    running.abort();
    assert_eq!(*broker.topics.lock().unwrap(), ["soon"]);
}

#[test]
fn a_part_of_a_second_counts_as_one() {
    let seconds = |ms| whole_seconds(Duration::from_millis(ms));
    assert_eq!([1, 1000, 1001, 60_000].map(seconds), [1, 1, 2, 60]);
}

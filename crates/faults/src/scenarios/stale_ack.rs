//! Packet identifiers belong to a connection. While the commands of one connection's messages are
//! out, the connection is lost, and on the next one other messages have the same identifiers: the
//! late answers must not acknowledge them.

use crate::bridge::{Bridge, Settings};
use crate::failure::Result;
use crate::oracle::Findings;
use crate::proxy::Proxy;
use crate::redis_server::Redis;
use crate::stage::{Context, Tally};
use crate::stub_broker::{Session, StubBroker};
use crate::wait;
use std::fs;
use std::time::{Duration, Instant};

const ROUNDS: usize = 4;
/// Messages on each connection, with packet identifiers from 1.
const MESSAGES: u16 = 50;
/// How long a premature acknowledgement is looked for, after the old answers are through.
const WATCH: Duration = Duration::from_millis(500);

struct Scene {
    redis: Redis,
    to_redis: Proxy,
    broker: StubBroker,
    bridge: Bridge,
    acknowledged: usize,
    premature: usize,
}

pub fn run(context: &Context) -> Result<Tally> {
    fs::create_dir_all(&context.folder)?;
    let started = Instant::now();
    let redis = Redis::start(&context.folder, &context.module, "everysec")?;
    let to_redis = Proxy::start(redis.port)?;
    let broker = StubBroker::start()?;
    let settings = Settings {
        broker_port: broker.port,
        redis_port: to_redis.port,
        mqtt: String::new(),
        redis: "workers = 1".to_owned(),
    };
    let bridge = Bridge::start(&context.bridge, &context.folder, "bridge-0", &settings, &[])?;
    let mut scene = Scene {
        redis,
        to_redis,
        broker,
        bridge,
        acknowledged: 0,
        premature: 0,
    };
    let mut session = scene.broker.accept(false)?;
    scene.bridge.wait_until_ready()?;
    for round in 0..ROUNDS {
        // A broker that kept the session sends again, one that lost it does not: the bridge
        // forgets its jobs or keeps them.
        session = scene.round(session, round, round % 2 == 0)?;
    }
    drop(session);
    scene.bridge.kill()?;
    let messages = ROUNDS * usize::from(MESSAGES) * 2;
    let (acknowledged, premature) = (scene.acknowledged, scene.premature);
    let complaint = format!("{premature} messages acknowledged before Redis had them");
    Ok(Tally {
        messages,
        findings: Findings {
            acknowledged,
            lost: premature,
            ..Findings::default()
        },
        seconds: started.elapsed().as_secs_f64(),
        complaints: Vec::from_iter((premature > 0).then_some(complaint)),
    })
}

impl Scene {
    /// Loses one connection while its batch is out, and uses its identifiers again on the next.
    fn round(&mut self, mut session: Session, round: usize, resumed: bool) -> Result<Session> {
        self.to_redis.hang_requests();
        let before = self.to_redis.requests();
        send(&mut session, "old", round)?;
        let to_redis = &self.to_redis;
        wait::until("the bridge sends the old batch", || {
            Ok(to_redis.requests() > before)
        })?;
        drop(session);

        let mut session = self.broker.accept(resumed)?;
        send(&mut session, "new", round)?;
        // The old batch is answered, and the bridge sends what it has next.
        let before = self.to_redis.requests();
        self.to_redis.pass_one_request();
        let to_redis = &self.to_redis;
        wait::until("the bridge sends the new batch", || {
            Ok(to_redis.requests() > before)
        })?;
        while self.watch(&mut session, round, WATCH)? {}
        self.to_redis.release();
        self.watch_all(&mut session, round)?;
        Ok(session)
    }

    /// Takes the acknowledgements that come within `limit`, and looks whether Redis had the report.
    fn watch(&mut self, session: &mut Session, round: usize, limit: Duration) -> Result<bool> {
        let Some(packet_id) = session.next_ack(limit)? else {
            return Ok(false);
        };
        self.acknowledged += 1;
        let mut connection = self.redis.connection()?;
        let exists: bool = redis::cmd("EXISTS")
            .arg(format!("device:state:{}", device("new", round, packet_id)))
            .query(&mut connection)?;
        self.premature += usize::from(!exists);
        Ok(true)
    }

    fn watch_all(&mut self, session: &mut Session, round: usize) -> Result<()> {
        let wanted = (round + 1) * usize::from(MESSAGES);
        wait::until("the bridge acknowledges all new messages", || {
            self.watch(session, round, Duration::from_millis(100))?;
            Ok(self.acknowledged >= wanted)
        })
    }
}

fn device(kind: &str, round: usize, packet_id: u16) -> String {
    format!("{kind}-{round}-{packet_id}")
}

fn send(session: &mut Session, kind: &str, round: usize) -> Result<()> {
    for packet_id in 1..=MESSAGES {
        let topic = format!("devices/{}/reported", device(kind, round, packet_id));
        session.put(packet_id, topic, r#"{"reported":{"seq":1}}"#.to_owned())?;
    }
    session.flush()
}

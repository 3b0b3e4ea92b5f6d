//! `devicestate-bridge leave`: takes a bridge out of a group for good. The broker keeps messages for
//! its session, and goes on to give it its share of new ones, although nobody will fetch them. So this
//! connects under its name, ends the subscriptions, carries what is queued into Redis, and ends the
//! session.
//!
//! When is everything there? The broker answers an UNSUBSCRIBE after what it had to send before. So
//! one that is answered while nothing is outstanding, and without a message since it was sent, means
//! that nothing is left.

use crate::config::Config;
use crate::mqtt::{Event, Purpose};
use crate::serve::{self, Parts, Plan, Stop};
use std::time::Duration;
use tokio::time::interval;
use tracing::info;

/// Runs until the session is ended. An error means that it is not.
pub async fn run(config: &Config, plan: Plan, mut stop: Stop) -> Result<(), String> {
    let Parts {
        probes,
        mut ingress,
        mut source,
        mut from_workers,
        downlink: _,
    } = serve::prepare(config, plan, Purpose::Leave).await?;
    let mut tick = interval(Duration::from_secs(1));
    // The number of messages received when the last question was asked; `None` when it is answered.
    let mut asked: Option<u64> = None;
    loop {
        let next = source.next();
        tokio::pin!(next);
        let event = loop {
            if asked.is_none() && ingress.is_settled() && ingress.unsubscribe() {
                asked = Some(ingress.received());
            }
            tokio::select! {
                event = &mut next, if !ingress.is_full() => break event,
                Some(report) = from_workers.recv() => ingress.on_report(report),
                _ = tick.tick() => {
                    probes.beat();
                    ingress.on_tick();
                }
                Some(()) = stop.recv() => {
                    ingress.summarise();
                    return Err("stopped before the session was ended".to_owned());
                }
            }
        };
        match event {
            Event::Closed => break,
            Event::Unsubscribed => {
                let quiet = asked.take() == Some(ingress.received());
                if quiet && ingress.is_settled() {
                    asked = ingress.end_session().then(|| ingress.received());
                }
            }
            event => {
                if matches!(event, Event::Connected { .. }) {
                    // The question goes with every connect.
                    asked = Some(ingress.received());
                }
                ingress.on_event(event);
            }
        }
    }
    ingress.summarise();
    info!("the session of {} is ended", config.mqtt.client_id());
    Ok(())
}

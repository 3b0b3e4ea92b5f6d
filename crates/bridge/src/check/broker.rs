//! Whether the broker lets the bridge in, and lets it subscribe.

use super::Report;
use crate::config::Config;
use crate::mqtt::trial::Trial;
use crate::serve::Plan;
use std::io::Write;

pub async fn check(report: &mut Report<impl Write>, config: &Config, plan: &Plan) {
    let broker = &plan.peers.broker;
    let mut trial = match Trial::connect(&config.mqtt, broker).await {
        Ok(trial) => trial,
        Err(reason) => return report.fail(format_args!("MQTT {broker}: no connection: {reason}")),
    };
    report.ok(format_args!(
        "MQTT {broker}: connected as {}",
        trial.client_id()
    ));
    for filter in plan.profiles.filters() {
        let filter = filter.filter;
        match trial.subscribe(&filter).await {
            Ok(()) => report.ok(format_args!("MQTT {broker}: may subscribe to {filter}")),
            Err(reason) => report.fail(format_args!("MQTT {broker}: {reason}")),
        }
    }
    trial.leave().await;
}

//! current counts -> gauges, every few seconds (in memory).

use std::time::Duration;

use tokio::time::sleep;

use crate::metrics::Metrics;

/// Interval of updates: Prometheus scrapes less often.
const PERIOD: Duration = Duration::from_secs(5);

/// Values of the gauges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Number of known sessions.
    pub sessions: usize,
    /// Number of known sealing keys.
    pub sealing_keys: usize,
    /// Since when the newest of them seals, Unix seconds; 0 if none does.
    pub sealing_since: i64,
}

/// Updates the gauges forever.
pub(crate) async fn update(metrics: Metrics, sample: impl Fn() -> Sample) {
    loop {
        let now = sample();
        metrics.sessions(now.sessions);
        metrics.sealing_keys(now.sealing_keys, now.sealing_since);
        sleep(PERIOD).await;
    }
}

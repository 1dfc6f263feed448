//! current counts -> gauges, every few seconds (in memory).

use std::time::Duration;

use tokio::time::sleep;

use crate::metrics::Metrics;

/// How often: Prometheus scrapes less often.
const PERIOD: Duration = Duration::from_secs(5);

/// What the gauges show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Sessions that are known.
    pub sessions: usize,
    /// Sealing keys that are known.
    pub sealing_keys: usize,
    /// Since when the newest of them seals, Unix seconds; 0 where none does.
    pub sealing_since: i64,
}

/// Updates the gauges for ever.
pub(crate) async fn update(metrics: Metrics, sample: impl Fn() -> Sample) {
    loop {
        let now = sample();
        metrics.sessions(now.sessions);
        metrics.sealing_keys(now.sealing_keys, now.sealing_since);
        sleep(PERIOD).await;
    }
}

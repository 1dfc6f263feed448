//! what is known at the moment -> gauges, every few seconds (in memory).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::verify::AppState;

/// How often: Prometheus looks more seldom.
const PERIOD: Duration = Duration::from_secs(5);

/// Keeps gauges up to date for ever.
pub(crate) async fn keep(app: Arc<AppState>) {
    loop {
        app.metrics.sessions(app.sessions.count());
        let (keys, since) = app.keys.state(app.clock.now());
        app.metrics.sealing_keys(keys, since.unwrap_or_default());
        sleep(PERIOD).await;
    }
}

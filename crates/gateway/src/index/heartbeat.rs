//! Lease, patched every few seconds and watched -> age of the index (IO).

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::index::following::{Follower, LONGEST_WATCH};

/// Interval of heartbeats. An API server that takes less than half of `LAG_LIMIT` for one makes nothing late.
const PERIOD: Duration = Duration::from_secs(1);
/// Timeout of one patch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Annotation with the replica and the number of the newest heartbeat of any replica.
const ANNOTATION: &str = "gateway.workspaces.jupyter.org/heartbeat";

/// Sends the heartbeats of one replica.
pub(crate) struct Heartbeat {
    leases: Api<Lease>,
    watched: Api<PartialObjectMeta<Lease>>,
    name: String,
    /// Identifies this process.
    replica: String,
    follower: Follower,
}

/// Why a heartbeat was not accepted.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    NoAnswer,
    #[error(transparent)]
    Refused(#[from] kube::Error),
}

impl Failed {
    /// Whether every heartbeat will fail: the Lease is missing, or may not be written.
    fn is_lasting(&self) -> bool {
        matches!(self, Self::Refused(kube::Error::Api(status)) if matches!(status.code, 403 | 404 | 409 | 422))
    }
}

impl Heartbeat {
    /// `name`: the Lease, which the chart creates. `replica`: unique for every process.
    pub(crate) fn new(
        client: &Client,
        namespace: &str,
        name: String,
        replica: &str,
        follower: Follower,
    ) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            watched: Api::namespaced(client.clone(), namespace),
            name,
            replica: replica.to_owned(),
            follower,
        }
    }

    /// Sends heartbeats forever.
    pub(crate) async fn beat(self) {
        tokio::join!(self.send(), self.watch());
    }

    async fn send(&self) {
        let Follower { freshness, metrics } = &self.follower;
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        loop {
            ticks.tick().await;
            number += 1;
            freshness.sent(number);
            let beat =
                json!({"metadata": {"annotations": {ANNOTATION: format!("{} {number}", self.replica)}}});
            match self.patch(&beat).await {
                Ok(()) => freshness.taken(),
                Err(error) => {
                    metrics.count_failed_heartbeat();
                    if error.is_lasting() {
                        let lease = &self.name;
                        let seconds = LONGEST_WATCH + 5;
                        tracing::warn!(lease, %error, "cannot write the heartbeat Lease: a broken watch is detected only after {seconds} s");
                        freshness.seen(number);
                    } else {
                        tracing::warn!(%error, "a heartbeat was not processed: the index may be out of date");
                    }
                }
            }
            metrics.index_lag(freshness.lag());
        }
    }

    async fn patch(&self, change: &Value) -> Result<(), Failed> {
        let params = PatchParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(change);
        let call = self.leases.patch(&self.name, &params, &patch);
        match timeout(TIMEOUT, call).await {
            Ok(answer) => Ok(answer.map(drop)?),
            Err(_) => Err(Failed::NoAnswer),
        }
    }

    async fn watch(&self) {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let (events, watched) = self.follower.follow("leases", self.watched.clone(), only);
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                watcher::Event::Apply(lease) | watcher::Event::InitApply(lease) => self.observe(&lease),
                watcher::Event::InitDone => watched.mark_complete(),
                watcher::Event::Init | watcher::Event::Delete(_) => {}
            }
        }
    }

    /// A heartbeat of this replica returned, unless it is another's.
    fn observe(&self, lease: &PartialObjectMeta<Lease>) {
        let number = lease
            .annotations()
            .get(ANNOTATION)
            .and_then(|beat| beat.split_once(' '))
            .filter(|(replica, _)| *replica == self.replica)
            .and_then(|(_, number)| number.parse().ok());
        if let Some(number) = number {
            let Follower { freshness, metrics } = &self.follower;
            freshness.seen(number);
            metrics.index_lag(freshness.lag());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use testkit::api_server::{ApiServer, Disruption, Fault};
    use testkit::lagging::Lag;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::index::freshness::{Age, CHECK_INTERVAL, Freshness, LAG_LIMIT};
    use crate::metrics::Metrics;

    const NAME: &str = "demo-gateway-heartbeat";

    fn site() -> (ApiServer, Arc<Freshness>) {
        site_behind(&Lag::default())
    }

    /// A gateway whose watches are served by an API server that lags; heartbeats go to another.
    fn site_behind(lag: &Lag) -> (ApiServer, Arc<Freshness>) {
        let (server, client) = ApiServer::start();
        let client = lag.wrap(client);
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {"name": NAME, "namespace": "system", "annotations": {
                ANNOTATION: "other 7",
            }},
        }))
        .unwrap();
        server.put(&lease);
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let follower = Follower::new(freshness.clone(), Metrics::default());
        let heartbeat = Heartbeat::new(&client, "system", NAME.into(), "one", follower);
        tokio::spawn(heartbeat.beat());
        (server, freshness)
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_that_come_back_keep_the_index_fresh() {
        let (_server, freshness) = site();
        let mut oldest = Duration::ZERO;
        for _ in 0..2000 {
            sleep(Duration::from_millis(10)).await;
            oldest = oldest.max(freshness.lag());
        }
        assert!(
            (Duration::from_millis(980)..=PERIOD).contains(&oldest),
            "{oldest:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_slow_to_take_heartbeats_never_makes_the_index_late() {
        let (server, freshness) = site();
        for _ in 0..40 {
            let slow = Disruption::Late(Duration::from_millis(1400));
            server.disrupt(http::Method::PATCH, "leases", slow);
        }
        let mut oldest = Duration::ZERO;
        while !server.unmet().is_empty() {
            sleep(Duration::from_millis(50)).await;
            assert_eq!(freshness.age(), Age::Fresh);
            oldest = oldest.max(freshness.lag());
        }
        // Not far above, so the check took place.
        assert!(oldest + Duration::from_millis(300) > LAG_LIMIT, "{oldest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_index_is_used_for_the_documented_time_without_an_api_server() {
        let (server, freshness) = site();
        // At any moment of the heartbeat's period.
        for part in 0..5 {
            sleep(Duration::from_secs(15) + PERIOD * part / 5).await;
            assert_eq!(freshness.age(), Age::Fresh);
            server.partition(true);
            let away = Instant::now();
            for (age, most) in [
                (Age::Late, LAG_LIMIT),
                (Age::Stale, Duration::from_mins(1)),
                (Age::Lost, Duration::from_mins(2)),
            ] {
                while freshness.age() < age {
                    sleep(Duration::from_millis(5)).await;
                }
                let held = away.elapsed();
                // Sockets close before the next check.
                let is_near = held + PERIOD + CHECK_INTERVAL >= most;
                assert!(held <= most && is_near, "{age:?} after {held:?}");
            }
            server.partition(false);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lagging_api_server_is_detected_after_three_seconds_and_refused_after_ten() {
        let lag = Lag::default();
        let (_, freshness) = site_behind(&lag);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(freshness.age(), Age::Fresh);
        lag.set(Duration::from_secs(20));
        let (mut late, mut oldest) = (0, Duration::ZERO);
        for _ in 0..900 {
            sleep(Duration::from_millis(100)).await;
            late += u32::from(freshness.age() >= Age::Late);
            oldest = oldest.max(freshness.lag());
        }
        // No tickets for most of the time. Every list that follows ten seconds of silence contains what the watch missed.
        assert!(late > 450, "late for {late} of 900 looks");
        assert!(oldest < Duration::from_secs(12), "{oldest:?}");
        lag.set(Duration::ZERO);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_watch_is_detected_although_heartbeats_are_accepted() {
        let (server, freshness) = site();
        sleep(Duration::from_secs(10)).await;
        server.disrupt(http::Method::GET, "leases", Disruption::NoAnswer);
        server.forget_history();
        sleep(Duration::from_secs(8)).await;
        assert_eq!(freshness.age(), Age::Late);
        // A connection that is dead for so long is abandoned.
        sleep(Duration::from_secs(8)).await;
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_or_read_only_lease_does_not_end_access() {
        for (code, reason) in [(404, "NotFound"), (403, "Forbidden")] {
            let (server, freshness) = site();
            server.fail(Fault {
                method: http::Method::PATCH,
                path_part: "leases",
                code,
                reason,
                message: reason.into(),
                times: usize::MAX,
            });
            for _ in 0..100 {
                sleep(Duration::from_secs(2)).await;
                assert_eq!(freshness.age(), Age::Fresh, "{reason}");
            }
            // Not so for a failure that cannot be detected.
            server.partition(true);
            sleep(Duration::from_secs(70)).await;
            assert_eq!(freshness.age(), Age::Stale, "{reason}");
        }
    }
}

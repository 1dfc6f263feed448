//! a Lease that is touched every few seconds, and the same Lease as it is watched -> the index's age (IO).
//!
//! All replicas touch one Lease, each an annotation of its own, so that their account may write this one object and no
//! other Lease.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::index::freshness::Freshness;
use crate::metrics::Metrics;

/// How often a heartbeat is sent.
const PERIOD: Duration = Duration::from_secs(3);
/// Time for one to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Prefix of the annotations.
const PREFIX: &str = "heartbeat.gateway.workspaces.jupyter.org/";
/// A replica whose annotation is this old, in seconds, is gone: it is removed.
const FORGOTTEN: i64 = 600;

/// Heartbeats of one replica.
pub(crate) struct Heartbeat {
    leases: Api<Lease>,
    watched: Api<PartialObjectMeta<Lease>>,
    name: String,
    key: String,
    freshness: Arc<Freshness>,
    metrics: Metrics,
}

impl Heartbeat {
    /// `name`: the Lease, which exists. `replica`: different for every process.
    pub(crate) fn new(
        client: &Client,
        namespace: &str,
        name: String,
        replica: &str,
        freshness: Arc<Freshness>,
        metrics: Metrics,
    ) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            watched: Api::namespaced(client.clone(), namespace),
            name,
            key: format!("{PREFIX}{replica}"),
            freshness,
            metrics,
        }
    }

    /// Beats for ever.
    pub(crate) async fn beat(self) {
        tokio::join!(self.send(), self.watch());
    }

    async fn send(&self) {
        let start = Instant::now();
        let began = jiff::Timestamp::now().as_second();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        loop {
            ticks.tick().await;
            number += 1;
            self.freshness.sent(number);
            let now = began + i64::try_from(start.elapsed().as_secs()).unwrap_or(i64::MAX - began);
            let beat = json!({"metadata": {"annotations": {&self.key: format!("{number} {now}")}}});
            if let Err(error) = self.patch(&beat).await {
                self.metrics.heartbeat_failed();
                tracing::warn!(%error, "a heartbeat was not taken: the index may be out of date");
            }
            self.metrics.index_lag(self.freshness.lag());
        }
    }

    async fn patch(&self, change: &Value) -> Result<(), String> {
        let params = PatchParams {
            field_manager: Some(api::names::GATEWAY.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(change);
        let call = self.leases.patch(&self.name, &params, &patch);
        match timeout(PATIENCE, call).await {
            Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn watch(&self) {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watcher(self.watched.clone(), only).default_backoff();
        let mut events = pin!(events);
        loop {
            match events.try_next().await {
                Ok(Some(watcher::Event::Apply(lease) | watcher::Event::InitApply(lease))) => {
                    self.look(&lease).await;
                }
                Ok(Some(_)) => {}
                Ok(None) => pending().await,
                Err(error) => {
                    self.metrics.watch_failed("leases");
                    tracing::warn!(%error, "the watch on the heartbeat failed; it is tried again");
                }
            }
        }
    }

    async fn look(&self, lease: &PartialObjectMeta<Lease>) {
        if let Some((number, now)) = lease.annotations().get(&self.key).and_then(|text| read(text)) {
            self.freshness.seen(number);
            self.metrics.index_lag(self.freshness.lag());
            let gone = forgotten(lease, now);
            if !gone.is_empty() {
                let change = json!({"metadata": {"annotations": gone}});
                // Whoever fails leaves it to the next heartbeat.
                let _ = self.patch(&change).await;
            }
        }
    }
}

/// Number and time of a heartbeat.
fn read(text: &str) -> Option<(u64, i64)> {
    let (number, time) = text.split_once(' ')?;
    Some((number.parse().ok()?, time.parse().ok()?))
}

/// The removal of annotations of replicas that are gone.
fn forgotten(lease: &PartialObjectMeta<Lease>, now: i64) -> Map<String, Value> {
    let old = lease.annotations().iter().filter(|(key, text)| {
        key.starts_with(PREFIX) && read(text).is_none_or(|(_, time)| now.saturating_sub(time) > FORGOTTEN)
    });
    old.map(|(key, _)| (key.clone(), Value::Null)).collect()
}

#[cfg(test)]
mod tests {
    use testkit::api_server::ApiServer;
    use tokio::time::sleep;

    use super::*;
    use crate::index::freshness::Age;

    const NAME: &str = "demo-gateway-heartbeat";

    fn site() -> (ApiServer, Arc<Freshness>) {
        let (server, client) = ApiServer::start();
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {"name": NAME, "namespace": "system", "annotations": {
                "heartbeat.gateway.workspaces.jupyter.org/gone": "7 1000",
                "somebody/else": "stays",
            }},
        }))
        .unwrap();
        server.put(&lease);
        let freshness = Arc::new(Freshness::new(Duration::from_mins(1)));
        let heartbeat = Heartbeat::new(
            &client,
            "system",
            NAME.into(),
            "one",
            freshness.clone(),
            Metrics::default(),
        );
        tokio::spawn(heartbeat.beat());
        (server, freshness)
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_that_come_back_keep_the_index_fresh_and_replicas_that_are_gone_are_forgotten() {
        let (server, freshness) = site();
        for _ in 0..20 {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(freshness.age(), Age::Fresh);
        }
        let lease = server.get::<Lease>(Some("system"), NAME).unwrap();
        let keys: Vec<_> = lease.annotations().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["heartbeat.gateway.workspaces.jupyter.org/one", "somebody/else"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_shows_in_time_and_is_forgiven_when_it_is_back() {
        let (server, freshness) = site();
        sleep(Duration::from_secs(10)).await;
        server.partition(true);
        sleep(Duration::from_secs(7)).await;
        assert_eq!(freshness.age(), Age::Late);
        sleep(Duration::from_mins(1)).await;
        assert_eq!(freshness.age(), Age::Stale);
        sleep(Duration::from_mins(1)).await;
        assert_eq!(freshness.age(), Age::Lost);
        server.partition(false);
        // Watches come back with a growing pause.
        sleep(Duration::from_mins(1)).await;
        assert_eq!(freshness.age(), Age::Fresh);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_tells_nothing_shows_although_every_heartbeat_is_taken() {
        let (server, freshness) = site();
        sleep(Duration::from_secs(10)).await;
        server.hinder(
            http::Method::GET,
            "leases",
            testkit::api_server::Hindrance::Silence,
        );
        server.forget_history();
        sleep(Duration::from_secs(8)).await;
        assert_eq!(freshness.age(), Age::Late);
    }
}

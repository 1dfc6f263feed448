//! events -> metrics for Prometheus (pure).
//!
//! `names` names each metric; docs/monitoring.md lists them, and a test compares the two.

mod names;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Statuses of `/verify` that are present from the start.
const STATUSES: [u16; 7] = [200, 302, 400, 401, 403, 421, 503];

/// Name and value of a metric's single label.
type Label = [(&'static str, &'static str); 1];

/// Names and values of two labels.
type Labels = [(&'static str, &'static str); 2];

/// The gateway's own metrics. All clones share the counters.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    verified: Family<[(&'static str, u16); 1], Counter>,
    verify_duration: Histogram,
    decisions: Family<Labels, Counter>,
    reviews: Family<Label, Counter>,
    bearer: Family<Labels, Counter>,
    index_lag: Gauge<f64, AtomicU64>,
    heartbeat_failures: Counter,
    audit: kit::audit::Counters,
    sockets: Gauge,
    upgrades: Family<Label, Counter>,
    polls: Family<Label, Counter>,
    workspaces: Gauge,
    watch_failures: Family<Label, Counter>,
    watch_whole: Family<Label, Gauge>,
    connections: Family<Label, Gauge>,
    under_way: Family<Label, Gauge>,
    shed: Family<Label, Counter>,
    malformed: Family<Label, Counter>,
    rate_limited: Family<Labels, Counter>,
    loop_lag: Gauge<f64, AtomicU64>,
    sign_ins: Family<Label, Counter>,
    session_ends: Family<Label, Counter>,
    sessions: Gauge,
    renewals: Family<Label, Counter>,
    provider_requests: Family<Labels, Counter>,
    provider_duration: Family<Label, Histogram>,
    keys_unpublished: Counter,
    sealing_keys: Gauge,
    sealing_key_since: Gauge<i64, AtomicI64>,
    certificate_ends: Family<Label, Gauge>,
}

impl Metrics {
    /// All of them, for `/metrics`.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Prepares the counter of refusals of this kind, so that the first one shows as an increase.
    pub(crate) fn sheds(&self, kind: &'static str) {
        drop(self.shed.get_or_create(&[("kind", kind)]));
    }

    /// An answer of `/verify`.
    pub fn count_verification(&self, status: StatusCode, took: Duration) {
        self.verify_duration.observe(took.as_secs_f64());
        self.verified.get_or_create(&[("status", status.as_u16())]).inc();
    }

    /// A user was admitted.
    pub fn count_allowed(&self, rule: &'static str) {
        let labels = [("result", "allowed"), ("rule", rule)];
        self.decisions.get_or_create(&labels).inc();
    }

    /// A user was refused.
    pub fn count_denied(&self, rule: &'static str) {
        let labels = [("result", "denied"), ("rule", rule)];
        self.decisions.get_or_create(&labels).inc();
    }

    /// The API server answered an access review, or failed to.
    pub fn review(&self, answer: &'static str) {
        self.reviews.get_or_create(&[("answer", answer)]).inc();
    }

    /// The token of a request was checked. `whose`: the kind of token, as far as known.
    pub fn bearer(&self, whose: &'static str, outcome: &'static str) {
        let labels = [("whose", whose), ("outcome", outcome)];
        self.bearer.get_or_create(&labels).inc();
    }

    /// Maximum possible age of the index.
    pub fn index_lag(&self, lag: Duration) {
        self.index_lag.set(lag.as_secs_f64());
    }

    /// The public keys of the signer could not be published.
    pub fn count_failed_publication(&self) {
        self.keys_unpublished.inc();
    }

    /// The API server did not accept a heartbeat.
    pub fn count_failed_heartbeat(&self) {
        self.heartbeat_failures.inc();
    }

    /// Counters of the audit log.
    pub fn audit(&self) -> kit::audit::Counters {
        self.audit.clone()
    }

    /// A request with an Upgrade header ended, or became a socket (`outcome` `opened`).
    pub fn upgrade(&self, outcome: &'static str) {
        self.upgrades.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts a websocket as open until the guard is dropped.
    pub fn socket(&self) -> Open {
        Open::new(self.sockets.clone())
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection(&self, listener: &'static str) -> Open {
        Open::new(self.connections.get_or_create_owned(&[("listener", listener)]))
    }

    /// A poll was answered.
    pub fn poll(&self, answer: &'static str) {
        self.polls.get_or_create(&[("answer", answer)]).inc();
    }

    /// The index was rebuilt.
    pub fn index_size(&self, workspaces: usize) {
        self.workspaces.set(i64::try_from(workspaces).unwrap_or(i64::MAX));
    }

    /// A watch broke.
    pub fn count_failed_watch(&self, resource: &'static str) {
        self.watch_failures.get_or_create(&[("resource", resource)]).inc();
    }

    /// Expiry of one of the gateway's certificates, Unix seconds.
    pub fn certificate_ends(&self, certificate: &'static str, end: i64) {
        let labels = [("certificate", certificate)];
        self.certificate_ends.get_or_create_owned(&labels).set(end);
    }

    /// Whether a watch is complete, or restarting.
    pub fn set_watch_complete(&self, resource: &'static str, whole: bool) {
        let gauge = self.watch_whole.get_or_create_owned(&[("resource", resource)]);
        gauge.set(i64::from(whole));
    }

    /// Counts a request of this kind as in progress until the guard is dropped.
    pub fn request(&self, kind: &'static str) -> Open {
        Open::new(self.under_way.get_or_create_owned(&[("kind", kind)]))
    }

    /// A request was refused, because too many of its kind are in progress.
    pub fn count_shed(&self, kind: &'static str) {
        self.shed.get_or_create(&[("kind", kind)]).inc();
    }

    /// A listener received an unreadable request and answered 400.
    pub fn count_malformed(&self, listener: &'static str) {
        self.malformed.get_or_create(&[("listener", listener)]).inc();
    }

    /// A client exceeded its rate limit.
    pub fn count_rate_limited(&self, what: &'static str, by: &'static str) {
        self.rate_limited
            .get_or_create(&[("what", what), ("by", by)])
            .inc();
    }

    /// Delay of a timer of the process.
    pub fn loop_lag(&self, lag: Duration) {
        self.loop_lag.set(lag.as_secs_f64());
    }

    /// A login ended; `outcome` is `signed_in`, or why not.
    pub fn sign_in(&self, outcome: &'static str) {
        self.sign_ins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A session ended before its expiry.
    pub fn count_session_end(&self, by: &'static str) {
        self.session_ends.get_or_create(&[("by", by)]).inc();
    }

    /// Number of known sessions.
    pub fn sessions(&self, count: usize) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The provider was asked whether it still confirms a user.
    pub fn renewal(&self, outcome: &'static str) {
        self.renewals.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A request was sent to the identity provider.
    pub fn observe_provider(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.provider_requests
            .get_or_create(&[("call", call), ("outcome", outcome)])
            .inc();
        self.provider_duration
            .get_or_create(&[("call", call)])
            .observe(took.as_secs_f64());
    }

    /// Number of sealing keys, and since when the present one seals (Unix seconds).
    pub fn sealing_keys(&self, count: usize, since: i64) {
        self.sealing_keys.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.sealing_key_since.set(since);
    }
}

/// Counts something open in a gauge for as long as this lives.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_status_and_connections_while_they_are_open() {
        let metrics = Metrics::default();
        metrics.count_verification(StatusCode::OK, Duration::from_micros(30));
        metrics.count_verification(StatusCode::METHOD_NOT_ALLOWED, Duration::from_micros(30));
        metrics.count_allowed("group_share");
        metrics.count_denied("no_right");
        let open = metrics.socket();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        for line in [
            "jupyter_k8s_gateway_verify_answers_total{status=\"200\"} 1",
            "jupyter_k8s_gateway_verify_answers_total{status=\"405\"} 1",
            "jupyter_k8s_gateway_verify_duration_seconds_count 2",
            "jupyter_k8s_gateway_relay_sockets 1",
            "jupyter_k8s_gateway_decisions_total{result=\"allowed\",rule=\"group_share\"} 1",
            "jupyter_k8s_gateway_decisions_total{result=\"denied\",rule=\"no_right\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        drop(open);
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        assert!(text.contains("jupyter_k8s_gateway_relay_sockets 0"));
    }
}

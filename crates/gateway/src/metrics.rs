//! what happened -> numbers for Prometheus (pure).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rules::access::Allowed;

/// Statuses of `/verify` that are counted one by one; all others count as `other`.
const STATUSES: [(u16, &str); 7] = [
    (200, "200"),
    (302, "302"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (421, "421"),
    (503, "503"),
];

/// Seconds that `/verify` may take; it does no IO as a rule, so the scale is short.
const VERIFY_BUCKETS: [f64; 8] = [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1, 1.0];

/// Reasons for which somebody is denied, one by one.
const DENIALS: [&str; 6] = [
    "no_workspace",
    "anonymous",
    "not_owner",
    "no_right",
    "unanswered",
    "stale",
];

/// Name and value of the one label that a metric has.
type Label = [(&'static str, &'static str); 1];

/// Names and values of two labels.
type Labels = [(&'static str, &'static str); 2];

/// The gateway's own metrics. Every clone counts into the same numbers.
#[derive(Debug, Clone)]
pub struct Metrics {
    verified: Family<Label, Counter>,
    /// The counters of `verified`, held ready: a look-up by label takes a lock, which the hot path does without.
    verified_by_status: [Counter; STATUSES.len()],
    verify_duration: Histogram,
    decisions: Family<Labels, Counter>,
    /// As `verified_by_status`, for those allowed by each rule.
    allowed: [Counter; Allowed::ALL.len()],
    reviews: Family<Label, Counter>,
    index_lag: Gauge<f64, AtomicU64>,
    heartbeat_failures: Counter,
    audit_records: Counter,
    audit_lost: Counter,
    sockets: Gauge,
    upgrades: Family<Label, Counter>,
    polls: Family<Label, Counter>,
    workspaces: Gauge,
    watch_failures: Family<Label, Counter>,
    connections: Family<Label, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let verified = Family::<Label, Counter>::default();
        let verified_by_status = STATUSES.map(|(_, name)| verified.get_or_create_owned(&[("status", name)]));
        let decisions = Family::<Labels, Counter>::default();
        let allowed = Allowed::ALL
            .map(|rule| decisions.get_or_create_owned(&[("result", "allowed"), ("rule", rule.reason())]));
        for rule in DENIALS {
            drop(decisions.get_or_create(&[("result", "denied"), ("rule", rule)]));
        }
        Self {
            decisions,
            allowed,
            reviews: Family::default(),
            index_lag: Gauge::default(),
            heartbeat_failures: Counter::default(),
            audit_records: Counter::default(),
            audit_lost: Counter::default(),
            verified,
            verified_by_status,
            verify_duration: Histogram::new(VERIFY_BUCKETS),
            sockets: Gauge::default(),
            upgrades: Family::default(),
            polls: Family::default(),
            workspaces: Gauge::default(),
            watch_failures: Family::default(),
            connections: Family::default(),
        }
    }
}

impl Metrics {
    /// Adds every metric to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("jupyter_k8s_gateway");
        registry.register(
            "verify_answers",
            "Answers of /verify by status",
            self.verified.clone(),
        );
        registry.register_with_unit(
            "verify_duration",
            "Time from the head of a request to /verify until its answer is ready",
            Unit::Seconds,
            self.verify_duration.clone(),
        );
        registry.register(
            "decisions",
            "Decisions whether a person may connect, by result and by the rule that decided",
            self.decisions.clone(),
        );
        registry.register(
            "access_reviews",
            "Questions to the API server about the right to connect, by answer",
            self.reviews.clone(),
        );
        registry.register_with_unit(
            "index_lag",
            "How long the oldest heartbeat is under way that has not come back, or the watch is broken that is so the longest; 0 when nothing lags",
            Unit::Seconds,
            self.index_lag.clone(),
        );
        registry.register(
            "heartbeat_failures",
            "Heartbeats that the API server did not take",
            self.heartbeat_failures.clone(),
        );
        registry.register(
            "audit_records",
            "Records written to the audit log by this process",
            self.audit_records.clone(),
        );
        registry.register(
            "audit_lost",
            "Records that the audit log did not take",
            self.audit_lost.clone(),
        );
        registry.register(
            "relay_sockets",
            "Websockets open at the moment",
            self.sockets.clone(),
        );
        registry.register(
            "relay_upgrades",
            "Requests with an Upgrade header by what became of them",
            self.upgrades.clone(),
        );
        registry.register("provider_polls", "Polls of Traefik by answer", self.polls.clone());
        registry.register(
            "index_workspaces",
            "Workspaces in the index",
            self.workspaces.clone(),
        );
        registry.register(
            "watch_failures",
            "Failures of watches by resource",
            self.watch_failures.clone(),
        );
        registry.register(
            "connections",
            "Connections open at the moment by listener",
            self.connections.clone(),
        );
    }

    /// An answer of `/verify`.
    pub fn verified(&self, status: StatusCode, took: Duration) {
        self.verify_duration.observe(took.as_secs_f64());
        match STATUSES.iter().position(|(code, _)| *code == status.as_u16()) {
            Some(at) => self.verified_by_status[at].inc(),
            None => self.verified.get_or_create(&[("status", "other")]).inc(),
        };
    }

    /// Somebody was let in.
    pub fn allowed(&self, rule: Allowed) {
        if let Some(at) = Allowed::ALL.iter().position(|known| *known == rule) {
            self.allowed[at].inc();
        }
    }

    /// Somebody was not let in.
    pub fn denied(&self, rule: &'static str) {
        let labels = [("result", "denied"), ("rule", rule)];
        self.decisions.get_or_create(&labels).inc();
    }

    /// The API server was asked about a right.
    pub fn review(&self, answer: &'static str) {
        self.reviews.get_or_create(&[("answer", answer)]).inc();
    }

    /// How far the index lags behind.
    pub fn index_lag(&self, lag: Duration) {
        self.index_lag.set(lag.as_secs_f64());
    }

    /// The API server did not take a heartbeat.
    pub fn heartbeat_failed(&self) {
        self.heartbeat_failures.inc();
    }

    /// A record of the audit log was written.
    pub fn audited(&self) {
        self.audit_records.inc();
    }

    /// Records of the audit log were not written.
    pub fn audit_lost(&self, count: u64) {
        self.audit_lost.inc_by(count);
    }

    /// A request with an Upgrade header came to an end, or became a socket (`outcome` `opened`).
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

    /// A watch broke off.
    pub fn watch_failed(&self, resource: &'static str) {
        self.watch_failures.get_or_create(&[("resource", resource)]).inc();
    }
}

/// Something open that a gauge counts for as long as this lives.
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
    fn answers_are_counted_by_status_and_open_things_while_they_live() {
        let metrics = Metrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        metrics.verified(StatusCode::OK, Duration::from_micros(30));
        metrics.verified(StatusCode::IM_A_TEAPOT, Duration::from_micros(30));
        metrics.allowed(Allowed::GroupShare);
        metrics.denied("no_right");
        let open = metrics.socket();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "jupyter_k8s_gateway_verify_answers_total{status=\"200\"} 1",
            "jupyter_k8s_gateway_verify_answers_total{status=\"other\"} 1",
            "jupyter_k8s_gateway_verify_duration_seconds_count 2",
            "jupyter_k8s_gateway_relay_sockets 1",
            "jupyter_k8s_gateway_decisions_total{result=\"allowed\",rule=\"group_share\"} 1",
            "jupyter_k8s_gateway_decisions_total{result=\"denied\",rule=\"no_right\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        drop(open);
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("jupyter_k8s_gateway_relay_sockets 0"));
    }
}

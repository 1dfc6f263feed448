//! registry -> each metric in it, with name and help text (pure).
//!
//! docs/monitoring.md lists them all, and the test below compares it with this list.

use std::sync::Arc;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use rules::access::{Allowed, Denied};

use super::{Metrics, STATUSES};

/// Buckets for the duration of `/verify`, in seconds. It usually does no IO, so they are short.
const VERIFY_BUCKETS: [f64; 8] = [0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.01, 0.1, 1.0];

/// Buckets for the duration of the identity provider's answers, in seconds.
const PROVIDER_BUCKETS: [f64; 7] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Rules of denials beside those of [`Denied`]: the workspace does not exist, and the index is too old.
const OTHER_DENIALS: [&str; 2] = ["no_workspace", "stale"];

fn add<M: Metric + Clone + Default>(all: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    all.register(name, help, metric.clone());
    metric
}

fn seconds<M: Metric + Clone + Default>(all: &mut Registry, name: &str, help: &str) -> M {
    seconds_of(all, name, help, M::default())
}

fn seconds_of<M: Metric + Clone>(all: &mut Registry, name: &str, help: &str, metric: M) -> M {
    all.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

impl Default for Metrics {
    #[expect(clippy::too_many_lines, reason = "a list")]
    fn default() -> Self {
        let mut registry = Registry::with_prefix("jupyter_k8s_gateway");
        let all = &mut registry;
        let mut metrics = Self {
            registry: Arc::default(),
            // Auth requests of the proxy, and the decisions.
            verified: add(all, "verify_answers", "Answers of /verify, by status"),
            verify_duration: seconds_of(
                all,
                "verify_duration",
                "Time from the head of a request to /verify until its answer is ready",
                Histogram::new(VERIFY_BUCKETS),
            ),
            decisions: add(
                all,
                "decisions",
                "Access decisions, by result and by the rule that decided",
            ),
            reviews: add(
                all,
                "access_reviews",
                "SubjectAccessReviews about the right to connect, by answer",
            ),
            bearer: add(
                all,
                "bearer_tokens",
                "Bearer tokens in requests, by kind of token and result of the check",
            ),
            audit: kit::audit::Counters {
                records: add(
                    all,
                    "audit_records",
                    "Records written to the audit log by this process",
                ),
                lost: add(
                    all,
                    "audit_lost",
                    "Records that could not be written to the audit log",
                ),
            },
            // Websockets.
            sockets: add(all, "relay_sockets", "Open websockets"),
            upgrades: add(
                all,
                "relay_upgrades",
                "Requests with an Upgrade header, by outcome",
            ),
            // The state of the index, and its age.
            index_lag: seconds(
                all,
                "index_lag",
                "Age of the index at the last check: time since the last answered heartbeat was sent, or \
 since a broken watch was last complete. Normally at most one second and a round trip",
            ),
            heartbeat_failures: add(
                all,
                "heartbeat_failures",
                "Heartbeats that could not be written to the API server",
            ),
            workspaces: add(all, "index_workspaces", "Workspaces in the index"),
            watch_whole: add(
                all,
                "watch_whole",
                "1 while a watch is complete, 0 while it lists its resource again",
            ),
            watch_failures: add(all, "watch_failures", "Failures of watches, by resource"),
            polls: add(all, "provider_polls", "Polls by Traefik, by answer"),
            // Sign-in, sessions and keys.
            sign_ins: add(
                all,
                "sign_ins",
                "Logins that ended, by outcome: signed_in, or the reason of the failure",
            ),
            session_ends: add(
                all,
                "session_ends",
                "Sessions that ended before they expired, by cause",
            ),
            sessions: add(all, "sessions", "Known sessions"),
            renewals: add(
                all,
                "session_renewals",
                "Renewals of a session at the identity provider, by outcome",
            ),
            provider_requests: add(
                all,
                "identity_provider_requests",
                "Requests to the identity provider, by call and outcome",
            ),
            provider_duration: seconds_of(
                all,
                "identity_provider_duration",
                "Time until the identity provider's whole answer, by call",
                Family::new_with_constructor(|| Histogram::new(PROVIDER_BUCKETS)),
            ),
            keys_unpublished: add(
                all,
                "key_publication_failures",
                "Failed attempts to publish the keys that verify identity assertions",
            ),
            sealing_keys: add(
                all,
                "sealing_keys",
                "Keys that decrypt cookies and session objects",
            ),
            sealing_key_since: seconds(
                all,
                "sealing_key_since_timestamp",
                "Unix time since which the current encryption key is used",
            ),
            certificate_ends: seconds(
                all,
                "certificate_end_timestamp",
                "Unix time at which a certificate ends that the gateway made: \
 server, authority, proxy_client, portal, self_signed, self_signed_authority",
            ),
            // Load, and the reactions to it.
            connections: add(all, "connections", "Open connections, by listener"),
            under_way: add(all, "requests_under_way", "Requests in progress, by kind"),
            shed: add(
                all,
                "requests_shed",
                "Requests refused because too many of their kind were in progress, by kind",
            ),
            malformed: add(
                all,
                "requests_malformed",
                "Malformed requests answered with 400, by listener",
            ),
            rate_limited: add(
                all,
                "requests_limited",
                "Requests refused by a rate limit, by kind of request and by the limited key (session or address)",
            ),
            loop_lag: seconds(all, "loop_lag", "Delay of the event loop at its last check"),
        };
        metrics.registry = Arc::new(registry);
        // Present from the start, so that the first event shows as an increase.
        for status in STATUSES {
            drop(metrics.verified.get_or_create(&[("status", status)]));
        }
        for rule in Allowed::ALL.map(Allowed::reason) {
            let labels = [("result", "allowed"), ("rule", rule)];
            drop(metrics.decisions.get_or_create(&labels));
        }
        for rule in Denied::ALL.map(Denied::reason).into_iter().chain(OTHER_DENIALS) {
            let labels = [("result", "denied"), ("rule", rule)];
            drop(metrics.decisions.get_or_create(&labels));
        }
        for listener in ["verify", "routes", "pages"] {
            drop(metrics.malformed.get_or_create(&[("listener", listener)]));
        }
        for outcome in ["confirmed", "ended", "unanswered"] {
            drop(metrics.renewals.get_or_create(&[("outcome", outcome)]));
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_page_about_metrics_lists_exactly_the_exported_metrics() {
        let metrics = Metrics::default();
        // Metrics with labels appear once they have a value.
        metrics.review("granted");
        metrics.bearer("user", "kept");
        metrics.upgrade("opened");
        metrics.set_watch_complete("workspaces", true);
        metrics.count_failed_watch("workspaces");
        metrics.certificate_ends("server", 1);
        metrics.poll("changed");
        metrics.count_rate_limited("enter", "address");
        metrics.sign_in("signed_in");
        metrics.count_session_end("user");
        metrics.observe_provider("login", "answered", Duration::from_millis(3));
        metrics.count_shed("question");
        let _open = (metrics.connection("verify"), metrics.request("question"));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics.registry()).unwrap();
        testkit::documented::assert_documented(&text, "jupyter_k8s_gateway_");
    }
}

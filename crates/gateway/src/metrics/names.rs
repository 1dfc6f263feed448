//! metrics -> their names and help texts in the registry (pure).
//!
//! docs/metrics.md lists them all, and the test below compares it with this list.

use prometheus_client::registry::{Registry, Unit};

use super::Metrics;

impl Metrics {
    /// Adds every metric to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("jupyter_k8s_gateway");
        self.register_requests(registry);
        self.register_websockets(registry);
        self.register_index(registry);
        self.register_logins(registry);
        self.register_load(registry);
    }

    /// Auth requests of the proxy, and the decisions.
    fn register_requests(&self, registry: &mut Registry) {
        registry.register(
            "verify_answers",
            "Answers of /verify, by status",
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
            "Access decisions, by result and by the rule that decided",
            self.decisions.clone(),
        );
        registry.register(
            "access_reviews",
            "SubjectAccessReviews about the right to connect, by answer",
            self.reviews.clone(),
        );
        registry.register(
            "bearer_tokens",
            "Bearer tokens in requests, by kind of token and result of the check",
            self.bearer.clone(),
        );
        registry.register(
            "audit_records",
            "Records written to the audit log by this process",
            self.audit_records.clone(),
        );
        registry.register(
            "audit_lost",
            "Records that could not be written to the audit log",
            self.audit_lost.clone(),
        );
    }

    fn register_websockets(&self, registry: &mut Registry) {
        registry.register("relay_sockets", "Open websockets", self.sockets.clone());
        registry.register(
            "relay_upgrades",
            "Requests with an Upgrade header, by outcome",
            self.upgrades.clone(),
        );
    }

    /// The state of the index, and its age.
    fn register_index(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "index_lag",
            "Age of the index at the last check: time since the last answered heartbeat was sent, or since a broken watch was last complete. Normally at most one second and a round trip",
            Unit::Seconds,
            self.index_lag.clone(),
        );
        registry.register(
            "heartbeat_failures",
            "Heartbeats that could not be written to the API server",
            self.heartbeat_failures.clone(),
        );
        registry.register(
            "index_workspaces",
            "Workspaces in the index",
            self.workspaces.clone(),
        );
        registry.register(
            "watch_whole",
            "1 while a watch is complete, 0 while it lists its resource again",
            self.watch_whole.clone(),
        );
        registry.register(
            "watch_failures",
            "Failures of watches, by resource",
            self.watch_failures.clone(),
        );
        registry.register(
            "provider_polls",
            "Polls by Traefik, by answer",
            self.polls.clone(),
        );
    }

    /// Sign-in, sessions and keys.
    fn register_logins(&self, registry: &mut Registry) {
        registry.register(
            "sign_ins",
            "Logins that ended, by outcome: signed_in, or the reason of the failure",
            self.sign_ins.clone(),
        );
        registry.register(
            "session_ends",
            "Sessions that ended before they expired, by cause",
            self.session_ends.clone(),
        );
        registry.register("sessions", "Known sessions", self.sessions.clone());
        registry.register(
            "session_renewals",
            "Renewals of a session at the identity provider, by outcome",
            self.renewals.clone(),
        );
        registry.register(
            "identity_provider_requests",
            "Requests to the identity provider, by call and outcome",
            self.provider_requests.clone(),
        );
        registry.register_with_unit(
            "identity_provider_duration",
            "Time until the identity provider's whole answer, by call",
            Unit::Seconds,
            self.provider_duration.clone(),
        );
        registry.register(
            "key_publication_failures",
            "Failed attempts to publish the keys that verify identity assertions",
            self.keys_unpublished.clone(),
        );
        registry.register(
            "sealing_keys",
            "Keys that decrypt cookies and session objects",
            self.sealing_keys.clone(),
        );
        registry.register_with_unit(
            "sealing_key_since_timestamp",
            "Unix time since which the present key seals",
            Unit::Seconds,
            self.sealing_key_since.clone(),
        );
        registry.register_with_unit(
            "certificate_end_timestamp",
            "Unix time at which a certificate ends that the gateway made: server, authority, proxy_client, portal, self_signed, self_signed_authority",
            Unit::Seconds,
            self.certificate_ends.clone(),
        );
    }

    /// Load, and the reactions to it.
    fn register_load(&self, registry: &mut Registry) {
        registry.register(
            "connections",
            "Open connections, by listener",
            self.connections.clone(),
        );
        registry.register(
            "requests_under_way",
            "Requests in progress, by kind",
            self.under_way.clone(),
        );
        registry.register(
            "requests_shed",
            "Requests refused because too many of their kind were in progress, by kind",
            self.shed.clone(),
        );
        registry.register(
            "requests_malformed",
            "Malformed requests answered with 400, by listener",
            self.malformed.clone(),
        );
        registry.register(
            "requests_limited",
            "Requests refused by a rate limit, by kind of request and by the limited key (session or address)",
            self.rate_limited.clone(),
        );
        registry.register_with_unit(
            "loop_lag",
            "By how much the process was late, at the last look, for something it meant to do",
            Unit::Seconds,
            self.loop_lag.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_page_about_metrics_lists_exactly_the_exported_metrics() {
        let (mut registry, metrics) = (Registry::default(), Metrics::default());
        metrics.register(&mut registry);
        // Metrics with labels appear once they have a value.
        metrics.review("granted");
        metrics.bearer("person", "kept");
        metrics.upgrade("opened");
        metrics.set_watch_complete("workspaces", true);
        metrics.watch_failed("workspaces");
        metrics.certificate_ends("server", 1);
        metrics.poll("changed");
        metrics.rate_limited("enter", "address");
        metrics.sign_in("signed_in");
        metrics.session_ended("person");
        metrics.provider_asked("login", "answered", Duration::from_millis(3));
        let _open = (metrics.connection("verify"), metrics.request("question"));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        testkit::documented::assert_documented(&text, "jupyter_k8s_gateway_");
    }
}

//! Answers and their times -> metrics (in memory).

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Metrics of admission. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: Family<RequestLabels, Counter>,
    duration: Family<PathLabels, Histogram>,
    certificate_ends: Family<CertificateLabels, Gauge>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    webhook: &'static str,
    /// Result of validation. Dashboards and alerts of users query this name.
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PathLabels {
    webhook: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateLabels {
    certificate: &'static str,
}

impl Metrics {
    /// Creates the metrics and adds them to `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            // 0.5 ms to 4 s: the API server gives up after 5 s.
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0005, 2.0, 14))),
            certificate_ends: Family::default(),
        };
        let prefix = registry.sub_registry_with_prefix("jupyter_k8s_webhook");
        prefix.register(
            "requests",
            "Admission requests by webhook and result",
            metrics.requests.clone(),
        );
        prefix.register_with_unit(
            "request_duration",
            "Time from a request's body to its answer",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        prefix.register_with_unit(
            "certificate_end_timestamp",
            "Unix time at which a certificate ends that the webhook made: server, authority",
            Unit::Seconds,
            metrics.certificate_ends.clone(),
        );
        metrics
    }

    /// Sets the end of one of our certificates, in Unix seconds.
    pub(crate) fn certificate_ends(&self, certificate: &'static str, end: i64) {
        self.certificate_ends
            .get_or_create(&CertificateLabels { certificate })
            .set(end);
    }

    /// Counts a request of `webhook` that was refused because of too many concurrent requests.
    pub(crate) fn count_shed(&self, webhook: &'static str) {
        let labels = RequestLabels {
            webhook,
            result: "shed",
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts one answer of `webhook`, `mutate` or `validate`.
    pub(crate) fn count(&self, webhook: &'static str, result: &'static str, took: Duration) {
        self.requests
            .get_or_create(&RequestLabels { webhook, result })
            .inc();
        self.duration
            .get_or_create(&PathLabels { webhook })
            .observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_metrics_lists_every_metric_and_no_other() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.count("validate", "allow", Duration::from_millis(3));
        metrics.certificate_ends("server", 1);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        testkit::documented::assert_documented(&text, "jupyter_k8s_webhook_");
    }
}

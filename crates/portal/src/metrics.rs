//! Answers and changes -> metrics (in memory).

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the portal. Clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    answers: Family<AnswerLabels, Counter>,
    changes: Family<ChangeLabels, Counter>,
    streams: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AnswerLabels {
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChangeLabels {
    action: String,
    result: &'static str,
}

impl Metrics {
    /// Adds the metrics to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let prefix = registry.sub_registry_with_prefix("jupyter_k8s_portal");
        prefix.register("answers", "Answers by method and status", self.answers.clone());
        prefix.register(
            "changes",
            "Changes that were sent to the API server as a user, by action and result",
            self.changes.clone(),
        );
        prefix.register(
            "streams",
            "Open pages that are kept up to date",
            self.streams.clone(),
        );
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, is_change: bool, status: StatusCode) {
        let labels = AnswerLabels {
            method: if is_change { "POST" } else { "GET" },
            status: status.as_u16(),
        };
        self.answers.get_or_create(&labels).inc();
    }

    /// Counts a change.
    pub(crate) fn changed(&self, action: &str, result: &'static str) {
        let labels = ChangeLabels {
            action: action.to_owned(),
            result,
        };
        self.changes.get_or_create(&labels).inc();
    }

    /// Sets the number of open streams.
    pub(crate) fn streams(&self, open: u32) {
        self.streams.set(i64::from(open));
    }
}

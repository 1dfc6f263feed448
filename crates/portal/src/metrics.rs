//! Answers and changes -> metrics (in memory).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Metrics of the portal. Clones share their values.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    answers: Family<AnswerLabels, Counter>,
    changes: Family<ChangeLabels, Counter>,
    streams: Gauge,
    dry_runs: Family<DryRunLabels, Counter>,
    impersonations_refused: Counter,
    index_lag: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AnswerLabels {
    page: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DryRunLabels {
    result: &'static str,
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
        prefix.register(
            "answers",
            "Answers by kind of page, method and status",
            self.answers.clone(),
        );
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
        prefix.register(
            "dry_runs",
            "Checks of forms by the API server as a user, by result. They store nothing and are no changes",
            self.dry_runs.clone(),
        );
        prefix.register(
            "impersonations_refused",
            "Requests as a user that the API server refused because the portal's account may not impersonate",
            self.impersonations_refused.clone(),
        );
        prefix.register_with_unit(
            "index_lag",
            "Time since the oldest interrupted watch was complete; 0 while none is interrupted",
            Unit::Seconds,
            self.index_lag.clone(),
        );
    }

    /// Counts an answer. `page`: its route, without names of objects.
    pub(crate) fn count_answer(&self, page: &str, is_change: bool, status: StatusCode) {
        let labels = AnswerLabels {
            page: page.to_owned(),
            method: if is_change { "POST" } else { "GET" },
            status: status.as_u16(),
        };
        self.answers.get_or_create(&labels).inc();
    }

    /// Counts a change.
    pub(crate) fn count_change(&self, action: &str, result: &'static str) {
        let labels = ChangeLabels {
            action: action.to_owned(),
            result,
        };
        self.changes.get_or_create(&labels).inc();
    }

    /// Counts a dry run.
    pub(crate) fn dry_run(&self, result: &'static str) {
        self.dry_runs.get_or_create(&DryRunLabels { result }).inc();
    }

    /// Counts a request that the API server did not accept for another user.
    pub(crate) fn impersonation_refused(&self) {
        self.impersonations_refused.inc();
    }

    /// Sets how old the objects in memory may be.
    pub(crate) fn index_lag(&self, lag: Duration) {
        self.index_lag.set(lag.as_secs_f64());
    }

    /// Sets the number of open streams.
    pub(crate) fn streams(&self, open: usize) {
        self.streams.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

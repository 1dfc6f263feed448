//! Reconciles, errors, workspaces -> metrics for `/metrics` (in memory).

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use api::workspace::Phase;
use parking_lot::Mutex;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds of the durations, in seconds.
const BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// Names and values of labels.
type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

fn step_label(step: &'static str) -> Labels<1> {
    [("step", step.into())]
}

fn phase_label(phase: Phase) -> Labels<1> {
    [("phase", format!("{phase:?}").into())]
}

/// `key`: namespace and name.
fn workspace_labels(key: &str, phase: Phase) -> Labels<3> {
    let (namespace, workspace) = key.split_once('/').unwrap_or_default();
    let [phase] = phase_label(phase);
    [
        ("namespace", namespace.to_owned().into()),
        ("workspace", workspace.to_owned().into()),
        phase,
    ]
}

/// The metrics of the operator.
#[derive(Clone)]
pub struct Metrics {
    steps: Family<Labels<1>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<2>, Counter>,
    writes: Family<Labels<1>, Counter>,
    unanswered: Counter,
    by_phase: Family<Labels<1>, Gauge>,
    by_workspace: Family<Labels<3>, Gauge>,
    leading: Gauge,
    audit_records: Counter,
    audit_lost: Counter,
    has_workspaces: Arc<AtomicBool>,
    undeclared: Gauge,
    phases: Arc<Mutex<HashMap<String, Phase>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            errors: Family::default(),
            writes: Family::default(),
            unanswered: Counter::default(),
            by_phase: Family::default(),
            by_workspace: Family::default(),
            leading: Gauge::default(),
            audit_records: Counter::default(),
            audit_lost: Counter::default(),
            has_workspaces: Arc::new(AtomicBool::new(true)),
            undeclared: Gauge::default(),
            phases: Arc::default(),
        }
    }
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("jupyter_k8s_operator");
        registry.register_with_unit(
            "reconcile_step_duration",
            "Duration of one step of a reconcile",
            Unit::Seconds,
            self.steps.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Reconciles that failed, by step and reason",
            self.errors.clone(),
        );
        registry.register("writes", "Writes to the API server, by step", self.writes.clone());
        registry.register(
            "idle_checks_unanswered",
            "Requests for the last activity of a pod that got no answer",
            self.unanswered.clone(),
        );
        registry.register("workspaces", "Workspaces by phase", self.by_phase.clone());
        registry.register(
            "workspace_phase",
            "1 for each workspace and its phase",
            self.by_workspace.clone(),
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
        registry.register("leading", "1 on the replica that leads", self.leading.clone());
        registry.register(
            "undeclared_status_fields",
            "Status fields and values that the installed CRDs lack",
            self.undeclared.clone(),
        );
    }

    /// Runs a step and measures it.
    pub fn measure<T>(&self, step: &'static str, run: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = run();
        self.step(step, begin.elapsed());
        result
    }

    /// Awaits a step and measures it.
    pub async fn timed<T>(&self, step: &'static str, run: impl Future<Output = T>) -> T {
        let begin = Instant::now();
        let result = run.await;
        self.step(step, begin.elapsed());
        result
    }

    /// Records the duration of a step of a reconcile.
    pub fn step(&self, step: &'static str, took: Duration) {
        let histogram = self.steps.get_or_create(&step_label(step));
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a failure of a reconcile in this step.
    pub fn error(&self, step: &'static str, reason: String) {
        let labels = [("step", step.into()), ("reason", reason.into())];
        self.errors.get_or_create(&labels).inc();
    }

    /// Counts a write of this step.
    pub fn write(&self, step: &'static str) {
        self.writes.get_or_create(&step_label(step)).inc();
    }

    /// Counts a pod that did not report whether it is used. This is a problem of the pod, not an error of the operator.
    pub fn unanswered(&self) {
        self.unanswered.inc();
    }

    /// Sets whether this replica leads. A replica that does not lead knows no phases.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
        if !leads {
            self.phases.lock().clear();
            self.by_phase.clear();
            self.by_workspace.clear();
        }
    }

    /// Sets whether each workspace has a gauge of its own.
    pub fn per_workspace(&self, has_workspaces: bool) {
        self.has_workspaces.store(has_workspaces, Ordering::Relaxed);
    }

    /// Counts a written audit record.
    pub fn audited(&self) {
        self.audit_records.inc();
    }

    /// Counts audit records that were not written.
    pub fn audit_lost(&self, count: u64) {
        self.audit_lost.inc_by(count);
    }

    /// Sets how many fields and enum values of statuses the cluster's CRDs lack.
    pub fn undeclared(&self, count: usize) {
        self.undeclared.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets the phase of the workspace `key`; `None`: the workspace is gone.
    pub fn phase(&self, key: &str, phase: Option<Phase>) {
        let mut phases = self.phases.lock();
        let earlier = match phase {
            Some(phase) => phases.insert(key.to_owned(), phase),
            None => phases.remove(key),
        };
        if earlier == phase {
            return;
        }
        if let Some(earlier) = earlier {
            self.by_workspace.remove(&workspace_labels(key, earlier));
            self.by_phase.get_or_create(&phase_label(earlier)).dec();
        }
        if let Some(phase) = phase {
            if self.has_workspaces.load(Ordering::Relaxed) {
                let gauge = self.by_workspace.get_or_create(&workspace_labels(key, phase));
                gauge.set(1);
            }
            self.by_phase.get_or_create(&phase_label(phase)).inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    fn text_of(metrics: &Metrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn a_workspace_is_counted_in_one_phase_and_not_after_it_is_gone() {
        let metrics = Metrics::default();
        metrics.phase("team/a", Some(Phase::Starting));
        metrics.phase("team/a", Some(Phase::Running));
        metrics.phase("team/b", Some(Phase::Running));
        metrics.phase("team/b", Some(Phase::Running));
        let text = text_of(&metrics);
        assert!(
            text.contains("jupyter_k8s_operator_workspaces{phase=\"Running\"} 2"),
            "{text}"
        );
        assert!(
            text.contains("jupyter_k8s_operator_workspaces{phase=\"Starting\"} 0"),
            "{text}"
        );
        metrics.phase("team/b", None);
        assert!(text_of(&metrics).contains("{phase=\"Running\"} 1"));
    }

    #[test]
    fn the_gauge_of_a_workspace_moves_with_its_phase_and_goes_with_it() {
        let gauge = |phase: &str| {
            format!(
                "jupyter_k8s_operator_workspace_phase{{namespace=\"team\",workspace=\"a\",phase=\"{phase}\"}} 1"
            )
        };
        let metrics = Metrics::default();
        metrics.phase("team/a", Some(Phase::Starting));
        assert!(text_of(&metrics).contains(&gauge("Starting")));
        metrics.phase("team/a", Some(Phase::Running));
        let text = text_of(&metrics);
        assert!(text.contains(&gauge("Running")), "{text}");
        assert_eq!(text.matches("workspace=\"a\"").count(), 1, "{text}");
        metrics.phase("team/a", None);
        assert!(!text_of(&metrics).contains("workspace=\"a\""));

        metrics.per_workspace(false);
        metrics.phase("team/a", Some(Phase::Running));
        let text = text_of(&metrics);
        assert!(!text.contains("workspace=\"a\""), "{text}");
        assert!(
            text.contains("jupyter_k8s_operator_workspaces{phase=\"Running\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn the_page_about_metrics_lists_exactly_the_exported_metrics() {
        let metrics = Metrics::default();
        metrics.step("apply", Duration::from_millis(3));
        metrics.error("apply", "Conflict".to_owned());
        metrics.write("apply");
        metrics.phase("team/a", Some(Phase::Running));
        testkit::documented::assert_documented(&text_of(&metrics), "jupyter_k8s_operator_");
    }

    #[test]
    fn steps_and_errors_are_named() {
        let metrics = Metrics::default();
        metrics.step("apply", Duration::from_millis(3));
        metrics.error("apply", "Conflict".to_owned());
        let text = text_of(&metrics);
        assert!(
            text.contains("reconcile_step_duration_seconds_count{step=\"apply\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("reconcile_errors_total{step=\"apply\",reason=\"Conflict\"} 1"),
            "{text}"
        );
    }
}

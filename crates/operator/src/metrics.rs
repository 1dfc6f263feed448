//! Reconciles, errors, workspaces -> metrics for `/metrics` (in memory).

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use api::{
    Workspace,
    workspace::{Phase, StopRule},
};
use kube::Resource as _;
use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::cache::stores::{Cache, Parsed};

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

/// The metrics of the operator.
#[derive(Clone)]
pub struct Metrics {
    steps: Family<Labels<1>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<2>, Counter>,
    writes: Family<Labels<1>, Counter>,
    unanswered: Counter,
    rule_stops: Family<Labels<1>, Counter>,
    expired: Counter,
    leading: Gauge,
    audit: kit::audit::Counters,
    undeclared: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            steps: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            errors: Family::default(),
            writes: Family::default(),
            unanswered: Counter::default(),
            rule_stops: Family::default(),
            expired: Counter::default(),
            leading: Gauge::default(),
            audit: kit::audit::Counters::default(),
            undeclared: Gauge::default(),
        }
    }
}

impl Metrics {
    /// Registers all metrics. `per_workspace`: whether each of `workspaces` has a gauge of its own.
    pub fn register(&self, registry: &mut Registry, workspaces: Cache<Workspace>, per_workspace: bool) {
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
        // Rates need the time series before their first stop.
        for rule in StopRule::ALL {
            self.stops_by(rule);
        }
        registry.register(
            "rule_stops",
            "Stops of workspaces that a rule required, by rule",
            self.rule_stops.clone(),
        );
        registry.register(
            "expired_workspaces",
            "Stopped workspaces that were deleted because their retention was over",
            self.expired.clone(),
        );
        registry.register_collector(Box::new(Phases {
            workspaces,
            per_workspace,
            leading: self.leading.clone(),
        }));
        registry.register(
            "audit_records",
            "Records written to the audit log by this process",
            self.audit.records.clone(),
        );
        registry.register(
            "audit_lost",
            "Records that could not be written to the audit log",
            self.audit.lost.clone(),
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
    pub async fn time<T>(&self, step: &'static str, run: impl Future<Output = T>) -> T {
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
    pub fn count_unanswered(&self) {
        self.unanswered.inc();
    }

    /// Counts a stop by a rule.
    pub fn count_stop(&self, rule: StopRule) {
        self.stops_by(rule).inc();
    }

    fn stops_by(&self, rule: StopRule) -> Counter {
        self.rule_stops
            .get_or_create_owned(&[("rule", rule.name().into())])
    }

    /// Counts a deletion of a stopped workspace.
    pub fn count_expired(&self) {
        self.expired.inc();
    }

    /// Sets whether this replica leads. Only the leader reports phases.
    pub fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// Counters of the audit log.
    pub fn audit(&self) -> kit::audit::Counters {
        self.audit.clone()
    }

    /// Sets how many fields and enum values of statuses the cluster's CRDs lack.
    pub fn set_undeclared(&self, count: usize) {
        self.undeclared.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Reads the phases of the cached workspaces when the metrics are read.
#[derive(Debug)]
struct Phases {
    workspaces: Cache<Workspace>,
    per_workspace: bool,
    leading: Gauge,
}

impl Collector for Phases {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let workspaces = if self.leading.get() == 1 {
            self.workspaces.state()
        } else {
            Vec::new()
        };
        let phases = workspaces.iter().filter_map(|it| Some((it, phase_of(it)?)));
        let mut counts: HashMap<Phase, i64> = HashMap::new();
        for (_, phase) in phases.clone() {
            *counts.entry(phase).or_default() += 1;
        }
        let mut gauges =
            encoder.encode_descriptor("workspaces", "Workspaces by phase.", None, MetricType::Gauge)?;
        for (phase, count) in &counts {
            gauges.encode_family(&phase_label(*phase))?.encode_gauge(count)?;
        }
        if !self.per_workspace {
            return Ok(());
        }
        let help = "1 for each workspace and its phase.";
        let mut gauges = encoder.encode_descriptor("workspace_phase", help, None, MetricType::Gauge)?;
        for (workspace, phase) in phases {
            let text = |text: &Option<String>| Cow::from(text.clone().unwrap_or_default());
            let [phase] = phase_label(phase);
            let labels: Labels<3> = [
                ("namespace", text(&workspace.meta().namespace)),
                ("workspace", text(&workspace.meta().name)),
                phase,
            ];
            gauges.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        Ok(())
    }
}

fn phase_of(workspace: &Parsed<Workspace>) -> Option<Phase> {
    match &workspace.0 {
        Ok(workspace) => workspace.status.as_ref()?.phase,
        Err(unreadable) => {
            let object: Value = serde_json::from_str(&unreadable.text).ok()?;
            Phase::deserialize(object.pointer("/status/phase")?).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use prometheus_client::encoding::text;
    use serde_json::json;

    use super::*;
    use crate::cache::stores::CacheWriter;

    fn text_of(metrics: &Metrics, workspaces: Cache<Workspace>, per_workspace: bool) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry, workspaces, per_workspace);
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    /// A cache with workspaces of these phases, in which the last one has a spec that does not parse.
    fn workspaces(phases: &[&str]) -> Cache<Workspace> {
        let mut writer = CacheWriter::default();
        for (number, phase) in phases.iter().enumerate() {
            let spec = if number + 1 == phases.len() {
                json!(7)
            } else {
                json!({"displayName": "w"})
            };
            let meta = json!({"name": format!("w-{number}"), "namespace": "team"});
            let object = json!({"metadata": meta, "spec": spec, "status": {"phase": phase}});
            writer.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
        }
        writer.as_reader()
    }

    #[test]
    fn the_leader_reports_how_many_workspaces_are_in_each_phase_and_the_phase_of_each() {
        let (metrics, workspaces) = (
            Metrics::default(),
            workspaces(&["Starting", "Running", "Running"]),
        );
        let text = |per_workspace| text_of(&metrics, workspaces.clone(), per_workspace);
        assert!(!text(true).contains("phase="), "it does not lead");
        metrics.leading(true);
        let all = text(true);
        for line in [
            "workspaces{phase=\"Running\"} 2",
            "workspaces{phase=\"Starting\"} 1",
            "workspace_phase{namespace=\"team\",workspace=\"w-0\",phase=\"Starting\"} 1",
            "workspace_phase{namespace=\"team\",workspace=\"w-2\",phase=\"Running\"} 1",
        ] {
            assert!(
                all.contains(&format!("\njupyter_k8s_operator_{line}\n")),
                "{line}: {all}"
            );
        }
        let some = text(false);
        assert!(
            some.contains("{phase=\"Running\"} 2") && !some.contains("workspace="),
            "{some}"
        );
    }

    #[test]
    fn the_page_about_metrics_lists_exactly_the_exported_metrics() {
        let metrics = Metrics::default();
        metrics.step("apply", Duration::from_millis(3));
        metrics.error("apply", "Conflict".to_owned());
        metrics.write("apply");
        let text = text_of(&metrics, workspaces(&[]), true);
        testkit::documented::assert_documented(&text, "jupyter_k8s_operator_");
    }
}

//! Pods, claim, quotas and Events of a workspace -> the causes of its state (pure).

use api::Workspace;
use api::condition::reason;
use api::names::PRE_PULL_LABEL;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::progress::{current_pod, had_image};
use super::{Cause, Evidence, ago, written};

/// Events that are shown at most.
const EVENTS: usize = 3;

/// Evidence of why the workspace is not in the desired state.
pub(super) fn causes(evidence: &Evidence<'_>, of: &str, message: &str) -> Vec<Cause> {
    let pods = evidence.pods.known().into_iter().flatten();
    let mut causes: Vec<_> = pods.flat_map(of_pod).collect();
    causes.extend(evidence.claim.known().and_then(Option::as_ref).and_then(of_claim));
    if of == reason::QUOTA_EXCEEDED {
        causes.extend(quotas(evidence, message));
    }
    causes.extend(warnings(evidence));
    causes
}

/// The steps of the present start and how long each took.
pub(super) fn steps(evidence: &Evidence<'_>, since: Option<Timestamp>) -> Vec<Cause> {
    const STEPS: [&str; 4] = [
        "PodScheduled",
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
    ];
    let mut causes = Vec::new();
    let pods = evidence.pods.known().map_or(&[][..], Vec::as_slice);
    let Some(pod) = current_pod(evidence.workspace, pods) else {
        return causes;
    };
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let conditions: Vec<_> = conditions.collect();
    let mut before = since;
    for step in STEPS {
        let Some(condition) = conditions.iter().find(|it| it.type_ == step) else {
            continue;
        };
        let time = condition.last_transition_time.as_ref().map(|time| time.0);
        let is_done = condition.status == "True";
        let value = match (is_done, before, time) {
            (true, Some(before), Some(time)) => format!("True, after {}", ago(before, time)),
            (false, Some(before), _) => {
                format!("{}, for {}", condition.status, ago(before, evidence.now))
            }
            _ => condition.status.clone(),
        };
        causes.push(pod_cause(pod, &format!("status.conditions[{step}]"), value, time));
        if !is_done {
            break;
        }
        before = time.or(before);
    }
    causes
}

/// Whether the node had the image in advance, where the template asks for that.
pub(super) fn in_advance(evidence: &Evidence<'_>) -> Option<Cause> {
    let template = evidence.template?;
    if template.labels().get(PRE_PULL_LABEL)? != "true" {
        return None;
    }
    let pod = current_pod(evidence.workspace, evidence.pods.known()?)?;
    let node = pod.spec.as_ref()?.node_name.as_ref()?;
    let had = if had_image(pod, evidence.pod_events)? {
        "had"
    } else {
        "did not have"
    };
    let pulled = template
        .status
        .as_ref()
        .and_then(|status| status.pulled.as_deref());
    Some(Cause {
        object: format!("WorkspaceTemplate {}", template.name_any()),
        field: "status.pulled".to_owned(),
        value: format!(
            "{}; node {node} {had} the image in advance",
            pulled.unwrap_or("not set")
        ),
        time: None,
    })
}

/// Remaining objects of a deleted workspace, by kind and name.
pub(super) fn names_left(evidence: &Evidence<'_>) -> Vec<String> {
    let pods = evidence.pods.known().into_iter().flatten();
    let claim = evidence.claim.known().and_then(Option::as_ref);
    let claim = claim.filter(|claim| claim.metadata.deletion_timestamp.is_some());
    let claim = claim.map(|claim| format!("PersistentVolumeClaim {}", claim.name_any()));
    pods.map(|pod| format!("Pod {}", pod.name_any()))
        .chain(claim)
        .collect()
}

/// Remaining objects of a deleted workspace, and what blocks their deletion.
pub(super) fn left(evidence: &Evidence<'_>) -> Vec<Cause> {
    let pods = evidence.pods.known().into_iter().flatten();
    let mut causes: Vec<_> = pods.flat_map(of_leaving).collect();
    let claim = evidence.claim.known().and_then(Option::as_ref);
    if let Some(claim) = claim.filter(|claim| claim.metadata.deletion_timestamp.is_some()) {
        let finalizers = claim.finalizers().iter();
        causes.extend(
            finalizers.map(|finalizer| of_claim_field(claim, "metadata.finalizers", finalizer.clone())),
        );
    }
    causes
}

/// The pods that are being deleted, and what blocks their deletion.
pub(super) fn leaving(evidence: &Evidence<'_>) -> Vec<Cause> {
    let pods = evidence.pods.known().into_iter().flatten();
    pods.filter(|pod| pod.metadata.deletion_timestamp.is_some())
        .flat_map(of_leaving)
        .collect()
}

fn of_leaving(pod: &Pod) -> Vec<Cause> {
    let deleted = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let value = if deleted.is_some() { "set" } else { "not set" };
    let mut causes = vec![pod_cause(
        pod,
        "metadata.deletionTimestamp",
        value.to_owned(),
        deleted,
    )];
    let finalizers = pod.finalizers().iter();
    causes.extend(finalizers.map(|finalizer| pod_cause(pod, "metadata.finalizers", finalizer.clone(), None)));
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    causes.extend(node.map(|node| pod_cause(pod, "spec.nodeName", node, None)));
    causes
}

fn pod_cause(pod: &Pod, field: &str, value: String, time: Option<Timestamp>) -> Cause {
    Cause {
        object: format!("Pod {}", pod.name_any()),
        field: field.to_owned(),
        value,
        time: time.map(written),
    }
}

/// A pod that has no node, what gates it, and containers that wait or ended.
fn of_pod(pod: &Pod) -> Vec<Cause> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let scheduled = status.conditions.iter().flatten();
    let unscheduled = scheduled.filter(|it| it.type_ == "PodScheduled" && it.status == "False");
    let mut causes: Vec<_> = unscheduled
        .map(|it| {
            let message = it.message.clone().unwrap_or_default();
            let time = it.last_transition_time.as_ref().map(|time| time.0);
            pod_cause(
                pod,
                "status.conditions[PodScheduled]",
                format!("False: {message}"),
                time,
            )
        })
        .collect();
    let gates = pod
        .spec
        .iter()
        .flat_map(|spec| spec.scheduling_gates.iter().flatten());
    causes.extend(gates.map(|gate| pod_cause(pod, "spec.schedulingGates", gate.name.clone(), None)));
    let containers = [
        ("initContainerStatuses", &status.init_container_statuses),
        ("containerStatuses", &status.container_statuses),
    ];
    for (field, statuses) in containers {
        let statuses = statuses.iter().flatten();
        causes.extend(statuses.flat_map(|container| of_container(pod, field, container)));
    }
    causes
}

fn of_container(pod: &Pod, field: &str, container: &ContainerStatus) -> Vec<Cause> {
    let at = |part: &str| format!("status.{field}[{}].{part}", container.name);
    let mut causes = Vec::new();
    if let Some(waiting) = container.state.as_ref().and_then(|state| state.waiting.as_ref()) {
        let texts = [waiting.reason.as_deref(), waiting.message.as_deref()];
        let text: Vec<_> = texts.into_iter().flatten().collect();
        causes.push(pod_cause(pod, &at("state.waiting"), text.join(": "), None));
    }
    if let Some(ended) = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
    {
        let reason = ended.reason.as_deref().unwrap_or("ended");
        let line = ended.message.as_deref().and_then(rules::termination::last_line);
        let line = line.map_or_else(String::new, |line| format!(", last line {line:?}"));
        let value = format!(
            "{reason}, exit code {}, {} restarts{line}",
            ended.exit_code, container.restart_count
        );
        let time = ended.finished_at.as_ref().map(|time| time.0);
        causes.push(pod_cause(pod, &at("lastState.terminated"), value, time));
    }
    causes
}

/// A claim without a volume.
fn of_claim(claim: &PersistentVolumeClaim) -> Option<Cause> {
    let phase = claim.status.as_ref()?.phase.as_deref()?;
    (phase != "Bound").then(|| of_claim_field(claim, "status.phase", phase.to_owned()))
}

fn of_claim_field(claim: &PersistentVolumeClaim, field: &str, value: String) -> Cause {
    Cause {
        object: format!("PersistentVolumeClaim {}", claim.name_any()),
        field: field.to_owned(),
        value,
        time: None,
    }
}

/// The usage of the quotas in the message, or else of all.
fn quotas(evidence: &Evidence<'_>, message: &str) -> Vec<Cause> {
    let all: Vec<_> = evidence.quotas.known().into_iter().flatten().collect();
    let is_named = |name: &str| message.contains(name);
    let some_named = all.iter().any(|quota| is_named(&quota.name_any()));
    let relevant = all
        .into_iter()
        .filter(|quota| !some_named || is_named(&quota.name_any()));
    let mut causes = Vec::new();
    for quota in relevant {
        let status = quota.status.clone().unwrap_or_default();
        let used = status.used.unwrap_or_default();
        for (resource, hard) in status.hard.unwrap_or_default() {
            let used = used.get(&resource).map_or("0", |used| used.0.as_str());
            causes.push(Cause {
                object: format!("ResourceQuota {}", quota.name_any()),
                field: format!("status.used[{resource}]"),
                value: format!("{used} of {}", hard.0),
                time: None,
            });
        }
    }
    causes
}

/// The last Warning Events, the newest first.
fn warnings(evidence: &Evidence<'_>) -> Vec<Cause> {
    let mut warnings: Vec<_> = own_events(evidence)
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .collect();
    warnings.sort_by_key(|event| std::cmp::Reverse(time_of(event)));
    let warnings = warnings.into_iter().take(EVENTS);
    warnings.map(of_event).collect()
}

pub(super) fn of_event(event: &Event) -> Cause {
    Cause {
        object: "Event".to_owned(),
        field: event.reason.clone().unwrap_or_default(),
        value: event.message.clone().unwrap_or_default(),
        time: time_of(event).map(written),
    }
}

/// Events about this workspace, and not about an earlier one of its name.
pub(super) fn own_events<'a>(evidence: &'a Evidence<'_>) -> impl Iterator<Item = &'a Event> {
    let uid = &evidence.workspace.metadata.uid;
    let events = evidence.events.known().into_iter().flatten();
    events.filter(move |event| event.involved_object.uid == *uid)
}

/// Whether an Event is about the workspace, its pods or its disk, and not about those of an earlier one of its name. UIDs of pods that
/// are gone are unknown, but an earlier workspace's pods are gone before this one is created.
pub fn concerns(event: &Event, workspace: &Workspace) -> bool {
    let object = &event.involved_object;
    let created = workspace.metadata.creation_timestamp.as_ref();
    let is_child = matches!(object.kind.as_deref(), Some("Pod" | "PersistentVolumeClaim"))
        && object.name == Some(rules::names::child(&workspace.name_any()));
    object.uid == workspace.metadata.uid || is_child && time_of(event) >= created.map(|time| time.0)
}

/// When an Event occurred last.
pub fn time_of(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let micro = series.or(event.event_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref());
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    last.map(|time| time.0).max(micro).or(created)
}

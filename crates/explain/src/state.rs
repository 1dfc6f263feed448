//! Conditions of a workspace -> why it does not run, or starts slowly (pure).

use api::Workspace;
use api::condition::{AVAILABLE, DEGRADED, PROGRESSING, STOPPED, VALID, find, holds, reason};
use api::workspace::DesiredStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::{Evidence, Finding, Remedy, ago, causes, leaving, of_workspace};

/// The operator usually notices a change within a second. Only a longer delay is reported.
const APPLYING: SignedDuration = SignedDuration::from_secs(5);
/// Part of the API server's message about an object in a namespace that is being deleted.
const NAMESPACE_ENDS: &str = "because it is being terminated";

/// Whether the workspace is in the desired state, and the statements of the conditions.
pub(super) fn findings(evidence: &Evidence<'_>) -> (bool, Vec<Finding>) {
    let workspace = evidence.workspace;
    if let Some(finding) = leaving::deletion(evidence) {
        return (false, vec![finding]);
    }
    if is_applying(workspace, evidence.now) {
        let finding = Finding {
            what: "The operator is applying the last change.".to_owned(),
            ..Finding::default()
        };
        return (false, vec![finding]);
    }
    if let Some(finding) = observation_finding(workspace) {
        return (false, vec![finding]);
    }
    let conditions = conditions(workspace);
    let wrong = [(VALID, "False"), (DEGRADED, "True")];
    let mut wrong: Vec<_> = wrong
        .into_iter()
        .filter_map(|(type_, value)| find(conditions, type_).filter(|it| it.status == value))
        .collect();
    // An invalid workspace is also degraded, for the same reason.
    wrong.dedup_by(|next, first| next.reason == first.reason && next.message == first.message);
    let mut found: Vec<_> = wrong
        .into_iter()
        .map(|condition| of_condition(evidence, condition))
        .collect();
    let runs = workspace.spec.desired_status == DesiredStatus::Running;
    let reached = holds(conditions, if runs { AVAILABLE } else { STOPPED });
    let as_wanted = found.is_empty() && reached;
    if !reached && found.is_empty() {
        found.push(under_way(evidence, runs));
    } else if reached && runs {
        found.push(Finding {
            what: "It runs.".to_owned(),
            because: condition_cause(workspace, AVAILABLE).into_iter().collect(),
            ..Finding::default()
        });
    }
    if reached {
        found.extend(replaced_disk(workspace, if runs { AVAILABLE } else { STOPPED }));
    }
    (as_wanted, found)
}

fn conditions(workspace: &Workspace) -> &[Condition] {
    workspace
        .status
        .as_ref()
        .map_or(&[][..], |status| status.conditions.as_slice())
}

fn condition_cause(workspace: &Workspace, type_: &str) -> Option<super::Cause> {
    let condition = find(conditions(workspace), type_)?;
    Some(of_workspace(
        workspace,
        &format!("status.conditions[{type_}]"),
        format!("{}, reason {}", condition.status, condition.reason),
        Some(condition.last_transition_time.0),
    ))
}

/// A condition that reports a problem, with the evidence of pod, claim, quotas and Events.
fn of_condition(evidence: &Evidence<'_>, condition: &Condition) -> Finding {
    let workspace = evidence.workspace;
    let mut because: Vec<_> = condition_cause(workspace, &condition.type_).into_iter().collect();
    because.extend(causes::causes(evidence, &condition.reason, &condition.message));
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        because.extend(causes::leaving(evidence));
    }
    let mut remedies: Vec<_> = Remedy::of_reason(workspace, &condition.reason, &condition.message)
        .into_iter()
        .collect();
    if because.iter().any(|cause| cause.value.contains(NAMESPACE_ENDS))
        || condition.message.contains(NAMESPACE_ENDS)
    {
        remedies.push(Remedy::of_administrator(format!(
            "Namespace {} is being deleted, so nothing can be created in it: create the workspace in another one.",
            workspace.namespace().unwrap_or_default()
        )));
    }
    Finding {
        what: text_of(&condition.message, &condition.reason),
        reason: Some(condition.reason.clone()),
        because,
        remedies,
    }
}

/// The message of a condition, or the meaning of its reason.
fn text_of(message: &str, reason: &str) -> String {
    let meaning = reason::find(reason).map(|known| known.meaning);
    match (message, meaning) {
        ("", Some(meaning)) => meaning.to_owned(),
        (message, _) => message.to_owned(),
    }
}

/// A new, empty disk that replaces a deleted one. Only the message of the fulfilled condition contains this.
fn replaced_disk(workspace: &Workspace, reached: &str) -> Option<Finding> {
    let disk = workspace.status.as_ref()?.disk.as_ref();
    let disk = disk.filter(|disk| disk.replaces_deleted)?;
    let condition = find(conditions(workspace), reached)?;
    let volume = disk.replaced_volume_name.as_ref();
    let fields = [
        ("status.disk.replacesDeleted", Some("true")),
        ("status.disk.replacedVolumeName", volume.map(String::as_str)),
    ];
    let because = fields
        .into_iter()
        .filter_map(|(field, value)| Some(of_workspace(workspace, field, value?, None)));
    Some(Finding {
        what: text_of(&condition.message, reason::VOLUME_REPLACED),
        reason: Some(reason::VOLUME_REPLACED.to_owned()),
        because: because.collect(),
        remedies: Remedy::for_reason(reason::VOLUME_REPLACED).into_iter().collect(),
    })
}

/// An incomplete start or stop without a problem: its duration, and the slow step.
fn under_way(evidence: &Evidence<'_>, runs: bool) -> Finding {
    let workspace = evidence.workspace;
    let status = workspace.status.as_ref();
    let since = status
        .and_then(|status| status.starting_since.as_ref())
        .map(|time| time.0);
    let verb = if runs { "starting" } else { "stopping" };
    let progressing = find(conditions(workspace), PROGRESSING).filter(|it| it.status == "True");
    let message = progressing
        .map(|it| it.message.as_str())
        .filter(|text| !text.is_empty());
    let time = match since {
        Some(since) if runs => format!(" for {}", ago(since, evidence.now)),
        _ => String::new(),
    };
    let mut because: Vec<_> = condition_cause(workspace, PROGRESSING).into_iter().collect();
    if runs {
        because.extend(causes::steps(evidence, since));
        because.extend(causes::in_advance(evidence));
    }
    because.extend(causes::causes(evidence, "", ""));
    let reason = progressing.map(|it| it.reason.clone());
    let documented = reason
        .as_deref()
        .and_then(|reason| Remedy::of_reason(workspace, reason, message.unwrap_or_default()));
    let mut remedies: Vec<_> = documented.into_iter().collect();
    if !runs || reason.as_deref() == Some(reason::PREDECESSOR_TERMINATING) {
        because.extend(causes::leaving(evidence));
        remedies.extend(leaving::pods(evidence));
    }
    Finding {
        what: match message {
            Some(message) => format!("It has been {verb}{time}: {message}"),
            None => format!("It has been {verb}{time}."),
        },
        remedies,
        reason,
        because,
    }
}

/// Whether the operator has not seen the last change, which is so new that this is usual.
pub(super) fn is_applying(workspace: &Workspace, now: Timestamp) -> bool {
    let is_leaving = workspace.metadata.deletion_timestamp.is_some();
    let is_new = |time| now.duration_since(time) < APPLYING;
    !is_leaving && !is_observed(workspace) && changed_at(workspace).is_some_and(is_new)
}

/// Last change of the object by any writer except the operator's status writes, if the API server's record of it was read.
fn changed_at(workspace: &Workspace) -> Option<Timestamp> {
    let records = workspace.metadata.managed_fields.iter().flatten();
    let of_object = records.filter(|record| record.subresource.as_deref().unwrap_or_default().is_empty());
    of_object
        .filter_map(|record| record.time.as_ref())
        .map(|time| time.0)
        .max()
}

fn observed_generation(workspace: &Workspace) -> Option<i64> {
    workspace.status.as_ref()?.observed_generation
}

fn is_observed(workspace: &Workspace) -> bool {
    let generation = workspace.metadata.generation.unwrap_or_default();
    match observed_generation(workspace) {
        Some(observed) => observed >= generation,
        None => !conditions(workspace).is_empty(),
    }
}

/// The operator has not seen the object, or not its last change.
fn observation_finding(workspace: &Workspace) -> Option<Finding> {
    if is_observed(workspace) {
        return None;
    }
    let generation = workspace.metadata.generation.unwrap_or_default();
    let observed = observed_generation(workspace);
    Some(Finding {
        what: "The operator has not completed the last change of the workspace yet: no operator runs, or the API server breaks off its writes.".to_owned(),
        reason: None,
        because: vec![
            of_workspace(workspace, "metadata.generation", generation.to_string(), None),
            of_workspace(
                workspace,
                "status.observedGeneration",
                observed.map_or_else(|| "not set".to_owned(), |observed| observed.to_string()),
                None,
            ),
        ],
        remedies: vec![Remedy::operator()],
    })
}

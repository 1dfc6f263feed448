//! Conditions of a workspace -> why it does not run, starts slowly or is still there (pure).

use api::Workspace;
use api::condition::{AVAILABLE, DEGRADED, PROGRESSING, STOPPED, VALID, find, holds, reason};
use api::names::CLEANUP_FINALIZER;
use api::workspace::DesiredStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{Cure, Evidence, Finding, Who, ago, cure, documented, evidence, of_workspace};

/// Whether the workspace is as wanted, and what the conditions say.
pub(super) fn findings(evidence: &Evidence<'_>) -> (bool, Vec<Finding>) {
    let workspace = evidence.workspace;
    if let Some(finding) = deletion(evidence) {
        return (false, vec![finding]);
    }
    if let Some(finding) = unobserved(workspace) {
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

/// A condition that says what is wrong, with what pod, claim, quotas and Events show of it.
fn of_condition(evidence: &Evidence<'_>, condition: &Condition) -> Finding {
    let workspace = evidence.workspace;
    let meaning = documented(&condition.reason).map(|known| known.meaning);
    let what = match (condition.message.as_str(), meaning) {
        ("", Some(meaning)) => meaning.to_owned(),
        (message, _) => message.to_owned(),
    };
    let mut because: Vec<_> = condition_cause(workspace, &condition.type_).into_iter().collect();
    because.extend(evidence::causes(evidence, &condition.reason, &condition.message));
    Finding {
        what,
        reason: Some(condition.reason.clone()),
        because,
        cures: cure(&condition.reason).into_iter().collect(),
    }
}

/// A start or stop that is not done and not wrong: how long it takes, and which step is the slow one.
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
        because.extend(evidence::steps(evidence, since));
    }
    because.extend(evidence::causes(evidence, "", ""));
    let reason = progressing.map(|it| it.reason.clone());
    Finding {
        what: match message {
            Some(message) => format!("It has been {verb}{time}: {message}"),
            None => format!("It has been {verb}{time}."),
        },
        cures: reason.as_deref().and_then(cure).into_iter().collect(),
        reason,
        because,
    }
}

/// The operator has not seen the object, or not its last change.
fn unobserved(workspace: &Workspace) -> Option<Finding> {
    let generation = workspace.metadata.generation.unwrap_or_default();
    let observed = workspace
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    let conditions = conditions(workspace);
    if observed.is_some_and(|observed| observed >= generation)
        || (observed.is_none() && !conditions.is_empty())
    {
        return None;
    }
    Some(Finding {
        what: "The operator has not seen the last change of the workspace yet.".to_owned(),
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
        cures: vec![Cure {
            who: Who::Administrator,
            what:
                "If this lasts more than a few seconds: see whether the operator's pods run, and their log."
                    .to_owned(),
        }],
    })
}

fn deletion(evidence: &Evidence<'_>) -> Option<Finding> {
    let workspace = evidence.workspace;
    let since = workspace.metadata.deletion_timestamp.as_ref()?.0;
    let message = find(conditions(workspace), PROGRESSING)
        .filter(|it| it.reason == reason::DELETING && !it.message.is_empty())
        .map(|it| it.message.clone());
    let finalizers = workspace.metadata.finalizers.clone().unwrap_or_default();
    let mut because = vec![of_workspace(
        workspace,
        "metadata.deletionTimestamp",
        "set",
        Some(since),
    )];
    because.extend(
        finalizers
            .iter()
            .map(|finalizer| of_workspace(workspace, "metadata.finalizers", finalizer, None)),
    );
    because.extend(evidence::left(evidence));
    let foreign: Vec<_> = finalizers
        .iter()
        .filter(|finalizer| *finalizer != CLEANUP_FINALIZER)
        .cloned()
        .collect();
    let cures = if foreign.is_empty() {
        vec![Cure {
            who: Who::Owner,
            what: format!(
                "Wait: the operator removes {CLEANUP_FINALIZER} when nothing of the workspace is left."
            ),
        }]
    } else {
        vec![Cure {
            who: Who::Administrator,
            what: format!(
                "{} belongs to another product: see why its controller does not remove it.",
                foreign.join(", ")
            ),
        }]
    };
    Some(Finding {
        what: match message {
            Some(message) => format!(
                "It has been being deleted for {}: {message}",
                ago(since, evidence.now)
            ),
            None => format!("It has been being deleted for {}.", ago(since, evidence.now)),
        },
        reason: Some(reason::DELETING.to_owned()),
        because,
        cures,
    })
}

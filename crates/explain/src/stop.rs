//! A workspace's stop, idleness and pending changes -> findings (pure).

use api::Workspace;
use api::condition::reason;
use api::names::LAST_UPDATED_BY;
use api::workspace::{DesiredStatus, Phase, StopRule, WorkspaceStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Cause, Evidence, Finding, Remedy, ago, causes, of_workspace};

/// Why it was stopped, when a rule stops it, and changes that wait for a restart.
pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let workspace = evidence.workspace;
    if workspace.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let status = workspace.status.clone().unwrap_or_default();
    let mut found = Vec::new();
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        found.push(stop_finding(evidence, &status));
    } else if status.phase == Some(Phase::Running) {
        found.extend(out_of_memory(workspace, &status));
        found.extend(idleness(evidence, &status));
    }
    if !status.pending_update.is_empty() {
        found.push(Finding {
            what: "Changes wait for a restart.".to_owned(),
            because: status
                .pending_update
                .iter()
                .map(|path| of_workspace(workspace, "status.pendingUpdate", path, None))
                .collect(),
            remedies: vec![Remedy::restart(workspace)],
            ..Finding::default()
        });
    }
    found
}

fn stop_finding(evidence: &Evidence<'_>, status: &WorkspaceStatus) -> Finding {
    let workspace = evidence.workspace;
    if let Some(because) = &status.stopped_because {
        let StopRule::Idle = because.rule;
        let minutes = status.resolved.as_ref().and_then(|it| it.idle_timeout_in_minutes);
        let timeout = minutes.map(|minutes| {
            of_workspace(
                workspace,
                "status.resolved.idleTimeoutInMinutes",
                minutes.to_string(),
                None,
            )
        });
        let cause = of_workspace(workspace, "status.stoppedBecause", "Idle", Some(because.time.0));
        return Finding {
            what: format!(
                "It was stopped {} ago, because it was idle.",
                ago(because.time.0, evidence.now)
            ),
            reason: Some(reason::IDLE_STOPPED.to_owned()),
            because: std::iter::once(cause).chain(timeout).collect(),
            remedies: Remedy::of_reason(workspace, reason::IDLE_STOPPED, "")
                .into_iter()
                .collect(),
        };
    }
    let mut because = vec![of_workspace(
        workspace,
        "spec.desiredStatus",
        "Stopped",
        event_time(evidence, &[reason::STOPPING, reason::STOPPED]),
    )];
    because.extend(annotation(workspace, LAST_UPDATED_BY));
    Finding {
        what: "A user stopped it, or it was created as stopped; no rule did.".to_owned(),
        reason: Some(reason::STOPPED.to_owned()),
        because,
        remedies: vec![Remedy::start(workspace)],
    }
}

fn out_of_memory(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Finding> {
    let last = status.out_of_memory.as_ref()?;
    let ended = format!("{:?}", last.ended);
    Some(Finding {
        what: last.message(),
        reason: Some(reason::OOM_KILLED.to_owned()),
        because: vec![of_workspace(
            workspace,
            "status.outOfMemory.ended",
            ended,
            Some(last.time.0),
        )],
        remedies: Remedy::of_reason(workspace, reason::OOM_KILLED, "")
            .into_iter()
            .collect(),
    })
}

fn annotation(workspace: &Workspace, name: &str) -> Option<Cause> {
    let value = workspace.annotations().get(name)?;
    let field = format!("metadata.annotations[{name}]");
    Some(of_workspace(workspace, &field, value, None))
}

/// When the last Event of these reasons occurred.
fn event_time(evidence: &Evidence<'_>, reasons: &[&str]) -> Option<Timestamp> {
    let events = evidence.events.known()?.iter();
    events
        .filter(|event| event.reason.as_deref().is_some_and(|it| reasons.contains(&it)))
        .filter_map(causes::time_of)
        .max()
}

fn idleness(evidence: &Evidence<'_>, status: &WorkspaceStatus) -> Vec<Finding> {
    let workspace = evidence.workspace;
    let minutes = status.resolved.as_ref().and_then(|it| it.idle_timeout_in_minutes);
    let field = "status.resolved.idleTimeoutInMinutes";
    let Some(minutes) = minutes else {
        return vec![Finding {
            what: "No rule stops it when it is idle.".to_owned(),
            because: vec![of_workspace(workspace, field, "not set", None)],
            remedies: vec![Remedy::edit(
                workspace,
                "To have it stopped when idle, set spec.idleShutdown within the template's bounds.",
                "spec.idleShutdown.idleTimeoutInMinutes",
            )],
            ..Finding::default()
        }];
    };
    let signals = status.idle.iter().flat_map(|idle| &idle.signals);
    let mut found = Vec::new();
    let mut because = vec![of_workspace(workspace, field, minutes.to_string(), None)];
    for signal in signals {
        let field = format!("status.idle.signals[{}]", signal.name);
        match &signal.error {
            Some(error) => found.push(Finding {
                what: "It is not stopped as idle while its use cannot be found out.".to_owned(),
                reason: Some(reason::IDLE_CHECK_FAILED.to_owned()),
                because: vec![of_workspace(workspace, &format!("{field}.error"), error, None)],
                remedies: Remedy::of_reason(workspace, reason::IDLE_CHECK_FAILED, error)
                    .into_iter()
                    .collect(),
            }),
            None => because.push(of_workspace(
                workspace,
                &format!("{field}.lastActivity"),
                if signal.last_activity.is_some() {
                    "used"
                } else {
                    "never used"
                },
                signal.last_activity.as_ref().map(|time| time.0),
            )),
        }
    }
    let what = match &status.stops_at {
        Some(time) => {
            because.push(of_workspace(workspace, "status.stopsAt", "set", Some(time.0)));
            format!("It is stopped after {minutes} min without use, not before the time in status.stopsAt.")
        }
        None => format!("It is stopped after {minutes} min without use; when is not known yet."),
    };
    found.push(Finding {
        what,
        because,
        ..Finding::default()
    });
    found
}

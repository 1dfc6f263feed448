//! A workspace's stop, idleness, disk use, recovery and pending changes -> findings (pure).

use api::Workspace;
use api::condition::reason;
use api::names::LAST_UPDATED_BY;
use api::workspace::{DesiredStatus, Phase, StopRule, WorkspaceStatus};
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use rules::files::{Disk, Disks, Moment};
use rules::{expiry, keep, stops};

use super::{Cause, Change, Evidence, Finding, Remedy, ago, causes, of_workspace};

/// Why it was stopped, when a rule stops it, a full disk, and changes that wait for a restart.
pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let workspace = evidence.workspace;
    if workspace.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    let status = workspace.status.clone().unwrap_or_default();
    let mut found = Vec::from_iter(disk(workspace, &status));
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        found.push(stop_finding(evidence, &status));
    } else if status.phase == Some(Phase::Running) {
        found.extend(out_of_memory(workspace, &status));
        found.extend(interruption(evidence));
        found.extend(idleness(evidence, &status));
    }
    found.extend(limit(workspace, &status));
    found.extend(deletion(workspace, &status));
    found.extend(recovery(workspace));
    if !status.pending_update.is_empty() {
        let next = match (workspace.is_in_recovery(), workspace.spec.recovery_mode) {
            (false, true) => " Its next start is in recovery.",
            (true, false) => " Its next start is a normal one.",
            _ => "",
        };
        found.push(Finding {
            what: format!("Changes wait for a restart.{next}"),
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
    let gone = if status.files_lost {
        format!(" {}", Disk::None.fate(Moment::Stopped).sentence())
    } else {
        String::new()
    };
    if let Some(because) = &status.stopped_because {
        let rule = because.rule;
        let cause = of_workspace(
            workspace,
            "status.stoppedBecause",
            rule.name(),
            Some(because.time.0),
        );
        let problem = because
            .reason
            .iter()
            .map(|reason| of_workspace(workspace, "status.stoppedBecause.reason", reason, None));
        return Finding {
            what: format!(
                "It was stopped {} ago, {}.{gone}",
                ago(because.time.0, evidence.now),
                stops::when(rule, status.resolved.as_ref())
            ),
            reason: Some(rule.reason().to_owned()),
            because: std::iter::once(cause)
                .chain(problem)
                .chain(minutes_of(workspace, status, rule))
                .collect(),
            remedies: Remedy::of_reason(workspace, rule.reason(), "")
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
        what: format!("A user stopped it, or it was created as stopped; no rule did.{gone}"),
        reason: Some(reason::STOPPED.to_owned()),
        because,
        // How one in recovery is started is said with that.
        remedies: Vec::from_iter((!workspace.is_in_recovery()).then(|| Remedy::start(workspace))),
    }
}

/// That its run, or without a run its next start, is in recovery, and how it is started in either mode.
fn recovery(workspace: &Workspace) -> Option<Finding> {
    let is_set = workspace.spec.recovery_mode;
    let (field, value) = if is_set {
        ("spec.recoveryMode", "true")
    } else {
        ("status.pendingUpdate", "spec.recoveryMode")
    };
    let phase = workspace.status.as_ref().and_then(|status| status.phase);
    let which = if phase == Some(Phase::Stopped) {
        "Its next start is in recovery"
    } else {
        "It is in recovery"
    };
    let remedies = match workspace.spec.desired_status {
        DesiredStatus::Stopped => vec![Remedy::recover(workspace), Remedy::leave_recovery(workspace)],
        DesiredStatus::Running if is_set => vec![Remedy::start_normally(workspace)],
        // The restart of the pending change ends it.
        DesiredStatus::Running => Vec::new(),
    };
    workspace.is_in_recovery().then(|| Finding {
        what: format!(
            "{which}: it runs the installation's recovery image with an empty home, and the disk is a folder of it."
        ),
        because: vec![of_workspace(workspace, field, value, None)],
        remedies,
        ..Finding::default()
    })
}

/// The effective minutes of a rule.
fn minutes_of(workspace: &Workspace, status: &WorkspaceStatus, rule: StopRule) -> Option<Cause> {
    let minutes = stops::minutes(rule, status.resolved.as_ref()?)?;
    let name = rule.field()?.rsplit('.').next().unwrap_or_default();
    let field = format!("status.resolved.{name}");
    Some(of_workspace(workspace, &field, minutes.to_string(), None))
}

/// The limit that stops it next, if one comes first.
fn limit(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Finding> {
    let rule = status.stops_because.filter(|rule| *rule != StopRule::Idle)?;
    let at = status.stops_at.as_ref()?.0;
    let since = match rule {
        StopRule::Idle => None,
        StopRule::MaxAge => status
            .running_since
            .as_ref()
            .map(|time| ("status.runningSince", time)),
        StopRule::Failed => status
            .failing_since
            .as_ref()
            .map(|time| ("status.failingSince", time)),
        StopRule::Requested => status
            .stop_requested_at
            .as_ref()
            .map(|time| ("status.stopRequestedAt", time)),
    };
    let since = since.map(|(field, time)| of_workspace(workspace, field, "set", Some(time.0)));
    Some(Finding {
        what: format!(
            "It is stopped {}: at the time in status.stopsAt.{}",
            stops::when(rule, status.resolved.as_ref()),
            lost_files(workspace)
        ),
        because: std::iter::once(of_workspace(workspace, "status.stopsAt", rule.name(), Some(at)))
            .chain(since)
            .chain(minutes_of(workspace, status, rule))
            .collect(),
        remedies: Vec::from_iter(rule.field().map(|field| {
            let advice =
                format!("To have it stopped later, change spec.{field} within the template's bounds.");
            Remedy::edit(workspace, advice, &format!("spec.{field}"))
        })),
        ..Finding::default()
    })
}

/// What becomes of its files at a stop, if that loses any.
fn lost_files(workspace: &Workspace) -> String {
    let fate = Disks::from_workspace(workspace).fate(Moment::Stop);
    if fate.loses_files {
        format!(" {}", fate.sentence())
    } else {
        String::new()
    }
}

/// When it is deleted because it is stopped, and what prevents that.
fn deletion(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Finding> {
    let at = status.deletes_at.as_ref()?.0;
    let days = status.resolved.as_ref()?.stopped_retention_days?;
    let field = "status.resolved.stoppedRetentionDays";
    Some(Finding {
        what: format!(
            "It is deleted {}, at the time in status.deletesAt; {}.",
            expiry::when(status.resolved.as_ref()),
            expiry::fate(&workspace.name_any(), status).text
        ),
        reason: Some(reason::DELETION_ANNOUNCED.to_owned()),
        because: vec![
            of_workspace(workspace, "status.deletesAt", "set", Some(at)),
            of_workspace(workspace, field, days.to_string(), None),
        ],
        remedies: Remedy::of_reason(workspace, reason::DELETION_ANNOUNCED, "")
            .into_iter()
            .collect(),
    })
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

/// Why an earlier run ended, if no user ended it, while an Event tells of it.
fn interruption(evidence: &Evidence<'_>) -> Option<Finding> {
    let lost = |event: &&Event| {
        let reasons = [reason::EVICTED, reason::NODE_LOST, reason::POD_LOST];
        event.reason.as_deref().is_some_and(|it| reasons.contains(&it))
    };
    // The same pod goes on if a lost node answers again.
    let status = evidence.workspace.status.as_ref();
    let begun = status.and_then(|status| status.started_at.as_ref());
    let event = causes::own_events(evidence)
        .filter(lost)
        .filter(|event| begun.is_none_or(|begun| causes::time_of(event) <= Some(begun.0)))
        .max_by_key(|it| causes::time_of(it))?;
    let ended = event.reason.as_deref()?;
    let time = causes::time_of(event)?;
    Some(Finding {
        what: format!(
            "Its run before ended {} ago, and no user ended it.",
            ago(time, evidence.now)
        ),
        reason: Some(reason::POD_LOST.to_owned()),
        because: vec![causes::of_event(event)],
        remedies: Vec::from_iter(Remedy::of_reason(evidence.workspace, ended, "")),
    })
}

/// That its disk is full or nearly so. Recovery helps one that is so full that the application does not start.
fn disk(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Finding> {
    let disk = status.disk.as_ref()?;
    let name = rules::names::child(&workspace.name_any());
    let mut what = disk.warning(&format!("its disk {name}"))?;
    let mut remedy = Remedy::of_reason(workspace, reason::DISK_NEARLY_FULL, "")?;
    if disk.cannot_grow {
        what.push_str(" Its storage class does not let it grow.");
        remedy
            .steps
            .retain(|step| !matches!(step.action, Change::Edit { .. }));
    }
    let percent = disk.used_percent.map(|percent| match disk.used_percent_of {
        Some(of) => format!("{percent} of {of:?}"),
        None => percent.to_string(),
    });
    let full = disk.full.then(|| "true".to_owned());
    let because = [("status.disk.usedPercent", percent), ("status.disk.full", full)];
    let because = because
        .into_iter()
        .filter_map(|(field, value)| Some(of_workspace(workspace, field, value?, None)));
    Some(Finding {
        what,
        reason: Some(reason::DISK_NEARLY_FULL.to_owned()),
        because: because.collect(),
        remedies: vec![remedy],
    })
}

fn annotation(workspace: &Workspace, name: &str) -> Option<Cause> {
    let value = workspace.annotations().get(name)?;
    let field = format!("metadata.annotations[{name}]");
    Some(of_workspace(workspace, &field, value, None))
}

/// When the last Event of these reasons occurred.
fn event_time(evidence: &Evidence<'_>, reasons: &[&str]) -> Option<Timestamp> {
    causes::own_events(evidence)
        .filter(|event| event.reason.as_deref().is_some_and(|it| reasons.contains(&it)))
        .filter_map(causes::time_of)
        .max()
}

/// Until when an open page counts as use, if nothing else shows a later one.
fn open_page(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Finding> {
    let until = status.idle.as_ref()?.open_tab_until.as_ref()?.0;
    let minutes = status.resolved.as_ref()?.open_tab_minutes?;
    Some(Finding {
        what: format!(
            "Its last use is an open page. That counts for {minutes} min after a user's last act: until the time in \
             status.idle.openTabUntil."
        ),
        because: vec![
            of_workspace(workspace, "status.idle.openTabUntil", "set", Some(until)),
            of_workspace(
                workspace,
                "status.resolved.openTabMinutes",
                minutes.to_string(),
                None,
            ),
        ],
        remedies: vec![Remedy::edit(
            workspace,
            "To have an open page count for another time, change spec.idleShutdown.openTabMinutes within the template's bounds.",
            "spec.idleShutdown.openTabMinutes",
        )],
        ..Finding::default()
    })
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
    let is_unknown = !found.is_empty();
    found.extend(open_page(workspace, status));
    let mut when = stops::when(StopRule::Idle, status.resolved.as_ref());
    if let Some(until) = keep::kept_until(status.kept.as_ref(), evidence.now) {
        because.push(of_workspace(workspace, "status.kept.until", "set", Some(until)));
        when = format!("{when}, but {}", keep::words(until));
    }
    let announced = status.stops_at.as_ref();
    let what = match announced.filter(|_| status.stops_because.is_none_or(|rule| rule == StopRule::Idle)) {
        _ if is_unknown => format!("Once its use can be found out again, it is stopped {when}."),
        Some(time) => {
            because.push(of_workspace(workspace, "status.stopsAt", "set", Some(time.0)));
            let files = lost_files(workspace);
            format!("It is stopped {when}, not before the time in status.stopsAt.{files}")
        }
        None if announced.is_some() => format!("It is stopped {when}, unless a limit stops it before."),
        None => format!("It is stopped {when}; when is not known yet."),
    };
    found.push(Finding {
        what,
        because,
        ..Finding::default()
    });
    found
}

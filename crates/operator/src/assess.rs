//! Workspace, verdict, world, obstacle -> status (pure).
//!
//! Everything is told from what is there after the writes, so the same facts always give the same status and a start
//! without trouble passes through two of them only: on its way, and ready.

mod conditions;
mod evidence;

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, AVAILABLE, DEGRADED, PROGRESSING, STOPPED, VALID, reason},
    workspace::{DesiredStatus, Endpoint, Phase, Resolved},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use rules::ValidWorkspace;

use self::{conditions::Conditions, evidence::Evidence};
use crate::{
    record,
    references::Rejected,
    trouble::{Obstacle, Trouble},
    world::{PORT_NAME, World},
};

/// A deletion that takes longer says what it waits for.
const LONG_FAREWELL: Duration = Duration::from_secs(10);

/// All that a status is made from.
pub struct Facts<'a> {
    /// The workspace, with its earlier status.
    pub workspace: &'a Workspace,
    /// What the rules say.
    pub verdict: &'a Result<ValidWorkspace, Rejected>,
    /// What is there after the writes.
    pub world: &'a World,
    /// What kept a child from being written.
    pub obstacle: Option<&'a Obstacle>,
    /// Now.
    pub now: Timestamp,
}

/// A status, and when it has to be looked at again although nothing is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// The status.
    pub status: WorkspaceStatus,
    /// When time alone may change it.
    pub recheck: Option<Duration>,
}

/// Where the workspace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Running,
    Starting,
    Stopping,
    Stopped,
    Invalid,
}

/// The status of a workspace that is not being deleted.
pub fn assess(facts: &Facts<'_>) -> Assessment {
    let before = facts.workspace.status.clone().unwrap_or_default();
    let endpoint = endpoint(facts);
    let stand = stand(facts, endpoint.is_some());
    let evidence = match stand {
        Stand::Starting => evidence::find(facts.world, facts.now),
        _ => Evidence::default(),
    };
    let trouble = facts
        .obstacle
        .and_then(Obstacle::trouble)
        .or_else(|| facts.verdict.as_ref().err().and_then(Rejected::trouble))
        .or(evidence.trouble)
        .map(|trouble| steady(trouble, &before, facts.world));
    let conditions = conditions(facts, stand, trouble.as_ref(), &before);
    let decisive = decisive(stand, trouble.as_ref(), facts.verdict.is_err());
    let decided_by = condition::find(&conditions, decisive).cloned();
    let alive = facts.world.wanted_pods() > 0;
    let valid = facts.verdict.as_ref().ok();
    let status = WorkspaceStatus {
        observed_generation: facts.workspace.metadata.generation,
        phase: Some(phase(stand, trouble.as_ref())),
        reason: decided_by.as_ref().map(|condition| condition.reason.clone()),
        message: decided_by.map(|condition| condition.message),
        // A running workspace that became invalid keeps the address under which people use it.
        url: valid
            .map(|valid| valid.url.clone())
            .or_else(|| before.url.filter(|_| alive)),
        resolved: valid.map(ValidWorkspace::resolved).or_else(|| {
            before
                .resolved
                .filter(|_| alive)
                .map(|old| with_access_of(old, facts.workspace))
        }),
        deployment_name: facts.world.own_deployment().map(ResourceExt::name_any),
        service_name: own_service_name(facts.world),
        endpoint,
        run_id: facts
            .world
            .run_id()
            .filter(|_| stand != Stand::Stopped)
            .map(str::to_owned),
        owner: api::names::owner(&facts.workspace.metadata).map(str::to_owned),
        pending_update: valid
            .filter(|_| alive)
            .map_or_else(Vec::new, |valid| pending(valid, facts.world)),
        containers: None,
        conditions,
    };
    Assessment {
        status,
        recheck: evidence.recheck,
    }
}

/// Which pods keep a run from starting.
fn waiting_for(world: &World) -> String {
    let names: Vec<_> = world.live_pods().map(ResourceExt::name_any).collect();
    match names.as_slice() {
        [] => "Waiting for the last run to end.".to_owned(),
        names => format!(
            "Waiting for the last run to end: pod {} is not gone yet.",
            names.join(", ")
        ),
    }
}

/// What a running workspace that became invalid shows: how it was started, but never wider access than its spec names
/// today. Without its template nobody knows what that would add.
fn with_access_of(started: Resolved, workspace: &Workspace) -> Resolved {
    Resolved {
        access_type: Some(workspace.spec.access_type.unwrap_or_default()),
        ..started
    }
}

/// The status of a workspace that is being deleted; `left` names what is left. It is told once the deletion takes its
/// time: an ordinary one is written once.
pub fn farewell(workspace: &Workspace, left: &str, now: Timestamp) -> WorkspaceStatus {
    let before = workspace.status.clone().unwrap_or_default();
    let since = workspace.metadata.deletion_timestamp.as_ref();
    let age = since.and_then(|since| Duration::try_from(now.duration_since(since.0)).ok());
    let message = match age {
        Some(age) if age >= LONG_FAREWELL => format!("Waiting until these are gone: {left}."),
        _ => "Waiting until everything that belongs to the workspace is gone.".to_owned(),
    };
    let mut conditions = Conditions::new(&before.conditions, workspace.metadata.generation, now);
    for condition in before
        .conditions
        .iter()
        .filter(|condition| condition.type_ == VALID)
    {
        conditions.set(
            VALID,
            condition.status == "True",
            &condition.reason,
            &condition.message,
        );
    }
    conditions.set(
        AVAILABLE,
        false,
        reason::DELETING,
        "The workspace is being deleted.",
    );
    conditions.set(PROGRESSING, true, reason::DELETING, &message);
    conditions.set(DEGRADED, false, reason::AS_EXPECTED, "Nothing is wrong.");
    conditions.set(
        STOPPED,
        false,
        reason::DELETING,
        "The workspace is being deleted.",
    );
    WorkspaceStatus {
        observed_generation: workspace.metadata.generation,
        phase: Some(Phase::Deleting),
        reason: Some(reason::DELETING.to_owned()),
        message: Some(message),
        endpoint: None,
        run_id: None,
        pending_update: Vec::new(),
        conditions: conditions.finish(),
        ..before
    }
}

/// The status of a workspace that cannot be parsed. What is known of it stays: a pod that runs is left alone.
pub fn unreadable(
    before: WorkspaceStatus,
    generation: Option<i64>,
    error: &str,
    now: Timestamp,
) -> WorkspaceStatus {
    let message = format!(
        "The workspace cannot be read: {error}. Compare its spec with `kubectl explain workspace.spec`."
    );
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    conditions.set(VALID, false, reason::UNREADABLE, &message);
    for condition in before
        .conditions
        .iter()
        .filter(|condition| condition.type_ != VALID)
    {
        conditions.set(
            &condition.type_,
            condition.status == "True",
            &condition.reason,
            &condition.message,
        );
    }
    let conditions = conditions.finish();
    WorkspaceStatus {
        observed_generation: generation,
        phase: before.phase.or(Some(Phase::Invalid)),
        reason: Some(reason::UNREADABLE.to_owned()),
        message: Some(message),
        conditions,
        ..before
    }
}

fn stand(facts: &Facts<'_>, ready: bool) -> Stand {
    let wanted = facts.world.wanted_pods() > 0;
    match facts.workspace.spec.desired_status {
        DesiredStatus::Stopped if facts.world.is_quiet() => Stand::Stopped,
        DesiredStatus::Stopped => Stand::Stopping,
        DesiredStatus::Running if ready => Stand::Running,
        DesiredStatus::Running if facts.verdict.is_err() && !wanted => Stand::Invalid,
        DesiredStatus::Running => Stand::Starting,
    }
}

/// Where routes lead: to the ready pod of the current run, at the port that this pod was started with.
fn endpoint(facts: &Facts<'_>) -> Option<Endpoint> {
    if facts.workspace.spec.desired_status == DesiredStatus::Stopped || facts.world.wanted_pods() == 0 {
        return None;
    }
    let pod = facts.world.current_pod()?;
    let status = pod.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    if !conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return None;
    }
    let mut ports = pod.spec.as_ref()?.containers.first()?.ports.iter().flatten();
    let port = ports
        .find(|port| port.name.as_deref() == Some(PORT_NAME))?
        .container_port;
    Some(Endpoint {
        pod_name: pod.name_any(),
        pod_ip: status.pod_ip.clone()?,
        port,
    })
}

fn own_service_name(world: &World) -> Option<String> {
    let service = world.service.as_deref()?;
    world.identity.owns(&service.metadata).then(|| service.name_any())
}

fn pending(valid: &ValidWorkspace, world: &World) -> Vec<String> {
    world.started_from().map_or_else(Vec::new, |started| {
        record::differences(started, &record::of(valid))
    })
}

/// The kubelet words the same failing pull in two ways, by turns. As long as the run and the cause stay, so do the words.
fn steady(trouble: Trouble, before: &WorkspaceStatus, world: &World) -> Trouble {
    let earlier = condition::find(&before.conditions, DEGRADED);
    match earlier {
        Some(earlier)
            if trouble.reason == reason::IMAGE_PULL_FAILED
                && earlier.reason == trouble.reason
                && before.run_id.as_deref() == world.run_id() =>
        {
            Trouble {
                message: earlier.message.clone(),
                ..trouble
            }
        }
        _ => trouble,
    }
}

fn conditions(
    facts: &Facts<'_>,
    stand: Stand,
    trouble: Option<&Trouble>,
    before: &WorkspaceStatus,
) -> Vec<Condition> {
    let quiet = facts.world.is_quiet();
    let mut set = Conditions::new(&before.conditions, facts.workspace.metadata.generation, facts.now);
    match facts.verdict {
        Ok(_) => set.set(VALID, true, reason::ALL_RULES_HOLD, "Every rule holds."),
        Err(rejected) => set.set(VALID, false, rejected.reason(), &rejected.to_string()),
    }
    let (why, available, progressing) = match stand {
        Stand::Running => (reason::RUNNING, "The pod is ready.", "Nothing is left to do."),
        Stand::Starting => (
            reason::STARTING,
            "The pod is not ready yet.",
            "Waiting for the pod to be ready.",
        ),
        Stand::Stopping => (
            reason::STOPPING,
            "The workspace is being stopped.",
            "Waiting for the pod to end.",
        ),
        Stand::Stopped => (
            reason::STOPPED,
            "The workspace is stopped.",
            "Nothing is left to do.",
        ),
        Stand::Invalid => (
            reason::INVALID,
            "The workspace is not valid.",
            "Waiting for the workspace to be valid.",
        ),
    };
    match (stand, trouble) {
        (Stand::Running, _) => set.set(AVAILABLE, true, reason::READY, available),
        (Stand::Starting, Some(trouble)) => set.set(AVAILABLE, false, trouble.reason, available),
        _ => set.set(AVAILABLE, false, why, available),
    }
    let under_way = matches!(stand, Stand::Starting | Stand::Stopping);
    match (stand, facts.obstacle) {
        (Stand::Starting, Some(Obstacle::Leaving { .. })) => {
            let message = facts.obstacle.map(ToString::to_string).unwrap_or_default();
            set.set(PROGRESSING, true, reason::PREDECESSOR_TERMINATING, &message);
        }
        (Stand::Starting, _) if facts.world.wanted_pods() == 0 && !quiet => {
            set.set(PROGRESSING, true, reason::STOPPING, &waiting_for(facts.world));
        }
        (Stand::Starting, _) if trouble.is_some_and(|trouble| trouble.failed) => {
            set.set(PROGRESSING, true, why, "Waiting for the cause to be removed.");
        }
        _ => set.set(PROGRESSING, under_way, why, progressing),
    }
    match trouble {
        Some(trouble) => set.set(DEGRADED, true, trouble.reason, &trouble.message),
        None => set.set(DEGRADED, false, reason::AS_EXPECTED, "Nothing is wrong."),
    }
    match (stand, quiet) {
        (Stand::Stopped, _) => set.set(STOPPED, true, why, "No pod is left; the disk is kept."),
        (Stand::Invalid, true) => set.set(STOPPED, true, why, "No pod is left."),
        _ => set.set(STOPPED, false, why, "A pod runs, or is on its way."),
    }
    set.finish()
}

fn phase(stand: Stand, trouble: Option<&Trouble>) -> Phase {
    match stand {
        Stand::Starting if trouble.is_some_and(|trouble| trouble.failed) => Phase::Failed,
        Stand::Starting => Phase::Starting,
        Stand::Running => Phase::Running,
        Stand::Stopping => Phase::Stopping,
        Stand::Stopped => Phase::Stopped,
        Stand::Invalid => Phase::Invalid,
    }
}

/// The condition whose reason and message stand beside the phase.
fn decisive(stand: Stand, trouble: Option<&Trouble>, rejected: bool) -> &'static str {
    match stand {
        Stand::Invalid => VALID,
        Stand::Starting if trouble.is_some() => DEGRADED,
        Stand::Starting | Stand::Stopping => PROGRESSING,
        // It runs, but the next start would fail: that is worth more than "ready".
        Stand::Running if rejected => VALID,
        Stand::Running if trouble.is_some() => DEGRADED,
        Stand::Running => AVAILABLE,
        Stand::Stopped => STOPPED,
    }
}

#[cfg(test)]
mod tests;

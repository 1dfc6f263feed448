//! Workspace, validation result, observed state, blocker -> status (pure).
//!
//! The status is computed from the state after the writes, so the same facts always give the same status. A start without problems has
//! only two of them: starting and ready.
//!
//! | name | input -> output |
//! |---|---|
//! | `conditions.rs` | state, problem -> Available, Degraded, Progressing, Stopped, Valid, and the phase |
//! | `evidence` | observed state -> the reason of a problem, such as a failing image pull |
//! | `further_claims.rs` | further disks, what blocks them -> the status of each |
//! | `steady.rs` | a problem, the reported one -> the problem with a message that stays |
//! | `timeout.rs` | a start that exceeds its timeout -> failed |
//! | `rare.rs` | a deleted or unreadable workspace -> its status |
//! | `remembered.rs` | earlier status -> what the status keeps of it |
//! | `run_times.rs` | earlier status, observed state -> since when the workspace runs, and fails |
//! | `changes.rs` | earlier and new status -> Events without a worsened condition |
//! | `condition_list.rs` | type, status, reason -> a list of conditions that keeps transition times |

mod changes;
pub(crate) mod condition_list;
mod conditions;
mod evidence;
mod further_claims;
mod rare;
mod remembered;
mod run_times;
mod steady;
mod timeout;

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, AVAILABLE, reason},
    names::APPLICATION_CONTAINER,
    workspace::{AccessType, ContainerCounts, DesiredStatus, Endpoint, Resolved},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{ResourceExt, runtime::events::Event};
use rules::{ValidWorkspace, files::Disks};

pub(crate) use self::rare::{deleting, unreadable};
use self::{
    evidence::{Evidence, Inputs},
    run_times::Run,
    timeout::Start,
};
use crate::{
    blockers::{Blocker, Problem, rejected::Rejected},
    cache::observed::{Observed, PORT_NAME, is_ready},
    plan::{disks::desired_claim::class_of, record},
    support::text::join_first,
};

/// Separator between a problem's message and the list of pending changes.
const WAITING: &str = " Changes that take effect when the workspace is stopped and started: ";
/// Most changes in a message.
const MAX_PATHS: usize = 8;

/// The pending change if an image of the pod was changed externally and not through the workspace. The next start corrects it.
const CHANGED_EXTERNALLY: &str = "pod.spec.containers.image";

/// All inputs of a status.
pub(crate) struct Facts<'a> {
    /// The workspace, with its earlier status.
    pub workspace: &'a Workspace,
    /// The validation result.
    pub validation: &'a Result<ValidWorkspace, Rejected>,
    /// The state after the writes.
    pub observed: &'a Observed,
    /// What blocked the write of a child.
    pub blocker: Option<&'a Blocker>,
    /// What blocked further disks, by the names of their claims.
    pub claim_blockers: &'a [(String, Blocker)],
    /// Whether the run ends so that the next one starts with changes.
    pub restarts: bool,
    /// How long a pod without a node still counts as starting, if the workspace has no start timeout.
    pub unschedulable_grace: Duration,
    /// Now.
    pub now: Timestamp,
}

/// A status, and when to reconcile again even if nothing is written.
pub(crate) struct Assessment {
    /// The status.
    pub status: WorkspaceStatus,
    /// When time alone may change it.
    pub recheck: Option<Duration>,
    /// Events besides the transitions of the conditions.
    pub events: Vec<Event>,
}

/// The state of the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Starting,
    Stopping,
    Stopped,
    Invalid,
}

/// The status of a workspace that is not being deleted.
pub(crate) fn assess(facts: &Facts<'_>) -> Assessment {
    let before = facts.workspace.status.clone().unwrap_or_default();
    let endpoint = endpoint(facts);
    let state = state(facts, endpoint.is_some());
    let run_id = facts.observed.run_id().filter(|_| state != State::Stopped);
    let starting = run_id.filter(|_| match state {
        State::Starting => true,
        // A user may start it again before anything of it has ended.
        State::Stopping => !facts.observed.current_pod().is_some_and(is_ready),
        State::Running | State::Stopped | State::Invalid => false,
    });
    let starting_since = timeout::since(&before, facts.observed, starting, facts.now);
    let evidence = evidence(facts, state, &before, starting_since.as_ref());
    let problem = first_problem(facts, evidence.problem);
    let alive = facts.observed.runs();
    let pending = pending(facts, alive);
    let valid = facts.validation.as_ref().ok();
    let is_gated = facts.observed.current_pod().is_some_and(evidence::is_gated);
    let limited = starting_since
        .as_ref()
        .filter(|_| state == State::Starting && !is_gated);
    let start = Start::new(valid, limited);
    let left = start.as_ref().and_then(|start| start.left(facts.now));
    let earlier = steady::earlier(&before, facts.observed);
    let problem = steady::steady(problem, state, earlier);
    let problem = match &start {
        Some(start) if left.is_none() => Some(start.failure(problem, earlier, facts.observed)),
        _ => problem,
    };
    let problem = problem.map(|problem| with_pending(problem, &pending));
    let disk = remembered::disk(&before, facts.observed, run_id, state == State::Running);
    let disk = match &problem {
        Some(_) => disk.map(|disk| remembered::with_phase(disk, facts.observed)),
        None => disk,
    };
    let is_written = state == State::Running || problem.is_some();
    let started_at = run_id.and_then(|_| remembered::started_at(&before, facts.observed, is_written));
    let claims = further_claims::statuses(facts, problem.as_ref(), &before);
    let terminating_claims = facts.observed.terminating_claims();
    let conditions = conditions::conditions(
        facts,
        state,
        problem.as_ref(),
        disk.as_ref(),
        &claims,
        &terminating_claims,
        &before,
    );
    let decisive = conditions::decisive(state, problem.as_ref(), facts.validation.is_err());
    let resolved = resolved(facts, &before, alive);
    let times = Run {
        facts,
        state,
        before: &before,
        resolved: resolved.as_ref(),
        is_gated,
        starting_since: starting_since.as_ref(),
        conditions: &conditions,
    };
    let (running_since, failing_since) = (times.running_since(), times.failing_since());
    let stop_requested_at = times.stop_requested_at();
    let decided_by = condition::find(&conditions, decisive).cloned();
    let status = WorkspaceStatus {
        observed_generation: facts.workspace.metadata.generation,
        phase: Some(conditions::phase(state, problem.as_ref())),
        reason: decided_by.as_ref().map(|condition| condition.reason.clone()),
        message: decided_by.map(|condition| condition.message),
        files_lost: remembered::files_lost(&before, &facts.observed.identity.name, run_id),
        // A running workspace that became invalid keeps the address under which users have it open.
        url: valid
            .filter(|valid| valid.not_served.is_none())
            .and_then(|valid| valid.url.clone())
            .or_else(|| before.url.filter(|_| alive && valid.is_none())),
        resolved,
        pod_name: facts.observed.pod().map(ResourceExt::name_any),
        service_name: own_service_name(facts.observed),
        endpoint,
        run_id: run_id.map(str::to_owned),
        owner: api::names::owner(&facts.workspace.metadata).map(str::to_owned),
        pending_update: pending,
        containers: containers(facts.observed),
        idle: None,
        stops_at: None,
        stops_because: None,
        kept: None,
        stopped_because: None,
        deletes_at: None,
        out_of_memory: None,
        disk,
        claims,
        terminating_claims,
        started_at,
        running_since,
        failing_since,
        stop_requested_at,
        starting_since,
        conditions,
    };
    Assessment {
        events: changes::events(facts, &status),
        status,
        recheck: evidence.recheck.into_iter().chain(left).min(),
    }
}

/// The problem that is reported. `found`: in what is observed.
fn first_problem(facts: &Facts<'_>, mut found: Option<Problem>) -> Option<Problem> {
    // A stop deletes files: their owner has to save them first, so no other problem hides it.
    let loses_files = found.take_if(|problem| problem.reason == reason::VOLUME_TERMINATING);
    loses_files
        .or_else(|| facts.blocker.and_then(Blocker::problem))
        .or_else(|| {
            let rejected = facts.validation.as_ref().err()?;
            rejected.problem(facts.workspace.spec.desired_status)
        })
        .or(found)
        .or_else(|| not_served(facts))
}

/// The problem if no gateway serves the workspace's manager.
fn not_served(facts: &Facts<'_>) -> Option<Problem> {
    let valid = facts.validation.as_ref().ok()?;
    let is_wanted = facts.workspace.spec.desired_status == DesiredStatus::Running;
    let message = valid.not_served.clone().filter(|_| is_wanted)?;
    Some(Problem {
        reason: reason::NOT_SERVED,
        message,
        failed: false,
    })
}

/// The effective values, or those with which an invalid workspace runs.
fn resolved(facts: &Facts<'_>, before: &WorkspaceStatus, alive: bool) -> Option<Resolved> {
    let mut resolved = match facts.validation {
        Ok(valid) => effective_values(valid, facts.observed),
        Err(_) => with_access_of(before.resolved.clone().filter(|_| alive)?, facts.workspace),
    };
    // Whatever the next start will be: a run in recovery admits its owner alone, and another one whom it admitted.
    match facts.observed.started_from().map(record::is_recovery) {
        Some(true) => resolved.access_type = Some(AccessType::OwnerOnly),
        Some(false) if facts.workspace.spec.recovery_mode => {
            let admitted = before.resolved.as_ref().and_then(|before| before.access_type);
            resolved.access_type = admitted.or(resolved.access_type);
        }
        Some(false) | None => {}
    }
    Some(resolved)
}

/// The effective values. For an existing disk the storage class is its own if the spec names one: it never changes.
fn effective_values(valid: &ValidWorkspace, observed: &Observed) -> Resolved {
    let mut resolved = valid.resolved();
    let named = resolved.storage.as_mut().and_then(|it| it.class_name.as_mut());
    if let (Some(named), Some(has)) = (named, observed.own_claim().and_then(class_of)) {
        has.clone_into(named);
    }
    resolved
}

/// The values of a running workspace that became invalid: as it was started, but never with wider access than its spec names today.
/// Without its template it is unknown what the template would add.
fn with_access_of(started: Resolved, workspace: &Workspace) -> Resolved {
    Resolved {
        access_type: Some(workspace.spec.access_type.unwrap_or_default()),
        ..started
    }
}

fn state(facts: &Facts<'_>, ready: bool) -> State {
    match facts.workspace.spec.desired_status {
        DesiredStatus::Stopped if facts.observed.is_free() => State::Stopped,
        DesiredStatus::Stopped => State::Stopping,
        DesiredStatus::Running if ready => State::Running,
        DesiredStatus::Running if facts.validation.is_err() && !facts.observed.runs() => State::Invalid,
        DesiredStatus::Running => State::Starting,
    }
}

/// The target of routes: the ready pod of the current run, at the port that this pod was started with.
fn endpoint(facts: &Facts<'_>) -> Option<Endpoint> {
    if facts.workspace.spec.desired_status == DesiredStatus::Stopped {
        return None;
    }
    let pod = facts.observed.current_pod()?;
    let status = pod.status.as_ref()?;
    if !is_ready(pod) {
        return None;
    }
    // Sidecar injectors put their containers before it.
    let mut containers = pod.spec.as_ref()?.containers.iter();
    let application = containers.find(|container| container.name == APPLICATION_CONTAINER)?;
    let mut ports = application.ports.iter().flatten();
    let port = ports
        .find(|port| port.name.as_deref() == Some(PORT_NAME))?
        .container_port;
    Some(Endpoint {
        pod_name: pod.name_any(),
        pod_ip: status.pod_ip.clone()?,
        port,
    })
}

fn own_service_name(observed: &Observed) -> Option<String> {
    let service = observed.service.as_deref()?;
    observed
        .identity
        .owns(&service.metadata)
        .then(|| service.name_any())
}

/// What the next start changes. An external change of an image is reported at any time.
fn pending(facts: &Facts<'_>, alive: bool) -> Vec<String> {
    let valid = facts.validation.as_ref().ok().filter(|_| alive);
    let recorded = facts.observed.started_from().zip(valid);
    let mut pending = recorded.map_or_else(Vec::new, |(started, valid)| record::pending(started, valid));
    // Which mode a run has is told of an invalid one, too.
    let recovers = facts.observed.started_from().map(record::is_recovery);
    if valid.is_none() && alive && recovers.is_some_and(|it| it != facts.workspace.spec.recovery_mode) {
        pending.push("spec.recoveryMode".to_owned());
    }
    pending.extend(
        facts
            .observed
            .image_changed_by()
            .map(|_| CHANGED_EXTERNALLY.to_owned()),
    );
    pending
}

/// The problem, with the pending changes in its message: a user who fixes the problem looks there.
fn with_pending(problem: Problem, pending: &[String]) -> Problem {
    let paths: Vec<_> = pending
        .iter()
        .filter(|path| *path != CHANGED_EXTERNALLY)
        .collect();
    if paths.is_empty() {
        return problem;
    }
    Problem {
        message: format!("{}{WAITING}{}.", problem.message, join_first(&paths, MAX_PATHS)),
        ..problem
    }
}

/// How many containers of the run are ready.
fn containers(observed: &Observed) -> Option<ContainerCounts> {
    let (ready, total) = evidence::count(observed.current_pod()?)?;
    Some(ContainerCounts {
        ready: i32::try_from(ready).ok()?,
        total: i32::try_from(total).ok()?,
    })
}

/// What the observed state shows, depending on the state of the workspace.
fn evidence(
    facts: &Facts<'_>,
    state: State,
    before: &WorkspaceStatus,
    starting_since: Option<&Time>,
) -> Evidence {
    let available = condition::find(&before.conditions, AVAILABLE);
    let unavailable = available.filter(|available| available.status == "False");
    let valid = facts.validation.as_ref().ok();
    let disks = Disks::from_status(&facts.observed.identity.name, before);
    let inputs = Inputs {
        now: facts.now,
        // The start timeout also limits how long the pod may wait for a node.
        unschedulable_grace: valid
            .and_then(ValidWorkspace::start_timeout)
            .unwrap_or(facts.unschedulable_grace),
        starting_since,
        unavailable_since: unavailable.map(|it| it.last_transition_time.0),
        profile: valid.and_then(|valid| valid.profile.as_ref()),
        shared_pull_secrets: valid
            .map(|valid| valid.image_pull_secrets.as_slice())
            .unwrap_or_default(),
        disks: &disks,
    };
    match state {
        State::Starting => evidence::of_start(facts.observed, inputs),
        State::Running => evidence::of_run(facts.observed, facts.now),
        State::Stopping => evidence::of_end(facts.observed, facts.now),
        State::Stopped => evidence::of_rest(facts.observed),
        State::Invalid => Evidence::default(),
    }
}

#[cfg(test)]
mod tests;

//! Valid workspace, its ready pod -> which pod to ask about use and disk, and how often (pure).

use std::{net::IpAddr, time::Duration};

use api::{
    Workspace, WorkspaceStatus,
    names::{APPLICATION_CONTAINER, DOOR_ACTIVITY},
    workspace::{DesiredStatus, IdleStatus},
};
use jiff::Timestamp;
use rules::{Quantity, Question, ValidWorkspace, routes::Routes};

use super::read::is_of_door;
use crate::{
    cache::{
        observed::{Identity, Observed, pod_condition},
        partial::Pod,
    },
    plan::record,
};

/// How often pods without an idle rule are asked how much of their disk is used, and told of their stop.
const DISK_INTERVAL: Duration = Duration::from_mins(5);

/// A running workspace that stops when idle or at a maximum age, or has a disk of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Which workspace.
    pub identity: Identity,
    /// Generation of its spec from which this follows. No stop is applied to another generation.
    pub generation: Option<i64>,
    /// Its current run.
    pub run_id: String,
    /// Address of its own pod, from the API server. Requests go to no other address.
    pub address: IpAddr,
    /// Where the image's door answers, if it has one.
    pub door: Door,
    /// Whether the image has a door that tells acts of users from open pages. Then nothing else tells them.
    pub has_door: bool,
    /// When it stops as idle; `None`: never, and it is asked only for what its door tells of disk and memory, and told of its stop.
    pub idle: Option<IdleRule>,
    /// Bytes of its own disk, if it has one of a known size.
    pub capacity: Option<u64>,
    /// The stop that its status announces, as [`STOPS_AT_HEADER`](api::names::STOPS_AT_HEADER) has it. It is set for each question anew.
    pub announced: Option<String>,
}

/// When a workspace stops as idle, and how its use is found out.
#[derive(Clone, Debug, PartialEq)]
pub struct IdleRule {
    /// Port of the request.
    pub port: u16,
    /// The request.
    pub question: Question,
    /// Idle timeout after which it is stopped.
    pub timeout: Duration,
    /// Minutes for which an open page counts as use after a user's last act.
    pub open_tab_minutes: i32,
    /// Since when users can use it. It is stopped one full timeout later at the earliest.
    pub since: Timestamp,
    /// The latest activity in its status, in this run.
    pub known: Option<Timestamp>,
    /// Whether the status says that its use could not be read.
    pub had_error: bool,
}

/// The address of an image's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The application's port.
    pub port: u16,
    /// What it answers with the times of the last use.
    pub path: String,
}

impl Subject {
    /// The wait between two requests.
    pub fn interval(&self) -> Duration {
        let Some(rule) = &self.idle else {
            return DISK_INTERVAL;
        };
        (rule.timeout / 10)
            .min(Duration::from_mins(1))
            .max(Duration::from_secs(1))
    }

    /// Whether it is the same run under the same rule, asked in the same way.
    pub fn is_as(&self, other: &Self) -> bool {
        let without = |subject: &Self| Self {
            generation: None,
            has_door: false,
            capacity: None,
            idle: subject.idle.clone().map(|rule| IdleRule {
                known: None,
                had_error: false,
                ..rule
            }),
            ..subject.clone()
        };
        without(self) == without(other)
    }
}

/// The pod to ask. `None` unless the workspace's pod is ready, and an idle rule or a maximum age applies or it has a disk of its own.
/// `status`: the new one.
pub(crate) fn for_run(
    workspace: &Workspace,
    valid: &ValidWorkspace,
    observed: &Observed,
    status: &WorkspaceStatus,
) -> Option<Subject> {
    let endpoint = status.endpoint.as_ref()?;
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        return None;
    }
    let run_id = observed.run_id()?;
    let before = workspace.status.as_ref();
    let before = before.filter(|before| before.run_id.as_deref() == Some(run_id));
    let before = before.and_then(|before| before.idle.as_ref());
    let port = u16::try_from(endpoint.port).ok()?;
    let base = observed
        .started_from()
        .and_then(record::base_path)
        .unwrap_or_default();
    let usable_since = usable_since(observed.current_pod()?)?;
    let idle = valid
        .idle
        .as_ref()
        .filter(|_| observed.used_deleted_claim().is_none());
    let idle = idle.map(|idle| {
        let question = question_of_run(valid, &idle.question, observed.started_from());
        IdleRule {
            port: question.port.unwrap_or(port),
            question,
            timeout: idle.timeout(),
            open_tab_minutes: idle.open_tab_minutes,
            since: usable_since,
            known: before.and_then(|idle| Some(idle.last_activity.as_ref()?.0)),
            had_error: before.and_then(IdleStatus::error).is_some(),
        }
    });
    let capacity = capacity(observed);
    let has_age = status
        .resolved
        .as_ref()
        .is_some_and(|it| it.max_age_minutes.is_some());
    // Hubs ask their servers themselves, and let nobody else reach them.
    let is_of_interest = valid.routes != Routes::External && (capacity.is_some() || has_age);
    if idle.is_none() && !is_of_interest {
        return None;
    }
    Some(Subject {
        identity: observed.identity.clone(),
        generation: workspace.metadata.generation,
        run_id: run_id.to_owned(),
        address: endpoint.pod_ip.parse().ok()?,
        door: Door {
            port,
            path: format!("{base}/{DOOR_ACTIVITY}"),
        },
        has_door: before.is_some_and(|idle| idle.signals.iter().any(|signal| is_of_door(&signal.name))),
        idle,
        capacity,
        announced: None,
    })
}

/// Bytes of the workspace's own disk.
fn capacity(observed: &Observed) -> Option<u64> {
    let status = observed.own_claim()?.status.as_ref()?;
    let storage: Quantity = status.capacity.as_ref()?.get("storage")?.0.parse().ok()?;
    Some(storage.count(Quantity::units(1)).0)
}

/// The question to the running application. Mode and the manager's routing may have changed since its start.
fn question_of_run(valid: &ValidWorkspace, today: &Question, started_from: Option<&str>) -> Question {
    let now = valid.base_path.as_deref().unwrap_or_default();
    let then = started_from.and_then(record::base_path).unwrap_or_default();
    // The recovery image does not answer what workspace or template name for their own application.
    if started_from.is_some_and(record::is_recovery) {
        return Question::default().rebase("", &then);
    }
    today.clone().rebase(now, &then)
}

/// When the application last started or the pod became ready, whichever is later.
fn usable_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let mut containers = status.container_statuses.iter().flatten();
    let started = containers
        .find(|container| container.name == APPLICATION_CONTAINER)
        .and_then(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    let ready = pod_condition(pod, "Ready").filter(|ready| ready.status == "True");
    let ready = ready.and_then(|ready| ready.last_transition_time.as_ref());
    started.into_iter().chain(ready).map(|time| time.0).max()
}

#[cfg(test)]
pub(super) mod tests;

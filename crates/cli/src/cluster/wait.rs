//! Workspace -> the state that is waited for, or the reason why it will not come (IO).
//!
//! The decision itself is pure.

use std::fmt;
use std::time::Duration;

use api::condition::{self, AVAILABLE, DEGRADED, STOPPED, VALID, reason};
use api::workspace::{DesiredStatus, Phase};
use api::{Workspace, WorkspaceStatus};
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use tokio::time::Instant;

use crate::console::Text;
use crate::failure::{Failure, chain};

/// The phase of a workspace that the operator has not reconciled yet.
const PENDING: &str = "Pending";

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A pod is ready and can be reached, of another run than this one.
    Available {
        /// Identifier of the run that does not count.
        other_than: Option<String>,
    },
    /// No pod is left.
    Stopped,
    /// The workspace is deleted.
    Gone,
}

impl Goal {
    /// A ready pod of any run.
    pub(crate) const AVAILABLE: Self = Self::Available { other_than: None };

    /// What the workspace then is.
    fn adjective(&self) -> &'static str {
        match self {
            Self::Available { .. } => "available",
            Self::Stopped => "stopped",
            Self::Gone => "deleted",
        }
    }
}

/// Progress of a workspace.
#[derive(Debug, Clone, PartialEq)]
enum Progress {
    /// The problem that the workspace has nevertheless, if any.
    Done {
        warning: Option<String>,
    },
    NotYet(String),
    Failed {
        reason: String,
        message: String,
    },
}

/// The last known state, as text.
#[derive(Debug, Default)]
pub(crate) struct LastState {
    /// The workspace's state.
    state: Option<String>,
    /// Why there is no newer state, if the watch fails.
    watch_error: Option<String>,
}

impl fmt::Display for LastState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_deref().unwrap_or("not seen yet"))?;
        match &self.watch_error {
            None => Ok(()),
            Some(watch_error) => write!(f, "; the workspace cannot be watched: {watch_error}"),
        }
    }
}

/// Waits until the workspace is as wanted, at most until `deadline`, which is `limit` after the begin.
pub(crate) async fn until(
    client: Client,
    object: &Workspace,
    goal: &Goal,
    deadline: Deadline,
    err: &mut Text<'_>,
) -> Result<Workspace, Failure> {
    let mut seen = LastState::default();
    let waiting = watch(client, object, goal, err, &mut seen);
    match tokio::time::timeout_at(deadline.end, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::TimedOut {
            name: object.name_any(),
            after: format!("{:?}", deadline.limit),
            last: seen.to_string(),
        }),
    }
}

/// When a wait ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now.
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            end: Instant::now() + limit,
            limit,
        }
    }
}

/// Each new state is a line on `err`, except that from before a start, and `seen` holds the last one.
/// While the watch fails, `err` and `seen` also get the reason. The watch is retried unless the API server refuses it.
async fn watch(
    client: Client,
    object: &Workspace,
    goal: &Goal,
    err: &mut Text<'_>,
    seen: &mut LastState,
) -> Result<Workspace, Failure> {
    let name = object.name_any();
    let namespace = object.namespace().unwrap_or_default();
    let mut events = std::pin::pin!(
        watcher::watch_object(Api::<Workspace>::namespaced(client, &namespace), &name).default_backoff()
    );
    let gone = || match goal {
        Goal::Gone => Ok(object.clone()),
        _ => Err(Failure::NotAsWanted {
            name: name.clone(),
            wanted: goal.adjective(),
            reason: reason::DELETING.to_owned(),
            message: "it was deleted".to_owned(),
        }),
    };
    while let Some(state) = events.next().await {
        let workspace = match state {
            Ok(Some(workspace)) if workspace.uid() == object.uid() => workspace,
            Ok(_) => return gone(),
            Err(error) => {
                seen.watch_error = Some(retry_reason(error)?);
                continue;
            }
        };
        seen.watch_error = None;
        let is_stale = is_before_start(&workspace, goal);
        match progress(&workspace, goal) {
            Progress::Done { warning } => {
                if let Some(warning) = warning {
                    writeln!(err, "Warning: {warning}")?;
                }
                return Ok(workspace);
            }
            Progress::Failed { reason, message } => {
                return Err(Failure::NotAsWanted {
                    name,
                    wanted: goal.adjective(),
                    reason,
                    message,
                });
            }
            Progress::NotYet(state) if seen.state.as_ref() != Some(&state) => {
                if !is_stale {
                    writeln!(err, "{state}")?;
                }
                seen.state = Some(state);
            }
            Progress::NotYet(_) => {}
        }
    }
    gone()
}

/// Why a watch failed that is tried again: the API server's message, if there is one.
///
/// # Errors
/// A refusal that a retry does not change: the user is unknown or has no permission to watch.
pub(crate) fn retry_reason(error: watcher::Error) -> Result<String, Failure> {
    let status = match &error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    };
    match status {
        Some(status) if matches!(status.code, 401 | 403) => Err(Failure::Refused(status.clone())),
        Some(status) if !status.message.is_empty() => Ok(status.message.clone()),
        _ => Ok(chain(&error.into())),
    }
}

fn progress(workspace: &Workspace, goal: &Goal) -> Progress {
    if workspace.metadata.deletion_timestamp.is_some() && *goal != Goal::Gone {
        return Progress::Failed {
            reason: reason::DELETING.to_owned(),
            message: "it is being deleted".to_owned(),
        };
    }
    let generation = workspace.metadata.generation;
    let status = workspace.status.clone().unwrap_or_default();
    // A condition about an older spec is not valid for this one.
    let find = |type_: &str, value: &str| -> Option<&Condition> {
        condition::find(&status.conditions, type_)
            .filter(|condition| condition.status == value && condition.observed_generation >= generation)
    };
    let (invalid, degraded) = (find(VALID, "False"), find(DEGRADED, "True"));
    match goal {
        Goal::Available { .. } => {}
        Goal::Stopped if workspace.spec.desired_status == DesiredStatus::Running => {
            return Progress::Failed {
                reason: reason::STARTING.to_owned(),
                message: "it was started".to_owned(),
            };
        }
        Goal::Stopped if find(STOPPED, "True").is_some() => return Progress::Done { warning: None },
        Goal::Stopped | Goal::Gone => return not_yet(status),
    }
    if workspace.spec.desired_status == DesiredStatus::Stopped {
        return Progress::Failed {
            reason: reason::STOPPED.to_owned(),
            message: "it was stopped".to_owned(),
        };
    }
    let is_new = match goal {
        Goal::Available {
            other_than: Some(run),
        } => status.run_id.as_ref() != Some(run),
        _ => true,
    };
    // A workspace can be available and degraded at once, for example while its disk cannot grow.
    if is_new && find(AVAILABLE, "True").is_some() {
        let warning = invalid
            .or(degraded)
            .map(|condition| format!("{}: {}", condition.reason, condition.message));
        return Progress::Done { warning };
    }
    // A transient problem keeps the workspace in phase `Starting`, for example a pod that waits for a new node.
    let failed = degraded.filter(|_| status.phase != Some(Phase::Starting));
    if let Some(condition) = invalid.or(failed) {
        return Progress::Failed {
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        };
    }
    not_yet(status)
}

/// Whether the status is still that of the stop before the start that is waited for.
fn is_before_start(workspace: &Workspace, goal: &Goal) -> bool {
    let phase = workspace.status.as_ref().and_then(|status| status.phase);
    matches!(goal, Goal::Available { .. }) && phase == Some(Phase::Stopped)
}

fn not_yet(status: WorkspaceStatus) -> Progress {
    let phase = status
        .phase
        .map_or_else(|| PENDING.to_owned(), |phase| format!("{phase:?}"));
    // A reason that equals the phase is printed once.
    let reason = status.reason.filter(|reason| *reason != phase);
    let state = [Some(phase), reason, status.message];
    let state: Vec<_> = state
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty())
        .collect();
    Progress::NotYet(state.join(": "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn state(generation: i64, status: Value) -> Progress {
        let mut object = json!({
            "metadata": {"name": "demo", "generation": generation}, "spec": {"displayName": "d"}
        });
        object["status"] = status;
        progress(&serde_json::from_value(object).unwrap(), &Goal::AVAILABLE)
    }

    fn condition(type_: &str, status: &str, generation: i64) -> Value {
        json!({
            "type": type_, "status": status, "reason": "Because", "message": "of this",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn a_new_workspace_is_pending() {
        assert_eq!(state(1, Value::Null), Progress::NotYet("Pending".into()));
    }

    #[test]
    fn an_intermediate_state_is_described() {
        let state = |reason: &str| {
            state(
                1,
                json!({"phase": "Starting", "reason": reason, "message": "the pod starts"}),
            )
        };
        assert_eq!(
            state("ImagePull"),
            Progress::NotYet("Starting: ImagePull: the pod starts".into())
        );
        assert_eq!(
            state("Starting"),
            Progress::NotYet("Starting: the pod starts".into())
        );
    }

    #[test]
    fn available_needs_its_condition_for_this_generation_and_no_url() {
        let with = |generation| json!({"conditions": [condition(AVAILABLE, "True", generation)]});
        let available = Progress::Done { warning: None };
        assert_eq!(state(2, with(2)), available);
        assert_ne!(state(2, with(1)), available);
    }

    #[test]
    fn running_available_and_degraded_ends_the_wait_with_a_warning() {
        let with = |type_: &str, status: &str| {
            let conditions = [condition(AVAILABLE, "True", 1), condition(type_, status, 1)];
            state(
                1,
                json!({"phase": "Running", "url": "https://x", "conditions": conditions}),
            )
        };
        let warned = Progress::Done {
            warning: Some("Because: of this".into()),
        };
        assert_eq!(with(DEGRADED, "True"), warned);
        assert_eq!(with(VALID, "False"), warned);
        assert_eq!(with(DEGRADED, "False"), Progress::Done { warning: None });
    }

    #[test]
    fn transient_problems_are_waited_for() {
        let with = |phase: &str| {
            state(
                1,
                json!({"phase": phase, "reason": "Unschedulable", "message": "no node", "conditions": [condition(DEGRADED, "True", 1)]}),
            )
        };
        assert_eq!(
            with("Starting"),
            Progress::NotYet("Starting: Unschedulable: no node".into())
        );
        assert!(matches!(with("Failed"), Progress::Failed { .. }));
    }

    #[test]
    fn invalid_and_degraded_end_the_wait_with_reason_and_message() {
        let failed = Progress::Failed {
            reason: "Because".into(),
            message: "of this".into(),
        };
        assert_eq!(
            state(1, json!({"conditions": [condition(VALID, "False", 1)]})),
            failed
        );
        assert_eq!(
            state(1, json!({"conditions": [condition(DEGRADED, "True", 1)]})),
            failed
        );
        assert_ne!(
            state(1, json!({"conditions": [condition(DEGRADED, "False", 1)]})),
            failed
        );
        assert_ne!(
            state(2, json!({"conditions": [condition(DEGRADED, "True", 1)]})),
            failed
        );
    }

    #[test]
    fn a_restart_is_done_when_another_run_is_available() {
        let status =
            json!({"url": "https://x", "runID": "one", "conditions": [condition(AVAILABLE, "True", 1)]});
        let object = json!({"metadata": {"name": "demo", "generation": 1}, "spec": {"displayName": "d"}, "status": status});
        let workspace = serde_json::from_value(object).unwrap();
        let of = |run: &str| Goal::Available {
            other_than: Some(run.into()),
        };
        assert!(matches!(progress(&workspace, &of("one")), Progress::NotYet(_)));
        assert_eq!(
            progress(&workspace, &of("none")),
            Progress::Done { warning: None }
        );
    }

    #[test]
    fn a_start_says_nothing_of_the_stop_before_it() {
        let is_before = |phase: &str, goal: &Goal| {
            let object = json!({"metadata": {"name": "demo"}, "spec": {"displayName": "d"}, "status": {"phase": phase}});
            is_before_start(&serde_json::from_value(object).unwrap(), goal)
        };
        assert!(is_before("Stopped", &Goal::AVAILABLE));
        assert!(!is_before("Starting", &Goal::AVAILABLE));
        assert!(!is_before("Stopped", &Goal::Gone));
    }

    #[test]
    fn a_stop_is_done_without_pods_and_fails_after_a_start() {
        let of = |desired: &str, value: &str| {
            let object = json!({
                "metadata": {"name": "demo", "generation": 1}, "spec": {"displayName": "d", "desiredStatus": desired},
                "status": {"phase": "Stopping", "conditions": [condition(STOPPED, value, 1)]},
            });
            progress(&serde_json::from_value(object).unwrap(), &Goal::Stopped)
        };
        assert_eq!(of("Stopped", "True"), Progress::Done { warning: None });
        assert_eq!(of("Stopped", "False"), Progress::NotYet("Stopping".into()));
        assert!(matches!(of("Running", "False"), Progress::Failed { .. }));
    }
}

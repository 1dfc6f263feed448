//! Workspace name -> available workspace, or the reason why it will not be (IO).
//!
//! The decision itself is pure.

use std::fmt;
use std::io::Write;

use api::Workspace;
use api::condition::{self, AVAILABLE, DEGRADED, VALID, reason};
use api::workspace::Phase;
use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::Status;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

use crate::failure::{Failure, chain};

/// The phase of a workspace that the operator has not reconciled yet.
const PENDING: &str = "Pending";

/// Progress of a workspace.
#[derive(Debug, Clone, PartialEq)]
enum Progress {
    /// The problem that an available workspace has, if any.
    Available {
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

/// Watches until the workspace is available. Each new state is a line on `err`, and `seen` holds the last one.
/// While the watch fails, `err` and `seen` also get the reason. The watch is retried unless the API server refuses it.
pub(crate) async fn until_available(
    client: Client,
    created: &Workspace,
    err: &mut impl Write,
    seen: &mut LastState,
) -> Result<Workspace, Failure> {
    let name = created.name_any();
    let namespace = created.namespace().unwrap_or_default();
    let mut events = std::pin::pin!(
        watcher::watch_object(Api::<Workspace>::namespaced(client, &namespace), &name).default_backoff()
    );
    let gone = || Failure::NotAvailable {
        name: name.clone(),
        reason: reason::DELETING.to_owned(),
        message: "somebody deleted it".to_owned(),
    };
    while let Some(state) = events.next().await {
        let workspace = match state {
            Ok(Some(workspace)) if workspace.uid() == created.uid() => workspace,
            Ok(_) => return Err(gone()),
            Err(error) => {
                if let Some(status) = refusal(&error) {
                    return Err(Failure::Refused(Box::new(status.clone())));
                }
                seen.watch_error = Some(error_message(error));
                continue;
            }
        };
        seen.watch_error = None;
        match progress(&workspace) {
            Progress::Available { warning } => {
                if let Some(warning) = warning {
                    writeln!(err, "Warning: {warning}")?;
                }
                return Ok(workspace);
            }
            Progress::Failed { reason, message } => {
                return Err(Failure::NotAvailable {
                    name,
                    reason,
                    message,
                });
            }
            Progress::NotYet(state) if seen.state.as_ref() != Some(&state) => {
                writeln!(err, "{state}")?;
                seen.state = Some(state);
            }
            Progress::NotYet(_) => {}
        }
    }
    Err(gone())
}

/// A refusal that a retry does not change: the user is unknown or has no permission to watch.
fn refusal(error: &watcher::Error) -> Option<&Status> {
    answer(error).filter(|status| matches!(status.code, 401 | 403))
}

/// The API server's answer, if there is one.
fn answer(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

/// The API server's message, if there is one.
fn error_message(error: watcher::Error) -> String {
    let message = answer(&error).map(|status| status.message.clone());
    message
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| chain(&error.into()))
}

fn progress(workspace: &Workspace) -> Progress {
    if workspace.metadata.deletion_timestamp.is_some() {
        return Progress::Failed {
            reason: reason::DELETING.to_owned(),
            message: "somebody deletes it".to_owned(),
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
    // A workspace can be available and degraded at once, for example while its disk cannot grow.
    if find(AVAILABLE, "True").is_some() && status.url.is_some() {
        let warning = invalid
            .or(degraded)
            .map(|condition| format!("{}: {}", condition.reason, condition.message));
        return Progress::Available { warning };
    }
    // A transient problem keeps the workspace in phase `Starting`, for example a pod that waits for a new node.
    let failed = degraded.filter(|_| status.phase != Some(Phase::Starting));
    if let Some(condition) = invalid.or(failed) {
        return Progress::Failed {
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        };
    }
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
        progress(&serde_json::from_value(object).unwrap())
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
    fn available_needs_its_condition_for_this_generation_and_a_url() {
        let with = |generation, url: Option<&str>| json!({"url": url, "conditions": [condition(AVAILABLE, "True", generation)]});
        let available = Progress::Available { warning: None };
        assert_eq!(state(2, with(2, Some("https://x"))), available);
        assert_ne!(state(2, with(1, Some("https://x"))), available);
        assert_ne!(state(2, with(2, None)), available);
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
        let warned = Progress::Available {
            warning: Some("Because: of this".into()),
        };
        assert_eq!(with(DEGRADED, "True"), warned);
        assert_eq!(with(VALID, "False"), warned);
        assert_eq!(with(DEGRADED, "False"), Progress::Available { warning: None });
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
}

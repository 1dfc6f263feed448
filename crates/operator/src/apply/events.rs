//! What somebody did to a Deployment -> the Event that says so (pure).

use api::{Workspace, WorkspaceStatus, condition::reason, workspace::DesiredStatus};
use kube::runtime::events::{Event, EventType};
use serde_json::{Map, Value};

use crate::{
    apply::intent::Intent,
    cache::observed::{Identity, Observed},
    status::transitions::note,
};

/// Somebody wanted several pods at one disk.
pub(super) fn corrected(identity: &Identity, before: i32, replicas: i32) -> Event {
    let text = format!(
        "The Deployment {} was scaled to {before} pods, and a workspace runs one: it is scaled to {replicas} again. More than \
         one pod may have used the disk for a moment.",
        identity.child_name()
    );
    warning(reason::REPLICAS_CORRECTED, &text)
}

/// Somebody changed how the Deployment makes pods.
pub(super) fn restored(identity: &Identity, restored: &Map<String, Value>) -> Event {
    let fields: Vec<_> = restored.keys().map(|field| format!("spec.{field}")).collect();
    let text = format!(
        "{} of the Deployment {} was changed, and it is put back: two pods must not use one disk. To change the workspace, change the \
         Workspace.",
        fields.join(", "),
        identity.child_name()
    );
    warning(reason::DEPLOYMENT_RESTORED, &text)
}

/// Who said that there is to be no pod, and not by the workspace.
pub(super) enum Scaler {
    /// A field manager of this name.
    Named(String),
    /// Who used the scale subresource: nobody's name is kept there for a number of 0.
    Unnamed,
}

/// Whether somebody seems to have ended a run although the workspace is wanted running. It is told in the first pass that finds it:
/// whatever that pass says in the status, the workspace is not ready in it.
pub(super) fn seems_undone(workspace: &Workspace, intent: Intent) -> bool {
    let was_ready = |status: &WorkspaceStatus| status.endpoint.is_some();
    workspace.spec.desired_status == DesiredStatus::Running
        && workspace.status.as_ref().is_some_and(was_ready)
        && matches!(intent, Intent::Start | Intent::Await)
}

/// Somebody ended a run. `observed state` is what is found, before anything is written; `scaler`: nobody where we did it ourselves, to begin it
/// anew.
pub(super) fn undone(observed: &Observed, scaler: Option<Scaler>) -> Option<Event> {
    let name = observed.identity.child_name();
    let what = match (&observed.deployment, scaler) {
        // Its pod does not end, which the status says.
        (None, _) if observed.orphans().next().is_some() => return None,
        (None, _) => format!("The Deployment {name} was deleted"),
        (Some(_), Some(Scaler::Named(who))) => {
            format!("The Deployment {name} was scaled to no pod by {who:?}")
        }
        (Some(_), Some(Scaler::Unnamed)) => {
            format!("The Deployment {name} was scaled to no pod, as `kubectl scale` does it")
        }
        (Some(_), None) => return None,
    };
    let text = format!(
        "{what}, and not the Workspace stopped: its pod ends, and a new run begins. To stop the workspace, set spec.desiredStatus: \
         Stopped."
    );
    Some(warning(reason::DEPLOYMENT_RESTORED, &text))
}

fn warning(reason: &str, text: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note(text)),
        action: "Scale".to_owned(),
        secondary: None,
    }
}

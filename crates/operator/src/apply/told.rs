//! What somebody did to a Deployment -> the Event that says so (pure).

use api::{Workspace, condition::reason, workspace::DesiredStatus};
use kube::runtime::events::{Event, EventType};

use crate::{
    intent::Intent,
    transitions::note,
    world::{Identity, World},
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

/// Somebody ended a run although the workspace is wanted running. `world` is what is found, before anything is written. It is told in
/// the first pass that finds it: whatever that pass says in the status, the workspace is not ready in it.
pub(super) fn undone(workspace: &Workspace, intent: Intent, world: &World) -> Option<Event> {
    let was_ready = workspace.status.as_ref()?.endpoint.is_some();
    let wanted = workspace.spec.desired_status == DesiredStatus::Running;
    if !was_ready || !wanted || !matches!(intent, Intent::Start | Intent::Await) {
        return None;
    }
    let name = world.identity.child_name();
    let what = match &world.deployment {
        None => format!("The Deployment {name} was deleted"),
        // We end runs ourselves, too, to begin them anew.
        Some(_) => format!(
            "The Deployment {name} was scaled to no pod by {:?}",
            world.scaled_by()?
        ),
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

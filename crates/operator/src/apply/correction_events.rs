//! An external change of a Deployment -> the Event that reports it (pure).

use api::{Workspace, WorkspaceStatus, condition::reason, workspace::DesiredStatus};
use kube::runtime::events::{Event, EventType};
use serde_json::{Map, Value};

use crate::{
    apply::intent::Intent,
    cache::{
        observed::{Identity, Observed},
        partial::Pod,
    },
    status::transitions::event,
};

/// An external change set several pods for one disk. `observed`: what was found then.
pub(super) fn corrected(observed: &Observed, before: i32, replicas: i32) -> Event {
    let node = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
    let is_used_twice = observed.live_pods().filter_map(node).count() > 1;
    let disk = if is_used_twice {
        "More than one pod had a node, and may have used the disk."
    } else {
        "No further pod had a node when this was corrected."
    };
    let text = format!(
        "The Deployment {} was scaled to {before} pods, but a workspace runs one pod: it is scaled back to {replicas}. {disk}",
        observed.identity.child_name()
    );
    // The Recorder merges Events of one action, with the text of the first.
    let action = if is_used_twice { "ScaleDisksInUse" } else { "Scale" };
    event(EventType::Warning, action, reason::REPLICAS_CORRECTED, &text)
}

/// An external change modified how the Deployment makes pods.
pub(super) fn restored(identity: &Identity, restored: &Map<String, Value>) -> Event {
    let fields: Vec<_> = restored.keys().map(|field| format!("spec.{field}")).collect();
    let text = format!(
        "{} of the Deployment {} was changed, and it is put back: two pods must not use one disk. To change the workspace, change the \
         Workspace.",
        fields.join(", "),
        identity.child_name()
    );
    event(EventType::Warning, "Restore", reason::DEPLOYMENT_RESTORED, &text)
}

/// The field manager that scaled to 0, other than through the workspace.
pub(super) enum Scaler {
    /// A field manager of this name.
    Named(String),
    /// A client of the scale subresource: Kubernetes records no field manager there for 0 replicas.
    Unnamed,
}

/// Whether an external change seems to have ended a run although the workspace should run. The first reconcile that finds it reports
/// it: in the status of that reconcile the workspace is not ready.
pub(super) fn seems_undone(workspace: &Workspace, intent: Intent) -> bool {
    let was_ready = |status: &WorkspaceStatus| status.endpoint.is_some();
    workspace.spec.desired_status == DesiredStatus::Running
        && workspace.status.as_ref().is_some_and(was_ready)
        && matches!(intent, Intent::Start | Intent::Await)
}

/// The Event for a run that an external change ended. `observed`: the state before any write. `scaler`: `None` if the operator scaled
/// it to 0 itself, for a restart.
pub(super) fn undone(observed: &Observed, scaler: Option<Scaler>) -> Option<Event> {
    let name = observed.identity.child_name();
    let what = match (&observed.deployment, scaler) {
        // Its pod keeps running, and the status reports that.
        (None, _) if observed.orphans().next().is_some() => return None,
        (None, _) => format!("The Deployment {name} was deleted"),
        (Some(_), Some(Scaler::Named(who))) => {
            format!("The Deployment {name} was scaled to 0 by {who:?}")
        }
        (Some(_), Some(Scaler::Unnamed)) => {
            format!("The Deployment {name} was scaled to 0, as with `kubectl scale`")
        }
        (Some(_), None) => return None,
    };
    let text = format!(
        "{what}, but the Workspace should run: its pod ends, and a new pod starts. To stop the workspace, set spec.desiredStatus: \
         Stopped."
    );
    Some(event(
        EventType::Warning,
        "Start",
        reason::DEPLOYMENT_RESTORED,
        &text,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_event_of_a_correction_reports_whether_a_second_pod_had_a_node() {
        let mut observed = testing::running();
        let on_node = |name: &str, node: Option<&str>, pod: &Pod| {
            let mut pod = pod.clone();
            pod.metadata.name = Some(name.to_owned());
            pod.spec.get_or_insert_default().node_name = node.map(str::to_owned);
            pod.into()
        };
        let first = observed.pods[0].as_ref().clone();
        let mut note = |second: Option<&str>| {
            observed.pods = vec![on_node("a", Some("n1"), &first), on_node("b", second, &first)];
            corrected(&observed, 2, 1).note.unwrap_or_default()
        };
        let (pending, placed) = (note(None), note(Some("n2")));
        assert!(pending.ends_with("when this was corrected."), "{pending}");
        assert!(placed.ends_with("may have used the disk."), "{placed}");
    }
}

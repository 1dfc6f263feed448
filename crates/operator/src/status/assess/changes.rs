//! Earlier status, new status, observed state -> Events without a worsened condition (pure).

use api::{
    WorkspaceStatus,
    condition::{self, DEGRADED, reason},
    workspace::DesiredStatus,
};
use kube::runtime::events::{Event, EventType};
use rules::files::{Disks, Moment};

use super::{CHANGED_EXTERNALLY, Facts};
use crate::{cache::observed::Observed, status::transitions::event};

/// Events for external changes of the workspace's children.
pub(super) fn events(facts: &Facts<'_>, after: &WorkspaceStatus) -> Vec<Event> {
    let (before, observed) = (facts.workspace.status.as_ref(), facts.observed);
    let replaced = before.and_then(|before| replacement(before, after, observed));
    let lost = before.and_then(|before| loss(before, after, facts));
    replaced
        .into_iter()
        .chain(lost)
        .chain(image_change(before, after, observed))
        .collect()
}

fn replacement(before: &WorkspaceStatus, after: &WorkspaceStatus, observed: &Observed) -> Option<Event> {
    let (earlier, now) = (before.disk.as_ref()?, after.disk.as_ref()?);
    if !now.replaces_deleted || now.claim_uid == earlier.claim_uid {
        return None;
    }
    let volume = now.replaced_volume_name.as_deref().unwrap_or_default();
    let text = format!(
        "The disk {} that the workspace had was deleted, and a new, empty one takes its place. The files are lost, unless \
         the earlier volume {volume} was kept or there is a backup.",
        observed.identity.child_name()
    );
    Some(event(
        EventType::Warning,
        "MakeDisk",
        reason::VOLUME_REPLACED,
        &text,
    ))
}

/// The Event if the pod that users were connected to is gone although no user stopped the workspace. Evictions and lost nodes have their
/// own.
fn loss(before: &WorkspaceStatus, after: &WorkspaceStatus, facts: &Facts<'_>) -> Option<Event> {
    let name = &before.endpoint.as_ref()?.pod_name;
    let is_wanted = facts.workspace.spec.desired_status == DesiredStatus::Running && !facts.restarts;
    let goes_on = facts.observed.runs() && before.run_id.as_deref() == facts.observed.run_id();
    let is_reported = condition::find(&after.conditions, DEGRADED).is_some_and(|it| {
        it.status == "True" && [reason::EVICTED, reason::NODE_LOST].contains(&it.reason.as_str())
    });
    if !is_wanted || goes_on || is_reported {
        return None;
    }
    let text = format!(
        "The pod {name} was deleted or has failed, but the Workspace was not stopped: its processes have ended. A new pod \
         replaces it; {}.",
        Disks::from_status(&facts.observed.identity.name, before)
            .fate(Moment::Stop)
            .text
    );
    Some(event(EventType::Warning, "Reconcile", reason::POD_LOST, &text))
}

fn image_change(
    before: Option<&WorkspaceStatus>,
    after: &WorkspaceStatus,
    observed: &Observed,
) -> Option<Event> {
    let lists = |status: &WorkspaceStatus| {
        status
            .pending_update
            .iter()
            .any(|path| path == CHANGED_EXTERNALLY)
    };
    if before.is_some_and(lists) || !lists(after) {
        return None;
    }
    let text = format!(
        "An image of the pod {} was changed by {:?}, not by a change of the Workspace. The next start has the right one; to \
         change it, change the Workspace.",
        observed.identity.child_name(),
        observed.image_changed_by().unwrap_or_default()
    );
    Some(event(
        EventType::Warning,
        "Reconcile",
        reason::POD_TEMPLATE_CHANGED,
        &text,
    ))
}

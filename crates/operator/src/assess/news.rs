//! Earlier status, new status, world -> what is worth an Event although no condition turns bad (pure).

use api::{WorkspaceStatus, condition::reason};
use kube::runtime::events::{Event, EventType};

use super::CHANGED_BY_HAND;
use crate::{transitions::note, world::World};

/// What somebody did to the workspace's children behind its back.
pub(super) fn news(before: Option<&WorkspaceStatus>, after: &WorkspaceStatus, world: &World) -> Vec<Event> {
    let replaced = before.and_then(|before| replaced(before, after, world));
    replaced
        .into_iter()
        .chain(changed(before, after, world))
        .collect()
}

fn replaced(before: &WorkspaceStatus, after: &WorkspaceStatus, world: &World) -> Option<Event> {
    let (earlier, now) = (before.disk.as_ref()?, after.disk.as_ref()?);
    if !now.replaces_deleted || now.claim_uid == earlier.claim_uid {
        return None;
    }
    let volume = now.replaced_volume_name.as_deref().unwrap_or_default();
    let text = format!(
        "The disk {} that the workspace had was deleted, and a new, empty one takes its place. The files are lost, unless \
         the earlier volume {volume} was kept or there is a backup.",
        world.identity.child_name()
    );
    Some(warning("MakeDisk", reason::VOLUME_REPLACED, &text))
}

fn changed(before: Option<&WorkspaceStatus>, after: &WorkspaceStatus, world: &World) -> Option<Event> {
    let lists = |status: &WorkspaceStatus| status.pending_update.iter().any(|path| path == CHANGED_BY_HAND);
    if before.is_some_and(lists) || !lists(after) {
        return None;
    }
    let text = format!(
        "The pod template of the Deployment {} was changed by {:?}, and not the Workspace. The next start puts it right; to \
         change the pod, change the Workspace.",
        world.identity.child_name(),
        world.template_changed_by().unwrap_or_default()
    );
    Some(warning("Reconcile", reason::POD_TEMPLATE_CHANGED, &text))
}

fn warning(action: &str, reason: &str, text: &str) -> Event {
    Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note(text)),
        action: action.to_owned(),
        secondary: None,
    }
}

//! Request for a Workspace -> user to record as the assigner of its owner (pure).

use api::names::{self, ASSIGNED_BY};
use kube::api::DynamicObject;

use crate::review::Request;

/// The user to record. It is the requester who assigns the owner now, unless the requester creates a workspace of their own.
/// Otherwise it is the stored assigner.
pub(crate) fn due(request: &Request) -> Option<&str> {
    let owner = |object: &DynamicObject| names::owner(&object.metadata).unwrap_or_default().to_owned();
    let assigns_now = match &request.old {
        None => owner(&request.object) != request.user_name(),
        Some(old) => owner(&request.object) != owner(old),
    };
    if assigns_now {
        return Some(request.user_name());
    }
    assigner(request.old.as_ref()?)
}

/// The recorded user.
pub(crate) fn assigner(object: &DynamicObject) -> Option<&str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(ASSIGNED_BY).map(String::as_str)
}

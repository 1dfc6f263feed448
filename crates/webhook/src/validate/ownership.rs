//! Stored owner and user -> violation of ownership (IO).
//!
//! Who may set an owner, the chart's policies say, which the API server applies before it calls the webhook.

use api::Workspace;
use api::names::{self, CREATED_BY};
use api::workspace::OwnershipType;
use futures::future::try_join;
use kube::api::DynamicObject;
use rules::Violation;

use crate::lookups::{LookupError, Lookups};
use crate::review::{Changes, Request};

/// Maximum number of changed fields that a message lists.
const MAX_PATHS: usize = 3;

fn owner(object: &DynamicObject) -> &str {
    names::owner(&object.metadata).unwrap_or_default()
}

fn owns(request: &Request, stored: &DynamicObject) -> bool {
    !owner(stored).is_empty() && owner(stored) == request.user_name()
}

/// Only its owner and administrators may change or delete an `OwnerOnly` workspace.
pub(super) async fn violation(
    request: &Request,
    changes: &Changes,
    lookups: &Lookups,
) -> Result<Option<Violation>, LookupError> {
    let Some(stored) = &request.old else {
        return Ok(None);
    };
    let touched = request.is_delete() || changes.beyond_annotation(CREATED_BY);
    if !touched || owns(request, stored) || is_public(stored, lookups).await? {
        return Ok(None);
    }
    let terminating = async {
        if request.is_delete() {
            lookups.namespace_is_terminating(&request.namespace).await
        } else {
            Ok(false)
        }
    };
    let (administers, terminating) =
        try_join(lookups.may(request, names::ADMINISTER_VERB), terminating).await?;
    if administers || terminating {
        return Ok(None);
    }
    Ok(Some(not_yours(request, changes)))
}

/// The violation for another user's change of an `OwnerOnly` workspace.
fn not_yours(request: &Request, changes: &Changes) -> Violation {
    let verb = names::ADMINISTER_VERB;
    if request.is_delete() {
        let rule =
            format!("is deleted only by its owner and by holders of the verb {verb} on it: ask one of them");
        return Violation::new("metadata.name", &request.name, rule);
    }
    let paths = changes.paths();
    let more = match paths.len().saturating_sub(MAX_PATHS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = paths
        .iter()
        .take(MAX_PATHS)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let rule = format!(
        "must stay as it is: the workspace {:?} is changed only by its owner and by holders of the verb {verb} on it: ask one of them",
        request.name
    );
    Violation::new(format!("{listed}{more}"), "", rule)
}

/// Whether every user with the RBAC permission may edit the stored workspace.
async fn is_public(stored: &DynamicObject, lookups: &Lookups) -> Result<bool, LookupError> {
    // Only its owner may edit a workspace that cannot be parsed.
    let Ok(stored) = stored.clone().try_parse::<Workspace>() else {
        return Ok(false);
    };
    let template = lookups.template_of(&stored).await?;
    let own = stored.spec.ownership_type;
    let effective = own.or_else(|| template?.spec.default_ownership_type);
    Ok(effective.is_some_and(OwnershipType::lets_roles_decide))
}

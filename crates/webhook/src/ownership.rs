//! Stored owner and requester -> who may name an owner, change or delete a workspace (IO only through look-ups).

use api::Workspace;
use api::names::{self, ASSIGNED_BY, CREATED_BY};
use api::workspace::OwnershipType;
use futures::future::try_join;
use kube::api::DynamicObject;
use rules::Violation;

use crate::changes::Changes;
use crate::lookups::{LookupError, Lookups};
use crate::review::Request;

/// Most changed fields that a message lists.
const MOST_PATHS: usize = 3;

/// What the requester may not do to this workspace for being somebody else.
pub(crate) async fn violations(
    request: &Request,
    changes: &Changes,
    lookups: &Lookups,
) -> Result<Vec<Violation>, LookupError> {
    let (naming, editing) = try_join(
        Box::pin(naming(request, lookups)),
        Box::pin(editing(request, changes, lookups)),
    )
    .await?;
    Ok(naming.into_iter().chain(editing).chain(mark(request)).collect())
}

fn owner(object: &DynamicObject) -> &str {
    names::owner(&object.metadata).unwrap_or_default()
}

/// Who must be noted as the one that named the owner: whoever does it now, unless for themselves at creation; else whoever
/// did before.
pub(crate) fn assigner(request: &Request) -> Option<&str> {
    let names_now = match &request.old {
        None => owner(&request.object) != request.user_name(),
        Some(old) => owner(&request.object) != owner(old),
    };
    if names_now {
        return Some(request.user_name());
    }
    noted(request.old.as_ref()?)
}

/// Who is noted as the one that named the owner.
pub(crate) fn noted(object: &DynamicObject) -> Option<&str> {
    let annotations = object.metadata.annotations.as_ref()?;
    annotations.get(ASSIGNED_BY).map(String::as_str)
}

/// The note of who named the owner is nobody's to write. It is put right before this; here is what that could not see.
fn mark(request: &Request) -> Option<Violation> {
    if request.is_delete() || noted(&request.object) == assigner(request) {
        return None;
    }
    let rule = "is not who named the owner: leave it as it is";
    let value = noted(&request.object).unwrap_or_default();
    Some(Violation::new(
        format!("metadata.annotations[{ASSIGNED_BY}]"),
        value,
        rule,
    ))
}

fn owns(request: &Request, stored: &DynamicObject) -> bool {
    !owner(stored).is_empty() && owner(stored) == request.user_name()
}

/// Naming somebody else as the owner needs a right of its own. It makes nobody the owner of what is somebody else's: what
/// exists is handed over by its owner or by who administers it.
async fn naming(request: &Request, lookups: &Lookups) -> Result<Option<Violation>, LookupError> {
    let named = owner(&request.object);
    let expected = request.old.as_ref().map_or_else(|| request.user_name(), owner);
    if named == expected {
        return Ok(None);
    }
    let has_a_say = async {
        match &request.old {
            Some(stored) if !owns(request, stored) => lookups.may(request, names::ADMINISTER_VERB).await,
            _ => Ok(true),
        }
    };
    let (assigns, has_a_say) = try_join(lookups.may(request, names::ASSIGN_OWNER_VERB), has_a_say).await?;
    if assigns && has_a_say {
        return Ok(None);
    }
    let whose = if has_a_say {
        String::new()
    } else {
        format!(
            ", which is for its owner and holders of the verb {}",
            names::ADMINISTER_VERB
        )
    };
    let verbs = match (assigns, has_a_say) {
        (false, false) => format!(
            "the verbs {} and {}",
            names::ASSIGN_OWNER_VERB,
            names::ADMINISTER_VERB
        ),
        (true, false) => format!("the verb {}", names::ADMINISTER_VERB),
        (_, true) => format!("the verb {}", names::ASSIGN_OWNER_VERB),
    };
    let rule = format!(
        "names another owner{whose}: leave the annotation as it is, or ask an administrator for {verbs} on this workspace"
    );
    Ok(Some(Violation::new(
        format!("metadata.annotations[{CREATED_BY}]"),
        named,
        rule,
    )))
}

/// A workspace that is its owner's alone is changed by its owner and by those who administer it.
async fn editing(
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
    let leaving = async {
        if request.is_delete() {
            lookups.namespace_is_leaving(&request.namespace).await
        } else {
            Ok(false)
        }
    };
    let (administers, leaving) = try_join(lookups.may(request, names::ADMINISTER_VERB), leaving).await?;
    if administers || leaving {
        return Ok(None);
    }
    Ok(Some(not_yours(request, changes)))
}

/// What somebody else is told of a workspace that is its owner's alone.
fn not_yours(request: &Request, changes: &Changes) -> Violation {
    let verb = names::ADMINISTER_VERB;
    if request.is_delete() {
        let rule =
            format!("is deleted only by its owner and by holders of the verb {verb} on it: ask one of them");
        return Violation::new("metadata.name", &request.name, rule);
    }
    let paths = changes.paths();
    let more = match paths.len().saturating_sub(MOST_PATHS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let listed = paths
        .iter()
        .take(MOST_PATHS)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let rule = format!(
        "must stay as it is: the workspace {:?} is changed only by its owner and by holders of the verb {verb} on it: ask one of them",
        request.name
    );
    Violation::new(format!("{listed}{more}"), "", rule)
}

/// Whether everybody with the rights to it may edit the workspace as it is stored.
async fn is_public(stored: &DynamicObject, lookups: &Lookups) -> Result<bool, LookupError> {
    // One that cannot be read is nobody's to edit but its owner's.
    let Ok(stored) = stored.clone().try_parse::<Workspace>() else {
        return Ok(false);
    };
    let template = lookups.template_of(&stored).await?;
    let own = stored.spec.ownership_type;
    let effective = own.or_else(|| template?.spec.default_ownership_type);
    Ok(effective == Some(OwnershipType::Public))
}

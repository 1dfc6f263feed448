//! Request for a share -> violations and warnings (IO).

use api::names::{self, CREATED_BY, RESERVED_PREFIX, SHARE_VERB, SHARED_FOR};
use api::{Workspace, WorkspaceManager, WorkspaceShare};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use rules::Violation;

use super::unreadable;
use crate::lookups::{LookupError, Lookups};
use crate::records::share_binding::Binding;
use crate::review::{Changes, Findings, Request};

/// Validates a request for a share.
pub(super) async fn check(
    request: &Request,
    changes: &Changes,
    lookups: &Lookups,
) -> Result<Findings, LookupError> {
    if !request.is_delete() && changes.paths().is_empty() {
        return Ok(Findings::default());
    }
    let share: WorkspaceShare = match request.object.clone().try_parse() {
        Ok(share) => share,
        Err(error) => return Ok(unreadable(&error.to_string())),
    };
    let workspace = lookups
        .workspace(&request.namespace, &share.spec.workspace_ref)
        .await?;
    let mut found = Findings::default();
    let writer = Writer::new(request, &share, workspace.as_ref());
    if writer.needs_a_right(request) && !may_share(request, &share, lookups).await? {
        let terminating = request.is_delete() && lookups.namespace_is_terminating(&request.namespace).await?;
        if !terminating {
            found.forbidden.extend(writer.violations(request, &share));
        }
    }
    if request.is_create() || !changes.spec.is_empty() {
        found.invalid.extend(newly_wrong(request, &share));
    }
    found
        .forbidden
        .extend(made_up_for(request, changes, workspace.as_ref()));
    if request.is_create() {
        found.invalid.extend(other_workspace(&share, workspace.as_ref()));
    }
    match &workspace {
        None if request.is_create() => found.warnings.push(format!(
            "Workspace {:?} does not exist: the share counts once its creator makes it",
            share.spec.workspace_ref
        )),
        Some(workspace) if request.is_create() || !changes.spec.is_empty() => {
            let manager = manager(workspace, lookups).await?;
            found.invalid.extend(limits(request, share, manager.as_ref()));
        }
        _ => {}
    }
    Ok(found)
}

/// New violations of the share. Stored values do not count: rules get stricter, and it must always be possible to end a share.
fn newly_wrong(request: &Request, share: &WorkspaceShare) -> Vec<Violation> {
    let stored = request
        .old
        .as_ref()
        .and_then(|old| old.clone().try_parse::<WorkspaceShare>().ok());
    let stored = stored.map_or_else(Vec::new, |stored| rules::validate::share(&stored.spec));
    let mut found = rules::validate::share(&share.spec);
    found.retain(|violation| !stored.contains(violation));
    found
}

/// The manager that routes to the workspace now, or will route to it.
async fn manager(workspace: &Workspace, lookups: &Lookups) -> Result<Option<WorkspaceManager>, LookupError> {
    let status = workspace.status.as_ref();
    let resolved = status.and_then(|status| status.resolved.as_ref()?.manager.clone());
    let mut named = resolved.or_else(|| workspace.spec.manager_ref.clone());
    if named.is_none() {
        let template = lookups.template_of(workspace).await?;
        named = template.and_then(|template| template.spec.manager_ref);
    }
    let all = lookups.managers();
    Ok(rules::managers::choose(named.as_deref(), &all).ok().cloned())
}

/// The manager's bounds on sharing. An end in the past ends a share. A new share may not have one.
fn limits(
    request: &Request,
    mut share: WorkspaceShare,
    manager: Option<&WorkspaceManager>,
) -> Vec<Violation> {
    let now = Timestamp::now();
    share.metadata.creation_timestamp.get_or_insert(Time(now));
    let past = rules::shares::end(&share).filter(|end| request.is_create() && now >= *end);
    let past = past.map(|end| {
        let rule = "is in the past: set a time in the future, or leave it out";
        Violation::new("spec.expiresAt", end.to_string(), rule)
    });
    let beyond = manager.and_then(|manager| rules::shares::within_bounds(&share, manager).err());
    let beyond = beyond.map(|beyond| Violation::new("spec", "", beyond.to_string()));
    past.into_iter().chain(beyond).collect()
}

/// Only the webhook may record the owner for whom a share was made.
fn made_up_for(request: &Request, changes: &Changes, workspace: Option<&Workspace>) -> Option<Violation> {
    let named = |object: &DynamicObject| object.annotations().get(SHARED_FOR).cloned();
    let expected = match &request.old {
        None => workspace.and_then(|workspace| Binding::to(request, workspace).shared_for),
        Some(stored) => named(stored),
    };
    let given = named(&request.object);
    if given == expected || !changes.annotations_set.contains(SHARED_FOR) {
        return None;
    }
    let rule = format!("this key is reserved, as all keys under {RESERVED_PREFIX}: leave it out");
    Some(Violation::new(
        format!("metadata.annotations[{SHARED_FOR}]"),
        "",
        rule,
    ))
}

async fn may_share(
    request: &Request,
    share: &WorkspaceShare,
    lookups: &Lookups,
) -> Result<bool, LookupError> {
    lookups
        .may_on_workspace(request, SHARE_VERB, &share.spec.workspace_ref)
        .await
}

/// The creator of the share.
fn creator(request: &Request) -> Option<&str> {
    match &request.old {
        None => Some(request.user_name()),
        Some(stored) => names::owner(&stored.metadata),
    }
}

/// Whether the share names another user as its creator.
fn names_another(request: &Request) -> bool {
    names::owner(&request.object.metadata) != creator(request)
}

/// The requester's relation to the share.
struct Writer {
    /// They own the workspace that the share is bound to.
    owns: bool,
    /// They made the share, or are making it.
    made: bool,
    /// The share is bound to an existing workspace.
    bound: bool,
}

impl Writer {
    fn new(request: &Request, share: &WorkspaceShare, workspace: Option<&Workspace>) -> Self {
        let user = request.user_name();
        // A new share is for the current workspace, even if it contains another UID.
        let uid = rules::shares::bound(share);
        let workspace =
            workspace.filter(|workspace| request.is_create() || uid == workspace.metadata.uid.as_deref());
        Self {
            owns: workspace.is_some_and(|workspace| names::owner(&workspace.metadata) == Some(user)),
            made: !user.is_empty() && creator(request) == Some(user),
            bound: workspace.is_some(),
        }
    }

    fn may_write(&self, request: &Request) -> bool {
        // Creators may always delete their shares. A share that is bound to no workspace gives no access.
        self.owns || (self.made && (request.is_delete() || !self.bound))
    }

    fn needs_a_right(&self, request: &Request) -> bool {
        !self.may_write(request) || names_another(request)
    }

    fn violations(&self, request: &Request, share: &WorkspaceShare) -> Vec<Violation> {
        let mut found = Vec::new();
        if !self.may_write(request) {
            let rule = format!(
                "is shared only by its owner and by holders of the verb {SHARE_VERB} on it: ask one of them"
            );
            found.push(Violation::new(
                "spec.workspaceRef",
                &share.spec.workspace_ref,
                rule,
            ));
        }
        if names_another(request) {
            let rule = format!(
                "names another creator: leave the annotation as it is, or ask an administrator for the verb {SHARE_VERB} on the workspace"
            );
            let named = names::owner(&request.object.metadata).unwrap_or_default();
            found.push(Violation::new(
                format!("metadata.annotations[{CREATED_BY}]"),
                named,
                rule,
            ));
        }
        found
    }
}

/// A given UID must be the workspace's.
fn other_workspace(share: &WorkspaceShare, workspace: Option<&Workspace>) -> Option<Violation> {
    let given = share.spec.workspace_uid.as_ref()?;
    let uid = workspace.and_then(|workspace| workspace.metadata.uid.as_ref());
    let rule = "is not the UID of that workspace: leave it out, and it is filled in";
    (uid != Some(given)).then(|| Violation::new("spec.workspaceUID", given, rule))
}

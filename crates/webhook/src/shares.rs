//! Request for a share -> who may write it, and which workspace it is bound to (IO only through look-ups).

use api::names::{self, CREATED_BY, SHARE_VERB};
use api::{Workspace, WorkspaceShare};
use rules::Violation;

use crate::changes::Changes;
use crate::findings::Findings;
use crate::lookups::{LookupError, Lookups};
use crate::review::Request;
use crate::workspace::unreadable;

/// The UID of the workspace that a new share names none for, if that workspace exists.
pub(crate) async fn uid_to_fill_in(
    request: &Request,
    lookups: &Lookups,
) -> Result<Option<String>, LookupError> {
    let spec = &request.object.data["spec"];
    match (spec["workspaceRef"].as_str(), &spec["workspaceUID"]) {
        (Some(name), serde_json::Value::Null) if request.is_create() => {
            let workspace = lookups.workspace(&request.namespace, name).await?;
            Ok(workspace.and_then(|workspace| workspace.metadata.uid))
        }
        _ => Ok(None),
    }
}

/// Judges a request for a share.
pub(crate) async fn judge(
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
    let writer = Writer::of(request, &share, workspace.as_ref());
    if writer.needs_a_right(request) && !may_share(request, &share, lookups).await? {
        let leaving = request.is_delete() && lookups.namespace_is_leaving(&request.namespace).await?;
        if !leaving {
            found.forbidden.extend(writer.violations(request, &share));
        }
    }
    if request.is_create() {
        found.invalid.extend(other_workspace(&share, workspace.as_ref()));
    }
    if request.is_create() && workspace.is_none() {
        found.warnings.push(format!(
            "Workspace {:?} does not exist: the share counts once its creator makes it",
            share.spec.workspace_ref
        ));
    }
    Ok(found)
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

/// Who makes or made the share.
fn creator(request: &Request) -> Option<&str> {
    match &request.old {
        None => Some(request.user_name()),
        Some(stored) => names::owner(&stored.metadata),
    }
}

/// Whether somebody else is named as who made it.
fn names_another(request: &Request) -> bool {
    names::owner(&request.object.metadata) != creator(request)
}

/// What the requester is to the share.
struct Writer {
    /// They own the workspace that it is bound to.
    owns: bool,
    /// They made it, or are making it.
    made: bool,
    /// It is bound to a workspace that exists.
    bound: bool,
}

impl Writer {
    fn of(request: &Request, share: &WorkspaceShare, workspace: Option<&Workspace>) -> Self {
        let user = request.user_name();
        let status = share.status.as_ref();
        let uid = share
            .spec
            .workspace_uid
            .as_ref()
            .or_else(|| status?.workspace_uid.as_ref());
        // One that is being made is about the workspace of now, whatever it names.
        let workspace =
            workspace.filter(|workspace| request.is_create() || uid == workspace.metadata.uid.as_ref());
        Self {
            owns: workspace.is_some_and(|workspace| names::owner(&workspace.metadata) == Some(user)),
            made: !user.is_empty() && creator(request) == Some(user),
            bound: workspace.is_some(),
        }
    }

    fn may_write(&self, request: &Request) -> bool {
        // Nobody is kept from taking back what they gave, and one that is bound to nothing gives nothing.
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

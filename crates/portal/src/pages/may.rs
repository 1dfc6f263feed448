//! User and workspaces -> what the user may do with them (IO: asks for rights).

use std::sync::Arc;

use api::Workspace;
use api::names::owner;
use api::workspace::DesiredStatus;
use kube::ResourceExt as _;

use crate::app::Context;
use crate::index::resolved_values;
use crate::visible::{AccessLevel, VisibleWorkspace};

/// Said where the API server does not answer in time, so that a right may be missing on the page.
pub(super) const UNKNOWN: &str =
    "The API server did not say in time what you may do here. Load the page again.";

/// What the user may do with workspaces of one namespace.
#[expect(
    clippy::struct_excessive_bools,
    reason = "three rights, and whether they are known"
)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct May {
    /// The verb `patch`.
    pub(super) change: bool,
    /// The verb `delete`.
    pub(super) delete: bool,
    /// The verb `administer`: also those of others.
    pub(super) administer: bool,
    /// The API server did not say in time of some of them.
    pub(super) is_unknown: bool,
}

impl May {
    /// Asks for the rights in a namespace.
    pub(super) async fn ask(context: &Context, namespace: &str) -> Self {
        let Context { rights, user, .. } = context;
        let ask = async |verb| rights.may_in(user, verb, "workspaces", namespace).await;
        let (change, delete, administer) =
            tokio::join!(ask("patch"), ask("delete"), ask(api::names::ADMINISTER_VERB));
        Self {
            change: change == Some(true),
            delete: delete == Some(true),
            administer: administer == Some(true),
            is_unknown: [change, delete, administer].contains(&None),
        }
    }

    /// What of it holds for this workspace: the webhook lets only owners and administrators change one of `OwnerOnly`.
    pub(super) fn with(self, seen: &VisibleWorkspace) -> Self {
        let workspace = &seen.workspace;
        let ownership = workspace
            .spec
            .ownership_type
            .or_else(|| resolved_values(workspace).and_then(|resolved| resolved.ownership_type))
            .unwrap_or_default();
        let is_theirs = seen.level == AccessLevel::Owner || self.administer || ownership.lets_roles_decide();
        Self {
            change: self.change && is_theirs,
            delete: self.delete && is_theirs,
            ..self
        }
    }

    /// Whether the user may stop this workspace, and it runs.
    pub(super) fn stops(self, seen: &VisibleWorkspace) -> bool {
        let workspace = &seen.workspace;
        workspace.spec.desired_status == DesiredStatus::Running
            && workspace.metadata.deletion_timestamp.is_none()
            && self.with(seen).change
    }
}

/// The user's own running workspaces of the namespace that they may stop, by name. `except`: one that is left out.
pub(super) fn own_running(
    context: &Context,
    may: May,
    namespace: &str,
    except: Option<&str>,
) -> Vec<Arc<Workspace>> {
    if !may.change {
        return Vec::new();
    }
    let mut own = context.app.index.workspaces();
    own.retain(|workspace| {
        let metadata = &workspace.metadata;
        owner(metadata) == Some(&*context.user.name)
            && metadata.namespace.as_deref() == Some(namespace)
            && metadata.deletion_timestamp.is_none()
            && workspace.spec.desired_status == DesiredStatus::Running
            && except != Some(&*workspace.name_any())
    });
    own.sort_by_key(|workspace| workspace.name_any());
    own
}

/// What the user may do beside one workspace: with its shares, its output, its owner, and a copy of it.
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MayBeside {
    /// Make shares.
    pub(super) share: bool,
    /// Change the ends of shares.
    pub(super) prolong: bool,
    /// End shares.
    pub(super) end: MayEnd,
    /// Read the output.
    pub(super) logs: bool,
    /// The verb `assign-owner`.
    pub(super) assign: bool,
    /// Create another workspace in its namespace.
    pub(super) create: bool,
    /// The API server did not say in time of some of them.
    pub(super) is_unknown: bool,
}

/// Which shares of a workspace the user may end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum MayEnd {
    /// None.
    #[default]
    None,
    /// Those that they made.
    Own,
    /// All.
    All,
}

impl MayBeside {
    /// Asks for the rights. The webhook lets only the owner and holders of the verb `share` write shares; creators may end their own.
    pub(super) async fn ask(context: &Context, seen: &VisibleWorkspace) -> Self {
        let Context { rights, user, .. } = context;
        let workspace = &seen.workspace;
        let (namespace, name) = (&*workspace.namespace().unwrap_or_default(), workspace.name_any());
        let ask = async |verb, resource, name: &str| rights.may(user, verb, resource, namespace, name).await;
        let shares_for_others = async {
            if seen.level == AccessLevel::Owner {
                Some(true)
            } else {
                ask(api::names::SHARE_VERB, "workspaces", &name).await
            }
        };
        let (add, patch, delete, logs, assign, create, is_theirs) = tokio::join!(
            ask("create", "workspaceshares", ""),
            ask("patch", "workspaceshares", ""),
            ask("delete", "workspaceshares", ""),
            ask("get", "pods/log", ""),
            ask(api::names::ASSIGN_OWNER_VERB, "workspaces", &name),
            rights.may_in(user, "create", "workspaces", namespace),
            shares_for_others,
        );
        let answers = [add, patch, delete, logs, assign, create, is_theirs];
        let [add, patch, delete, logs, assign, create, is_theirs] =
            answers.map(|answer| answer == Some(true));
        Self {
            share: add && is_theirs,
            prolong: patch && is_theirs,
            end: match (delete, is_theirs) {
                (true, true) => MayEnd::All,
                (true, false) => MayEnd::Own,
                (false, _) => MayEnd::None,
            },
            logs,
            assign,
            create,
            is_unknown: answers.contains(&None),
        }
    }
}

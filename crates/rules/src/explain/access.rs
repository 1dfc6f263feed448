//! A user, a workspace, its shares and its manager -> whether the user may connect, rule by rule (pure).
//!
//! [`access::connect`](crate::access::connect) decides. The lines here say what each rule contributes.

use api::condition::{ACTIVE, find};
use api::manager::Rbac;
use api::workspace::AccessType;
use api::{Workspace, WorkspaceManager, WorkspaceShare, names};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use super::{Cause, Cure, Read, Unread, Who, of_workspace, why, written};
use crate::access::{Allowed, Decision, Denied, Facts, Policy, Requester, Right, Shared, connect};
use crate::shares;

/// What the explanation draws on.
#[derive(Debug)]
pub struct AccessEvidence<'a> {
    /// Who wants to connect.
    pub requester: Requester<'a>,
    /// To which workspace.
    pub workspace: &'a Workspace,
    /// All shares of the namespace.
    pub shares: Read<Vec<WorkspaceShare>>,
    /// The manager in `status.resolved.manager`.
    pub manager: Read<WorkspaceManager>,
    /// Whether the user may `create` `workspaces/connect`.
    pub right: Read<bool>,
    /// The present time.
    pub now: Timestamp,
}

/// Whether a user may connect, and what each rule says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessExplanation {
    /// The user.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Whether the user may connect; absent if what was read does not decide it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// The decision in words.
    pub what: String,
    /// Each rule, in the order in which they are asked.
    pub rules: Vec<Rule>,
    /// What to do for access, if there is none.
    pub cures: Vec<Cure>,
    /// What could not be read.
    pub unread: Vec<Unread>,
}

/// One rule of access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Such as `owner`.
    pub rule: String,
    /// Whether it admits the user, apart from what later rules require; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// What shows it.
    pub because: Vec<Cause>,
}

/// Explains whether the requester may connect.
pub fn explain(evidence: &AccessEvidence<'_>) -> AccessExplanation {
    let decision = decision(evidence);
    let (allowed, what) = match decision {
        None | Some(Decision::Ask) => (
            None,
            "Whether the user may connect depends on what could not be read.",
        ),
        Some(Decision::Allow(allowed)) => (Some(true), admitted(allowed)),
        Some(Decision::Deny(denied)) => (Some(false), refused(denied)),
    };
    let rules = [owner(evidence), public(evidence)]
        .into_iter()
        .chain(right(evidence))
        .chain(of_shares(evidence))
        .chain(of_manager(evidence));
    let unread = [
        ("WorkspaceShares", why(&evidence.shares)),
        ("the WorkspaceManager", why(&evidence.manager)),
        ("the right to create workspaces/connect", why(&evidence.right)),
    ];
    let unread = unread.into_iter().filter_map(|(what, why)| {
        Some(Unread {
            what: what.to_owned(),
            why: why?,
        })
    });
    AccessExplanation {
        user: evidence.requester.user.to_owned(),
        groups: evidence.requester.groups.to_vec(),
        allowed,
        what: what.to_owned(),
        rules: rules.collect(),
        cures: match decision {
            Some(Decision::Deny(denied)) => cures(evidence, denied),
            _ => Vec::new(),
        },
        unread: unread.collect(),
    }
}

/// `None`: what could not be read may change it.
fn decision(evidence: &AccessEvidence<'_>) -> Option<Decision> {
    let mut shared = Shared::default();
    let counting = evidence.shares.known().into_iter().flatten();
    for share in counting.filter(|share| counts(share, evidence).is_ok()) {
        for subject in &share.spec.subjects {
            shared.add(subject, shares::end(share).map(Timestamp::as_second));
        }
    }
    let owner = names::owner(&evidence.workspace.metadata).unwrap_or_default();
    let facts = Facts {
        owner,
        access: access_type(evidence.workspace),
        shared: &shared,
    };
    let policy = evidence.manager.known().map(Policy::of).unwrap_or_default();
    let right = match evidence.right.known() {
        Some(true) => Right::Granted,
        Some(false) => Right::Missing,
        None => Right::Unknown,
    };
    let decision = connect(
        evidence.requester,
        facts,
        &policy,
        || right,
        evidence.now.as_second(),
    );
    let is_certain = match decision {
        // An unknown manager may ignore shares and public access; and it may not ask for the right.
        Decision::Allow(Allowed::Owner) | Decision::Deny(Denied::Anonymous) => true,
        Decision::Allow(_) => evidence.manager.known().is_some(),
        Decision::Deny(_) => evidence.manager.known().is_some() && evidence.shares.known().is_some(),
        Decision::Ask => false,
    };
    is_certain.then_some(decision)
}

fn access_type(workspace: &Workspace) -> AccessType {
    let resolved = workspace
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    resolved
        .and_then(|resolved| resolved.access_type)
        .or(workspace.spec.access_type)
        .unwrap_or_default()
}

fn owner(evidence: &AccessEvidence<'_>) -> Rule {
    let owner = names::owner(&evidence.workspace.metadata).unwrap_or_default();
    let field = format!("metadata.annotations[{}]", names::CREATED_BY);
    Rule {
        rule: Allowed::Owner.reason().to_owned(),
        holds: Some(!owner.is_empty() && owner == evidence.requester.user),
        because: vec![of_workspace(evidence.workspace, &field, owner, None)],
    }
}

fn public(evidence: &AccessEvidence<'_>) -> Rule {
    let access = access_type(evidence.workspace);
    let field = "status.resolved.accessType";
    Rule {
        rule: Allowed::Public.reason().to_owned(),
        holds: Some(access == AccessType::Public),
        because: vec![of_workspace(
            evidence.workspace,
            field,
            format!("{access:?}"),
            None,
        )],
    }
}

/// The right that owner and public access need as well.
fn right(evidence: &AccessEvidence<'_>) -> Option<Rule> {
    let rbac = evidence.manager.known().map(|manager| Policy::of(manager).rbac);
    if rbac == Some(Rbac::Ignored) {
        return None;
    }
    let holds = evidence.right.known().copied();
    Some(Rule {
        rule: "right, which owner and public need".to_owned(),
        holds,
        because: vec![Cause {
            object: "roles".to_owned(),
            field: "create workspaces/connect".to_owned(),
            value: match holds {
                Some(true) => "granted",
                Some(false) => "not granted",
                None => "not known",
            }
            .to_owned(),
            time: None,
        }],
    })
}

/// Whether a share is one of this workspace and active; else why not.
fn counts(share: &WorkspaceShare, evidence: &AccessEvidence<'_>) -> Result<(), Option<String>> {
    let workspace = evidence.workspace;
    if share.spec.workspace_ref != workspace.name_any() {
        return Err(None);
    }
    if let Some(end) = shares::end(share).filter(|end| evidence.now >= *end) {
        return Err(Some(format!("it ended at {}", written(end))));
    }
    let conditions = share.status.as_ref().map(|status| status.conditions.as_slice());
    match find(conditions.unwrap_or_default(), ACTIVE) {
        Some(active) if active.status == "True" => Ok(()),
        Some(active) => Err(Some(format!("{}: {}", active.reason, active.message))),
        None => Err(Some("the operator has not judged it yet".to_owned())),
    }
}

fn of_shares(evidence: &AccessEvidence<'_>) -> Vec<Rule> {
    let shares = evidence.shares.known().into_iter().flatten();
    let of_workspace = shares.filter_map(|share| match counts(share, evidence) {
        Err(None) => None,
        Err(Some(why)) => Some((share, Some(why))),
        Ok(()) => Some((share, None)),
    });
    of_workspace
        .map(|(share, why)| {
            let names = names_requester(share, evidence.requester);
            let subjects: Vec<_> = share
                .spec
                .subjects
                .iter()
                .map(|subject| format!("{:?} {}", subject.kind, subject.name))
                .collect();
            let mut because = vec![Cause {
                object: format!("WorkspaceShare {}", share.name_any()),
                field: "spec.subjects".to_owned(),
                value: subjects.join(", "),
                time: None,
            }];
            let holds = names && why.is_none();
            because.extend(why.map(|why| Cause {
                object: format!("WorkspaceShare {}", share.name_any()),
                field: format!("status.conditions[{ACTIVE}]"),
                value: why,
                time: None,
            }));
            Rule {
                rule: "share".to_owned(),
                holds: Some(holds),
                because,
            }
        })
        .collect()
}

fn names_requester(share: &WorkspaceShare, requester: Requester<'_>) -> bool {
    share
        .spec
        .subjects
        .iter()
        .any(|subject| match subject.user_name() {
            Some(user) => user == requester.user,
            None => requester.groups.contains(&subject.name),
        })
}

fn of_manager(evidence: &AccessEvidence<'_>) -> Vec<Rule> {
    let Some(manager) = evidence.manager.known() else {
        return Vec::new();
    };
    let policy = Policy::of(manager);
    let object = format!("WorkspaceManager {}", manager.name_any());
    let cause = |field: &str, value: String| Cause {
        object: object.clone(),
        field: field.to_owned(),
        value,
        time: None,
    };
    let mut groups: Vec<_> = policy.admin_groups.iter().cloned().collect();
    groups.sort();
    let is_administrator = evidence
        .requester
        .groups
        .iter()
        .any(|group| policy.admin_groups.contains(group));
    let mut rules = vec![Rule {
        rule: Allowed::Administrator.reason().to_owned(),
        holds: Some(is_administrator),
        because: vec![cause("spec.authorization.adminGroups", groups.join(", "))],
    }];
    if policy.disables_sharing {
        rules.push(Rule {
            rule: "routing mode, which ends public access and shares".to_owned(),
            holds: Some(false),
            because: vec![cause("spec.routing.mode", "Path".to_owned())],
        });
    }
    rules
}

fn admitted(allowed: Allowed) -> &'static str {
    match allowed {
        Allowed::Owner => "The user may connect, as the owner.",
        Allowed::Public => "The user may connect, because the workspace is public.",
        Allowed::Share => "The user may connect, because a share names the user.",
        Allowed::GroupShare => "The user may connect, because a share names a group of the user.",
        Allowed::Administrator => "The user may connect, as an administrator.",
    }
}

fn refused(denied: Denied) -> &'static str {
    match denied {
        Denied::Anonymous => "Users who have not signed in may not connect.",
        Denied::NotOwner => "The user may not connect: no rule admits the user.",
        Denied::OneOrigin => {
            "The user may not connect: all workspaces have one web origin, so public access and shares do not count."
        }
        Denied::NoRight => "The user may not connect: the right to create workspaces/connect is missing.",
        Denied::Unanswered => {
            "The user may not connect: the API server did not answer whether roles allow it."
        }
    }
}

fn cures(evidence: &AccessEvidence<'_>, denied: Denied) -> Vec<Cure> {
    let namespace = evidence.workspace.namespace().unwrap_or_default();
    let name = evidence.workspace.name_any();
    let user = evidence.requester.user;
    let (who, what) = match denied {
        Denied::NotOwner => (
            Who::Owner,
            format!("Share it: kubectl workspace share {name} -n {namespace} --user {user} --for 8h"),
        ),
        Denied::OneOrigin => (
            Who::Administrator,
            "Set routing.pathModeSharing of the manager, after reading docs/routing-modes.md.".to_owned(),
        ),
        Denied::NoRight | Denied::Unanswered => (
            Who::Administrator,
            format!(
                "Bind a role with create on workspaces/connect to the user in namespace {namespace} (docs/rights.md)."
            ),
        ),
        Denied::Anonymous => (Who::Owner, "Sign in.".to_owned()),
    };
    vec![Cure { who, what }]
}

//! A user, a workspace, its shares and its manager -> the result of each access rule (pure).

use std::collections::HashSet;

use api::condition::{ACTIVE, find, reason};
use api::manager::Rbac;
use api::share::Subject;
use api::workspace::AccessType;
use api::{WorkspaceShare, names};
use kube::ResourceExt as _;
use rules::access::shares::{self, Inactive};
use rules::access::{Allowed, Policy, Requester, access_type, requested_access_type};

use super::super::{Cause, of_workspace, written};
use super::{AccessEvidence, Rule};

/// In place of a reason: the operator has not checked the share.
pub(super) const NOT_CHECKED: &str = "NotChecked";

/// The rules, in the order of evaluation.
pub(super) fn all(evidence: &AccessEvidence<'_>) -> Vec<Rule> {
    let own = [owner(evidence), public(evidence)].into_iter();
    own.chain(right(evidence))
        .chain(shares_of(evidence).map(|share| of_share(evidence, share)))
        .chain(of_manager(evidence))
        .collect()
}

pub(super) fn owner_of(evidence: &AccessEvidence<'_>) -> String {
    let owner = names::owner(&evidence.workspace.metadata);
    owner.unwrap_or_default().to_owned()
}

fn owner(evidence: &AccessEvidence<'_>) -> Rule {
    let owner = owner_of(evidence);
    let user = evidence.requester.user;
    let field = format!("metadata.annotations[{}]", names::CREATED_BY);
    Rule {
        rule: Allowed::Owner.reason().to_owned(),
        holds: Some(!owner.is_empty() && owner == user),
        because: std::iter::once(of_workspace(evidence.workspace, &field, &owner, None))
            .chain(similar("user", user, &owner))
            .collect(),
    }
}

/// The cause that shows why two names are not the same, if they look alike.
fn similar(object: &str, own: &str, other: &str) -> Option<Cause> {
    let value = difference(own, other)?;
    Some(Cause {
        object: format!("{object} {own:?}"),
        field: "name".to_owned(),
        value: format!("differs from {other:?} in {value}; Kubernetes compares names exactly"),
        time: None,
    })
}

pub(super) fn difference(own: &str, other: &str) -> Option<&'static str> {
    let without_prefix = |name: &str| {
        let start = name.rfind([':', '#']).map_or(0, |at| at + 1);
        name.get(start..).unwrap_or_default().to_owned()
    };
    if own == other || own.is_empty() || other.is_empty() {
        None
    } else if own.to_lowercase() == other.to_lowercase() {
        Some("letter case")
    } else if without_prefix(own) == without_prefix(other) {
        Some("the prefix")
    } else {
        None
    }
}

fn public(evidence: &AccessEvidence<'_>) -> Rule {
    let access = requested_access_type(evidence.workspace, evidence.manager.known());
    let field = if access == access_type(evidence.workspace) {
        "status.resolved.accessType"
    } else {
        "spec.accessType"
    };
    let mut because = vec![of_workspace(
        evidence.workspace,
        field,
        format!("{access:?}"),
        None,
    )];
    because.extend(pending_access_type(evidence).map(|wanted| {
        let why = if evidence.workspace.is_in_recovery() {
            "does not count in recovery"
        } else {
            "the operator has not applied yet"
        };
        let value = format!("{wanted:?}, which {why}");
        of_workspace(evidence.workspace, "spec.accessType", value, None)
    }));
    Rule {
        rule: Allowed::Public.reason().to_owned(),
        holds: Some(access.admits_everyone()),
        because,
    }
}

/// The access type in the spec, if it does not count: in recovery, or before the operator applies it. The routing mode is a rule of its own.
pub(super) fn pending_access_type(evidence: &AccessEvidence<'_>) -> Option<AccessType> {
    let wanted = evidence.workspace.spec.access_type?;
    let found = requested_access_type(evidence.workspace, evidence.manager.known());
    (wanted != found).then_some(wanted)
}

/// The right that owner and public access need as well.
fn right(evidence: &AccessEvidence<'_>) -> Option<Rule> {
    let rbac = evidence
        .manager
        .known()
        .map(|manager| Policy::from_manager(manager).rbac);
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

/// Why a share does not count.
pub(super) struct Ignored {
    /// The reason of the contract, or [`NOT_CHECKED`]; empty if there is none.
    pub(super) reason: &'static str,
    why: String,
}

/// Shares that refer to the workspace.
pub(super) fn shares_of<'a>(evidence: &'a AccessEvidence<'_>) -> impl Iterator<Item = &'a WorkspaceShare> {
    let name = evidence.workspace.name_any();
    let shares = evidence.shares.known().into_iter().flatten();
    shares.filter(move |share| share.spec.workspace_ref == name)
}

/// Whether a share counts for the workspace; otherwise why not. The gateway checks the same.
pub(super) fn counts(share: &WorkspaceShare, evidence: &AccessEvidence<'_>) -> Result<(), Ignored> {
    let ignored = |reason, why: String| Err(Ignored { reason, why });
    if share.metadata.deletion_timestamp.is_some() {
        return ignored("", "it is being deleted".to_owned());
    }
    if let Some(end) = shares::end(share).filter(|end| evidence.now >= *end) {
        return ignored(reason::EXPIRED, format!("it ended at {}", written(end)));
    }
    let conditions = share.status.as_ref().map(|status| status.conditions.as_slice());
    let Some(active) = find(conditions.unwrap_or_default(), ACTIVE) else {
        return ignored(NOT_CHECKED, "the operator has not checked it yet".to_owned());
    };
    if active.status != "True" {
        let known = reason::find(&active.reason).map_or("", |known| known.name);
        return ignored(known, format!("{}: {}", active.reason, active.message));
    }
    match evidence.manager.known() {
        None => Ok(()),
        Some(manager) => match shares::live(share, Some(evidence.workspace), Some(manager), evidence.now) {
            // That the routing mode ends shares is a rule of its own.
            Ok(()) | Err(Inactive::OneOrigin(_)) => Ok(()),
            Err(why) => ignored(why.reason(), format!("{}: {why}", why.reason())),
        },
    }
}

fn of_share(evidence: &AccessEvidence<'_>, share: &WorkspaceShare) -> Rule {
    let ignored = counts(share, evidence).err();
    let object = format!("WorkspaceShare {}", share.name_any());
    let subjects = share.spec.subjects.iter();
    let names: Vec<_> = subjects
        .clone()
        .map(|subject| format!("{:?} {}", subject.kind, subject.name))
        .collect();
    let cause = |field: String, value| Cause {
        object: object.clone(),
        field,
        value,
        time: None,
    };
    let is_named = names_requester(share, evidence.requester);
    let holds = is_named && ignored.is_none();
    let mut because = vec![cause("spec.subjects".to_owned(), names.join(", "))];
    if !is_named {
        because.extend(subjects.filter_map(|subject| look_alike(subject, evidence.requester)));
    }
    because.extend(ignored.map(|ignored| cause(format!("status.conditions[{ACTIVE}]"), ignored.why)));
    Rule {
        rule: "share".to_owned(),
        holds: Some(holds),
        because,
    }
}

/// A subject whose name looks like that of the user or one of the user's groups.
fn look_alike(subject: &Subject, requester: Requester<'_>) -> Option<Cause> {
    match subject.user_name() {
        Some(name) => similar("user", requester.user, &name),
        None => requester
            .groups
            .iter()
            .find_map(|group| similar("group", group, &subject.name)),
    }
}

pub(super) fn names_requester(share: &WorkspaceShare, requester: Requester<'_>) -> bool {
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
    let policy = Policy::from_manager(manager);
    let object = format!("WorkspaceManager {}", manager.name_any());
    let cause = |field: &str, value: String| Cause {
        object: object.clone(),
        field: field.to_owned(),
        value,
        time: None,
    };
    let administrators = |field: &str, names: &HashSet<String>| {
        let mut names: Vec<_> = names.iter().map(String::as_str).collect();
        names.sort_unstable();
        let names = if names.is_empty() {
            "not set".to_owned()
        } else {
            names.join(", ")
        };
        cause(field, names)
    };
    let mut rules = vec![Rule {
        rule: Allowed::Administrator.reason().to_owned(),
        holds: Some(policy.is_administrator(evidence.requester)),
        because: vec![
            administrators("spec.authorization.adminUsers", &policy.admin_users),
            administrators("spec.authorization.adminGroups", &policy.admin_groups),
        ],
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

//! A refusal -> remedies that give access, and who can apply them (pure).

use api::condition::reason;
use api::workspace::AccessType;
use kube::ResourceExt as _;
use rules::access::Denied;

use super::super::Remedy;
use super::AccessEvidence;
use super::results::{
    NOT_CHECKED, counts, difference, names_requester, owner_of, pending_access_type, shares_of,
};

/// The remedies.
pub(super) fn remedies(evidence: &AccessEvidence<'_>, denied: Denied) -> Vec<Remedy> {
    let (workspace, user) = (evidence.workspace, evidence.requester.user);
    let namespace = workspace.namespace().unwrap_or_default();
    match denied {
        Denied::NotOwner => of_stranger(evidence),
        Denied::OneOrigin => vec![Remedy::of_administrator(
            "Set routing.pathModeSharing of the manager, after reading docs/networking.md.",
        )],
        Denied::NoRight | Denied::Unanswered => {
            let right = Remedy::of_administrator(format!(
                "Bind a role with create on workspaces/connect to the user in namespace {namespace} (docs/rights.md)."
            ));
            // A share needs no permission. Owners cannot be in one of their own.
            let share = share(evidence).filter(|_| owner_of(evidence) != user);
            std::iter::once(right).chain(share).collect()
        }
        Denied::Anonymous => vec![Remedy::of_user("Sign in.")],
    }
}

/// The remedies for a user whom no rule admits.
fn of_stranger(evidence: &AccessEvidence<'_>) -> Vec<Remedy> {
    let (workspace, user) = (evidence.workspace, evidence.requester.user);
    let owner = owner_of(evidence);
    let mut remedies = Vec::new();
    if let Some(difference) = difference(user, &owner) {
        remedies.push(Remedy::of_user(format!(
            "Sign in as {owner:?}, if that is you: {user:?} differs from it in {difference}. `kubectl workspace whoami` shows your name."
        )));
    }
    if pending_access_type(evidence).is_some_and(AccessType::admits_everyone) {
        remedies.push(if workspace.is_in_recovery() {
            Remedy::start_normally(workspace)
        } else {
            Remedy::operator()
        });
    }
    let named = shares_of(evidence).filter(|share| names_requester(share, evidence.requester));
    for share in named {
        let Err(ignored) = counts(share, evidence) else {
            continue;
        };
        remedies.extend(match ignored.reason {
            reason::EXPIRED => Some(Remedy::prolong(workspace, &share.name_any())),
            NOT_CHECKED => Some(Remedy::operator()),
            // Another share does it.
            reason::WORKSPACE_NOT_FOUND | reason::OWNER_CHANGED => None,
            reason => Remedy::for_reason(reason),
        });
    }
    let mut distinct: Vec<Remedy> = Vec::new();
    for remedy in remedies {
        if !distinct.contains(&remedy) {
            distinct.push(remedy);
        }
    }
    distinct.extend(share(evidence));
    distinct
}

/// A share with the user, if the manager lets owners share.
fn share(evidence: &AccessEvidence<'_>) -> Option<Remedy> {
    let manager = evidence.manager.known();
    let authorization = manager.and_then(|manager| manager.spec.authorization.clone());
    let sharing = authorization.unwrap_or_default().sharing.unwrap_or_default();
    let is_disabled = manager.is_some_and(|manager| manager.spec.routing.disables_sharing());
    (sharing.enabled && !is_disabled).then(|| {
        Remedy::share(
            evidence.workspace,
            evidence.requester.user,
            sharing.max_duration_minutes,
        )
    })
}

//! User, workspace, its shares and its manager -> whether the user may connect, by rule (pure).
//!
//! [`access::connect`](rules::access::connect) decides. `results` explains each rule, `remedies` what gives a refused user access.

mod remedies;
mod results;

use api::{Workspace, WorkspaceManager, WorkspaceShare};
use k8s_openapi::jiff::Timestamp;
use rules::access::shares;
use rules::access::{
    Allowed, Decision, Denied, Facts, MAX_GROUPS, Policy, Requester, Right, Shared, connect,
    requested_access_type,
};
use serde::Serialize;

use self::results::{counts, owner_of, shares_of};
use super::{Cause, Read, Remedy, Unread, all_unread, why};

/// Input of the explanation.
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

/// Whether a user may connect, and the result of each rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessExplanation {
    /// The user.
    pub user: String,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Whether the user may connect; absent if the readable objects do not decide it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// The decision as text.
    pub what: String,
    /// Each rule, in the order of evaluation.
    pub rules: Vec<Rule>,
    /// Remedies, if there is no access.
    pub remedies: Vec<Remedy>,
    /// Objects that could not be read.
    pub unread: Vec<Unread>,
}

/// One rule of access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Such as `owner`.
    pub rule: String,
    /// Whether it admits the user, apart from the requirements of later rules; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
    /// The evidence.
    pub because: Vec<Cause>,
}

/// Explains whether the requester may connect.
pub fn explain(evidence: &AccessEvidence<'_>) -> AccessExplanation {
    let Conclusion {
        allowed,
        what,
        remedies,
    } = conclusion(evidence);
    let unread = [
        ("WorkspaceShares", why(&evidence.shares)),
        ("the WorkspaceManager", why(&evidence.manager)),
        ("the right to create workspaces/connect", why(&evidence.right)),
    ];
    AccessExplanation {
        user: evidence.requester.user.to_owned(),
        groups: evidence.requester.groups.to_vec(),
        allowed,
        what,
        rules: results::all(evidence),
        remedies,
        unread: all_unread(unread),
    }
}

struct Conclusion {
    allowed: Option<bool>,
    what: String,
    remedies: Vec<Remedy>,
}

fn conclusion(evidence: &AccessEvidence<'_>) -> Conclusion {
    let groups = evidence.requester.groups.iter();
    // Groups that the API server adds do not come from the sign-in.
    let groups = groups.filter(|group| !group.starts_with("system:")).count();
    if groups > MAX_GROUPS {
        return Conclusion {
            allowed: Some(false),
            what: format!(
                "The user may not connect: users with more than {MAX_GROUPS} groups cannot sign in, and this one has {groups}."
            ),
            remedies: vec![Remedy::of_administrator(
                "Have the identity provider send fewer groups, or keep fewer with oidc.groupsFilter.",
            )],
        };
    }
    let (allowed, what, remedies) = match decision(evidence) {
        None | Some(Decision::Ask) => (
            None,
            "Whether the user may connect depends on what could not be read.",
            Vec::new(),
        ),
        Some(Decision::Allow(allowed)) => (Some(true), allowed_text(allowed), Vec::new()),
        Some(Decision::Deny(denied)) => (
            Some(false),
            denied_text(denied),
            remedies::remedies(evidence, denied),
        ),
    };
    Conclusion {
        allowed,
        what: what.to_owned(),
        remedies,
    }
}

/// `None`: an object that could not be read may change it.
fn decision(evidence: &AccessEvidence<'_>) -> Option<Decision> {
    let mut shared = Shared::default();
    for share in shares_of(evidence).filter(|share| counts(share, evidence).is_ok()) {
        for subject in &share.spec.subjects {
            shared.add(subject, shares::end(share).map(Timestamp::as_second));
        }
    }
    let owner = owner_of(evidence);
    let facts = Facts {
        owner: &owner,
        access: requested_access_type(evidence.workspace, evidence.manager.known()),
        shared: &shared,
    };
    let policy = evidence
        .manager
        .known()
        .map(Policy::from_manager)
        .unwrap_or_default();
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
        // An unknown manager may ignore shares and public access, and may not require the permission.
        Decision::Allow(Allowed::Owner) | Decision::Deny(Denied::Anonymous) => true,
        Decision::Allow(_) => evidence.manager.known().is_some(),
        Decision::Deny(_) => evidence.manager.known().is_some() && evidence.shares.known().is_some(),
        Decision::Ask => false,
    };
    is_certain.then_some(decision)
}

fn allowed_text(allowed: Allowed) -> &'static str {
    match allowed {
        Allowed::Owner => "The user may connect, as the owner.",
        Allowed::Public => "The user may connect, because the workspace is public.",
        Allowed::Share => "The user may connect, because a share names the user.",
        Allowed::GroupShare => "The user may connect, because a share names a group of the user.",
        Allowed::Administrator => "The user may connect, as an administrator.",
    }
}

fn denied_text(denied: Denied) -> &'static str {
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

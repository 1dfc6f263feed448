//! User, index and rights -> the workspaces that the user sees, and why (IO for unknown rights).
//!
//! A user sees their own workspaces, those that a share opens to them, all of a namespace in which they may list workspaces, and public
//! ones to which they may connect. Everything else looks as if it did not exist.
//!
//! `rights` asks the API server.

mod rights;

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use api::condition::{ACTIVE, holds};
use api::{Workspace, WorkspaceShare};
use jiff::Timestamp;
use kube::ResourceExt as _;
use rules::access::{self, Allowed, Decision, Facts, Policy, Requester, Shared};
use rules::shares;

pub(crate) use self::rights::{Namespaces, Rights};
use crate::index::{Index, Snapshot};
use crate::user::User;

/// Why a user sees a workspace: what they see of it follows from that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AccessLevel {
    /// It is theirs.
    Owner,
    /// They may list the workspaces of its namespace: they see all of it.
    Reader,
    /// They may only connect: they see state, owner, link, and the end of their share.
    Guest {
        /// When the share ends that opens it to them.
        until: Option<Timestamp>,
    },
}

/// A workspace that the user sees.
#[derive(Debug, Clone)]
pub(crate) struct VisibleWorkspace {
    pub(crate) workspace: Arc<Workspace>,
    pub(crate) level: AccessLevel,
    /// Whether they may open it, as far as it is known without asking about their roles.
    pub(crate) may_connect: bool,
    /// Whether a share opens it to them.
    pub(crate) is_shared: bool,
}

impl VisibleWorkspace {
    /// With what shares and access type say of the user. Where a right decides about connecting, it is left to the gateway.
    fn new(workspace: Arc<Workspace>, level: AccessLevel, decision: Decision) -> Self {
        Self {
            may_connect: !matches!(decision, Decision::Deny(_)),
            is_shared: matches!(decision, Decision::Allow(Allowed::Share | Allowed::GroupShare)),
            workspace,
            level,
        }
    }

    /// Whether the user may only connect.
    pub(crate) fn is_guest(&self) -> bool {
        matches!(self.level, AccessLevel::Guest { .. })
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        self.workspace.metadata.namespace.as_deref().unwrap_or_default()
    }
}

/// What the user sees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Visible {
    /// By display name.
    pub(crate) workspaces: Vec<VisibleWorkspace>,
    /// Whether the API server did not say in time what else the user may see.
    pub(crate) is_partial: bool,
}

/// What distinguishes its versions. No two workspaces have the same resource version, so it stands for the workspace, too.
impl Hash for Visible {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.is_partial.hash(hasher);
        for seen in &self.workspaces {
            seen.workspace.metadata.resource_version.hash(hasher);
            (seen.level, seen.may_connect, seen.is_shared).hash(hasher);
        }
    }
}

/// Where rights show the user workspaces of others.
#[derive(Debug, Clone)]
pub(crate) struct AccessScope {
    /// They may list the workspaces there.
    readable: Namespaces,
    /// They may connect to public workspaces there.
    open: Namespaces,
    /// Which namespaces these answers are about.
    places: u64,
}

impl AccessScope {
    /// Asks for the rights in all namespaces.
    pub(crate) async fn ask(snapshot: &Snapshot, rights: &Rights, user: &User) -> Self {
        let candidates = snapshot.namespaces().iter().cloned();
        let readable = rights
            .namespaces(user, ("list", "workspaces", ""), candidates)
            .await;
        let guest = Guest::new(snapshot, user, |_| true);
        let depends = snapshot.public().filter(|workspace| {
            let namespace = workspace.metadata.namespace.as_deref().unwrap_or_default();
            !is_owner(workspace, user)
                && !readable.holds(namespace)
                && guest.decision(workspace, user, access::Right::Unknown) == Decision::Ask
        });
        let namespaces: BTreeSet<_> = depends.filter_map(|workspace| workspace.namespace()).collect();
        let open = if namespaces.is_empty() {
            Namespaces::default()
        } else {
            let right = ("create", "workspaces/connect", "");
            rights.namespaces(user, right, namespaces).await
        };
        Self {
            readable,
            open,
            places: snapshot.places(),
        }
    }

    /// Whether it says of each namespace of the snapshot what the user may do there.
    pub(crate) fn is_whole(&self, snapshot: &Snapshot) -> bool {
        self.places == snapshot.places() && !self.is_partial()
    }

    fn is_partial(&self) -> bool {
        self.readable.is_partial || self.open.is_partial
    }
}

/// All workspaces that the user sees, by display name.
pub(crate) async fn all(index: &Index, rights: &Rights, user: &User) -> Visible {
    let snapshot = index.snapshot();
    let scope = AccessScope::ask(&snapshot, rights, user).await;
    within(&snapshot, user, &scope)
}

/// All workspaces that a user with these rights sees, by display name.
pub(crate) fn within(snapshot: &Snapshot, user: &User, scope: &AccessScope) -> Visible {
    let AccessScope { readable, open, .. } = scope;
    let guest = Guest::new(snapshot, user, |_| true);
    let seen = |workspace: &Arc<Workspace>| {
        let namespace = workspace.metadata.namespace.as_deref().unwrap_or_default();
        let decision = guest.decision(workspace, user, access::Right::Unknown);
        let level = if is_owner(workspace, user) {
            AccessLevel::Owner
        } else if readable.holds(namespace) {
            AccessLevel::Reader
        } else {
            let right = if open.holds(namespace) {
                access::Right::Granted
            } else {
                access::Right::Missing
            };
            match guest.decision(workspace, user, right) {
                Decision::Allow(_) => guest.level(workspace),
                Decision::Ask | Decision::Deny(_) => return None,
            }
        };
        Some(VisibleWorkspace::new(workspace.clone(), level, decision))
    };
    let workspaces = if readable.all || snapshot.has_administrator(requester(user)) {
        snapshot.workspaces().iter().filter_map(seen).collect()
    } else {
        let candidates = snapshot.candidates(requester(user), &readable.named);
        candidates.filter_map(seen).collect()
    };
    Visible {
        workspaces,
        is_partial: scope.is_partial(),
    }
}

/// The workspace of that name, if the user sees it.
pub(crate) async fn one(
    index: &Index,
    rights: &Rights,
    user: &User,
    (namespace, name): (&str, &str),
) -> Option<VisibleWorkspace> {
    let workspace = index.workspace(namespace, name);
    if let Some(workspace) = workspace.as_ref().filter(|workspace| is_owner(workspace, user)) {
        return Some(VisibleWorkspace {
            workspace: workspace.clone(),
            level: AccessLevel::Owner,
            may_connect: true,
            is_shared: false,
        });
    }
    let is_its = |share: &WorkspaceShare| {
        share.spec.workspace_ref == name && share.metadata.namespace.as_deref() == Some(namespace)
    };
    if rights.may(user, "list", "workspaces", namespace, "").await == Some(true) {
        let snapshot = index.snapshot();
        let guest = Guest::new(&snapshot, user, is_its);
        return workspace.map(|workspace| {
            let decision = guest.decision(&workspace, user, access::Right::Unknown);
            VisibleWorkspace::new(workspace, AccessLevel::Reader, decision)
        });
    }
    // From here on nothing depends on whether the workspace exists, so that the time of the answer does not reveal it.
    let right = match rights
        .may(user, "create", "workspaces/connect", namespace, name)
        .await
    {
        Some(true) => access::Right::Granted,
        Some(false) => access::Right::Missing,
        None => access::Right::Unanswered,
    };
    let snapshot = index.snapshot();
    let guest = Guest::new(&snapshot, user, is_its);
    let workspace = workspace?;
    let decision = guest.decision(&workspace, user, right);
    let level = guest.level(&workspace);
    matches!(decision, Decision::Allow(_)).then(|| VisibleWorkspace::new(workspace, level, decision))
}

/// Whether the API server says what the user may do with a workspace of that name. Without an answer, one that they do not see may be visible.
pub(crate) async fn is_known(rights: &Rights, user: &User, (namespace, name): (&str, &str)) -> bool {
    match rights.may(user, "list", "workspaces", namespace, "").await {
        Some(false) => rights
            .may(user, "create", "workspaces/connect", namespace, name)
            .await
            .is_some(),
        answer => answer.is_some(),
    }
}

fn requester(user: &User) -> Requester<'_> {
    Requester {
        user: &user.name,
        groups: &user.groups,
    }
}

fn is_owner(workspace: &Workspace, user: &User) -> bool {
    !user.name.is_empty() && api::names::owner(&workspace.metadata) == Some(&*user.name)
}

/// What shares open to one user.
struct Guest<'a> {
    now: Timestamp,
    snapshot: &'a Snapshot,
    /// By UID of the workspace: the subjects of the shares that name the user, and the latest end.
    open: HashMap<String, (Shared, Option<Timestamp>)>,
    none: Shared,
    no_policy: Policy,
}

impl<'a> Guest<'a> {
    /// By the shares that `is_wanted` chooses.
    fn new(snapshot: &'a Snapshot, user: &User, is_wanted: impl Fn(&WorkspaceShare) -> bool) -> Self {
        let now = Timestamp::now();
        let requester = requester(user);
        let mut open: HashMap<String, (Shared, Option<Timestamp>)> = HashMap::new();
        for shared in snapshot.shares_with(requester) {
            let (share, workspace) = (&*shared.share, &*shared.workspace);
            if !is_wanted(share) {
                continue;
            }
            let end = shares::end(share);
            let mut subjects = Shared::default();
            for subject in &share.spec.subjects {
                subjects.add(subject, end.map(Timestamp::as_second));
            }
            if subjects.with(requester, now.as_second()).is_none() {
                continue;
            }
            let conditions = share.status.as_ref().map(|status| &*status.conditions);
            if !holds(conditions.unwrap_or_default(), ACTIVE) {
                continue;
            }
            let manager = snapshot.manager_of(workspace).map(|(manager, _)| &**manager);
            if shares::live(share, Some(workspace), manager, now).is_err() {
                continue;
            }
            let Some(uid) = workspace.metadata.uid.clone() else {
                continue;
            };
            let known = open.entry(uid).or_insert_with(|| (Shared::default(), end));
            // Of several shares the last end counts, and one without end is the last.
            known.1 = match (known.1, end) {
                (Some(one), Some(other)) => Some(one.max(other)),
                _ => None,
            };
            for subject in &share.spec.subjects {
                known.0.add(subject, end.map(Timestamp::as_second));
            }
        }
        Self {
            now,
            snapshot,
            open,
            none: Shared::default(),
            no_policy: Policy::default(),
        }
    }

    fn decision(&self, workspace: &Workspace, user: &User, right: access::Right) -> Decision {
        let policy = self
            .snapshot
            .manager_of(workspace)
            .map_or(&self.no_policy, |(_, policy)| policy);
        let shared = workspace
            .metadata
            .uid
            .as_ref()
            .and_then(|uid| self.open.get(uid))
            .map_or(&self.none, |(shared, _)| shared);
        let facts = Facts {
            owner: api::names::owner(&workspace.metadata).unwrap_or_default(),
            access: access::access_type(workspace),
            shared,
        };
        access::connect(requester(user), facts, policy, || right, self.now.as_second())
    }

    fn level(&self, workspace: &Workspace) -> AccessLevel {
        let uid = workspace.metadata.uid.as_ref();
        let until = uid.and_then(|uid| self.open.get(uid)).and_then(|(_, end)| *end);
        AccessLevel::Guest { until }
    }
}

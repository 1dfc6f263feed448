//! Watched objects after a change -> the same, found by owner, namespace and share (in memory).
//!
//! Every open list is read after a change. This is made once for all of them, so that users who see few workspaces cost little however
//! many there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use api::{Workspace, WorkspaceManager, WorkspaceShare};
use kube::ResourceExt as _;
use parking_lot::Mutex;
use rules::access::{Policy, Requester, access_type};

use super::{Index, manager_name};

/// The objects after a change. Workspaces are named by their positions.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// By display name.
    workspaces: Vec<Arc<Workspace>>,
    by_namespace: BTreeMap<String, Vec<usize>>,
    by_owner: HashMap<String, Vec<usize>>,
    public: Vec<usize>,
    /// By user name. A share without workspace is left out.
    shares_with_user: HashMap<String, Vec<ShareOf>>,
    shares_with_group: HashMap<String, Vec<ShareOf>>,
    managers: Managers,
    namespaces: BTreeSet<String>,
    places: u64,
    templates: u64,
}

/// The last snapshot, and the number of changes before it.
#[derive(Debug, Default)]
pub(super) struct Latest(Mutex<Option<(u64, Arc<Snapshot>)>>);

impl Latest {
    /// The snapshot after the last change.
    pub(super) fn get(&self, index: &Index) -> Arc<Snapshot> {
        let mut latest = self.0.lock();
        // Read first: a change meanwhile makes another snapshot.
        let changes = *index.changes.borrow();
        match &*latest {
            Some((known, snapshot)) if *known == changes => snapshot.clone(),
            _ => {
                let snapshot = Arc::new(Snapshot::from_index(index));
                *latest = Some((changes, snapshot.clone()));
                snapshot
            }
        }
    }
}

/// A share and its workspace.
#[derive(Debug, Clone)]
pub(crate) struct ShareOf {
    pub(crate) share: Arc<WorkspaceShare>,
    pub(crate) workspace: Arc<Workspace>,
    position: usize,
}

/// Managers by name, each with its policy.
#[derive(Debug, Default)]
struct Managers {
    named: BTreeMap<String, (Arc<WorkspaceManager>, Policy)>,
    default: Option<String>,
}

impl Snapshot {
    /// The objects of the index, as they are now.
    pub(super) fn from_index(index: &Index) -> Self {
        let mut workspaces = index.workspaces();
        // By display name, as lists show them. Always in the same order: lists are compared by a hash.
        workspaces.sort_by_cached_key(|it| {
            let shown = it.spec.display_name.to_lowercase();
            (shown, it.metadata.namespace.clone(), it.metadata.name.clone())
        });
        let namespaces = index.namespaces_with(&workspaces);
        let found = Self::group(workspaces, &index.shares());
        let public: BTreeSet<_> = found.public().map(|it| &it.metadata.namespace).collect();
        Self {
            places: hash((&namespaces, public)),
            namespaces,
            templates: hash(index.generations_of_templates()),
            managers: Managers {
                named: index
                    .managers()
                    .into_iter()
                    .map(|manager| {
                        (
                            manager.name_any(),
                            (manager.clone(), Policy::from_manager(&manager)),
                        )
                    })
                    .collect(),
                default: index.default_manager().map(|manager| manager.name_any()),
            },
            ..found
        }
    }

    fn group(workspaces: Vec<Arc<Workspace>>, shares: &[Arc<WorkspaceShare>]) -> Self {
        let mut found = Self::default();
        let mut by_name = HashMap::with_capacity(workspaces.len());
        for (position, workspace) in workspaces.iter().enumerate() {
            let namespace = workspace.metadata.namespace.as_deref().unwrap_or_default();
            by_name.insert((namespace, workspace.metadata.name.as_deref()), position);
            let of_namespace = found.by_namespace.entry(namespace.to_owned());
            of_namespace.or_default().push(position);
            if let Some(owner) = api::names::owner(&workspace.metadata) {
                let of_owner = found.by_owner.entry(owner.to_owned());
                of_owner.or_default().push(position);
            }
            if access_type(workspace).admits_everyone() {
                found.public.push(position);
            }
        }
        for share in shares {
            let namespace = share.metadata.namespace.as_deref().unwrap_or_default();
            let Some(&position) = by_name.get(&(namespace, Some(&*share.spec.workspace_ref))) else {
                continue;
            };
            for subject in &share.spec.subjects {
                let (named, name) = match subject.user_name() {
                    Some(user) => (&mut found.shares_with_user, user),
                    None => (&mut found.shares_with_group, subject.name.clone()),
                };
                named.entry(name).or_default().push(ShareOf {
                    share: share.clone(),
                    workspace: workspaces[position].clone(),
                    position,
                });
            }
        }
        found.workspaces = workspaces;
        found
    }

    /// Namespaces that contain workspaces, or in which users create them.
    pub(crate) fn namespaces(&self) -> &BTreeSet<String> {
        &self.namespaces
    }

    /// Shares that name the user or one of their groups, counting or not. One that names both is there twice.
    pub(crate) fn shares_with(&self, requester: Requester<'_>) -> impl Iterator<Item = &ShareOf> {
        let groups = requester.groups.iter();
        let by_group = groups.filter_map(|group| self.shares_with_group.get(group));
        let by_user = self.shares_with_user.get(requester.user);
        by_user.into_iter().chain(by_group).flatten()
    }

    /// Workspaces that the user may see if those of these namespaces are: their own, public and shared ones among them. Each once, by
    /// display name.
    pub(crate) fn candidates<'a>(
        &'a self,
        requester: Requester<'a>,
        namespaces: impl IntoIterator<Item = &'a String>,
    ) -> impl Iterator<Item = &'a Arc<Workspace>> {
        let own = self.by_owner.get(requester.user);
        let readable = namespaces
            .into_iter()
            .filter_map(|namespace| self.by_namespace.get(namespace));
        let known = own.into_iter().chain(readable).chain([&self.public]).flatten();
        let shared = self.shares_with(requester).map(|shared| shared.position);
        let positions: BTreeSet<_> = known.copied().chain(shared).collect();
        positions.into_iter().map(|position| &self.workspaces[position])
    }

    /// All workspaces, by display name.
    pub(crate) fn workspaces(&self) -> &[Arc<Workspace>] {
        &self.workspaces
    }

    /// The public workspaces.
    pub(crate) fn public(&self) -> impl Iterator<Item = &Arc<Workspace>> {
        self.public.iter().map(|position| &self.workspaces[*position])
    }

    /// Whether the user is in an administrators' group of some manager, and may connect to workspaces for that reason alone.
    pub(crate) fn has_administrator(&self, requester: Requester<'_>) -> bool {
        let mut managers = self.managers.named.values();
        managers.any(|(_, policy)| policy.is_administrator(requester))
    }

    /// The manager that routes to the workspace, and its policy.
    pub(crate) fn manager_of(&self, workspace: &Workspace) -> Option<&(Arc<WorkspaceManager>, Policy)> {
        let name = manager_name(workspace).or(self.managers.default.as_deref())?;
        self.managers.named.get(name)
    }

    /// A hash of the namespaces for which rights are reviewed.
    pub(crate) fn places(&self) -> u64 {
        self.places
    }

    /// A hash of the templates, which give images their names and signs.
    pub(crate) fn templates(&self) -> u64 {
        self.templates
    }
}

/// A hash by which versions of a value are compared within this process.
pub(crate) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn workspace(namespace: &str, name: &str, owner: &str, access: &str) -> Arc<Workspace> {
        let object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "Workspace",
            "metadata": {"namespace": namespace, "name": name, "annotations": {api::names::CREATED_BY: owner}},
            "spec": {"displayName": name},
            "status": {"resolved": {"accessType": access}},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn share(namespace: &str, of: &str, subjects: &Value) -> Arc<WorkspaceShare> {
        let object = json!({
            "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceShare",
            "metadata": {"namespace": namespace, "name": format!("share-of-{of}")},
            "spec": {"workspaceRef": of, "subjects": subjects},
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn snapshot() -> Snapshot {
        let workspaces = vec![
            workspace("one", "own", "alice", "OwnerOnly"),
            workspace("one", "of-bob", "bob", "OwnerOnly"),
            workspace("two", "of-bob", "bob", "OwnerOnly"),
            workspace("two", "open", "bob", "Public"),
            workspace("three", "of-group", "bob", "OwnerOnly"),
            workspace("three", "of-bot", "bob", "OwnerOnly"),
        ];
        let shares = [
            share("two", "of-bob", &json!([{"kind": "User", "name": "alice"}])),
            share("one", "none", &json!([{"kind": "User", "name": "alice"}])),
            share("three", "of-group", &json!([{"kind": "Group", "name": "ml"}])),
            share(
                "three",
                "of-bot",
                &json!([{"kind": "ServiceAccount", "namespace": "ci", "name": "alice"}]),
            ),
        ];
        Snapshot::group(workspaces, &shares)
    }

    fn found(user: &str, groups: &[&str], namespaces: &[&str]) -> Vec<String> {
        let groups: Vec<_> = groups.iter().map(|&group| group.to_owned()).collect();
        let namespaces: Vec<_> = namespaces.iter().map(|&namespace| namespace.to_owned()).collect();
        let requester = Requester {
            user,
            groups: &groups,
        };
        let snapshot = snapshot();
        let found = snapshot.candidates(requester, &namespaces);
        found
            .map(|it| format!("{}/{}", it.namespace().unwrap_or_default(), it.name_any()))
            .collect()
    }

    #[test]
    fn own_public_and_shared_workspaces_and_those_of_namespaces_are_found_once() {
        assert_eq!(found("eve", &[], &[]), ["two/open"]);
        assert_eq!(found("alice", &[], &[]), ["one/own", "two/of-bob", "two/open"]);
        assert_eq!(
            found("alice", &["ml"], &["one", "two"]),
            [
                "one/own",
                "one/of-bob",
                "two/of-bob",
                "two/open",
                "three/of-group"
            ]
        );
        assert_eq!(
            found("system:serviceaccount:ci:alice", &[], &["gone"]),
            ["two/open", "three/of-bot"]
        );
        // A user is no group of the same name, and the other way round.
        assert_eq!(found("ml", &["alice"], &[]), ["two/open"]);
    }
}

//! Name and users -> a test's own namespace with their permissions, deleted at its end (IO).

use api::Workspace;
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    core::v1::Namespace,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::client::admin;
use crate::{Environment, test_run::process, wait};

/// A namespace as users have it: it enforces Pod Security `restricted`, and `users` may work with workspaces.
///
/// [`Scratch::finish`] deletes it. A failed test keeps it for inspection, until [`super::cleanup`] of the next run.
pub struct Scratch {
    /// Name of the namespace.
    pub namespace: String,
    client: Client,
}

impl Scratch {
    /// Creates a namespace whose name starts with `prefix`. There, `users` may also use every template, manager and profile.
    pub async fn new(prefix: &str, users: &[&str]) -> anyhow::Result<Self> {
        let scratch = Self::named_by(prefix).await?;
        if users.is_empty() {
            return Ok(scratch);
        }
        scratch.bind("workspace-user", users).await?;
        let everything = json!([{
            "apiGroups": ["workspaces.jupyter.org"],
            "resources": ["workspacetemplates", "workspacemanagers", "workspaceexecutionprofiles"],
            "verbs": ["use"],
        }]);
        // The API server learns of bindings in their order: with this one it has the one above.
        scratch.grant_all("use-everything", users, &everything).await?;
        Ok(scratch)
    }

    /// Creates a namespace whose name starts with `prefix`. There, `users` have the permissions of the chart's role.
    pub async fn bare(prefix: &str, users: &[&str]) -> anyhow::Result<Self> {
        let scratch = Self::named_by(prefix).await?;
        if let Some(user) = users.first() {
            scratch.bind("workspace-user", users).await?;
            let create = json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create"]});
            scratch.wait_for_permission(user, &create).await?;
        }
        Ok(scratch)
    }

    async fn named_by(prefix: &str) -> anyhow::Result<Self> {
        let client = admin().await?;
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {
                "generateName": format!("{prefix}-"),
                "labels": {
                    "pod-security.kubernetes.io/enforce": "restricted",
                    "e2e.test/scratch": "true",
                    process::LABEL: process::own()?,
                },
            },
        }))?;
        let namespaces = Api::<Namespace>::all(client.clone());
        let name = namespaces
            .create(&PostParams::default(), &namespace)
            .await?
            .name_any();
        Ok(Self {
            namespace: name,
            client,
        })
    }

    /// Binds a role of the chart, which is named without the release, to `users` in this namespace.
    pub async fn bind(&self, role: &str, users: &[&str]) -> anyhow::Result<()> {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": format!("{role}s")},
            "roleRef": {
                "kind": "ClusterRole",
                "apiGroup": "rbac.authorization.k8s.io",
                "name": format!("{}-{role}", Environment::get()?.release),
            },
            "subjects": subjects(users),
        }))?;
        let bindings = self.api::<RoleBinding>();
        bindings.create(&PostParams::default(), &binding).await?;
        Ok(())
    }

    /// Grants `user` the `rules` of a Role in this namespace. `name` is the name of that Role.
    pub async fn grant(&self, name: &str, user: &str, rules: &Value) -> anyhow::Result<()> {
        self.grant_all(name, &[user], rules).await
    }

    /// The same to several users.
    pub async fn grant_all(&self, name: &str, users: &[&str], rules: &Value) -> anyhow::Result<()> {
        let role: Role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules}))?;
        self.api::<Role>().create(&PostParams::default(), &role).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": name},
            "subjects": subjects(users),
        }))?;
        self.api::<RoleBinding>()
            .create(&PostParams::default(), &binding)
            .await?;
        // One binding is for all of them.
        if let Some(user) = users.first() {
            for rule in rules.as_array().into_iter().flatten() {
                self.wait_for_permission(user, rule).await?;
            }
        }
        Ok(())
    }

    /// Waits until the API server applies the first permission of `rule` to `user`.
    pub async fn wait_for_permission(&self, user: &str, rule: &Value) -> anyhow::Result<()> {
        let first = |list: &str| rule[list][0].as_str().unwrap_or_default();
        let review: SubjectAccessReview = serde_json::from_value(json!({
            "spec": {"user": user, "resourceAttributes": {
                "namespace": self.namespace,
                "group": first("apiGroups"),
                "resource": first("resources"),
                "verb": first("verbs"),
                "name": first("resourceNames"),
            }},
        }))?;
        let reviews = Api::<SubjectAccessReview>::all(self.client.clone());
        wait::until(&format!("{user} to hold {rule}"), wait::USUAL, || async {
            let answer = reviews.create(&PostParams::default(), &review).await;
            let status = answer.map_err(|error| error.to_string())?.status;
            let granted = status.as_ref().is_some_and(|status| status.allowed);
            granted.then_some(()).ok_or_else(|| format!("{status:?}"))
        })
        .await
    }

    /// An API client for this namespace, as administrator.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Deletes the namespace and waits until it is gone.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.end_workspaces().await?;
        self.delete().await?;
        self.gone().await
    }

    /// Deletes the workspaces first: the API server looks again at a namespace that has pods only after half of their grace, 16 seconds.
    async fn end_workspaces(&self) -> anyhow::Result<()> {
        let workspaces = self.api::<Workspace>();
        let all = ListParams::default();
        match workspaces.delete_collection(&DeleteParams::default(), &all).await {
            // Some tests have a cluster without our kinds, or no webhook that admits it: the namespace's own deletion needs neither.
            Err(kube::Error::Api(_)) => return Ok(()),
            deleted => drop(deleted?),
        }
        wait::until("the workspaces to be gone", wait::USUAL, || async {
            let left = workspaces.list_metadata(&all).await;
            let left = left.map_err(|error| error.to_string())?.items;
            let names: Vec<_> = left.iter().map(ResourceExt::name_any).collect();
            if names.is_empty() {
                Ok(())
            } else {
                Err(names.join(", "))
            }
        })
        .await
    }

    async fn delete(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
        Ok(())
    }

    async fn gone(&self) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let gone = || async {
            match namespaces.get_opt(&self.namespace).await {
                Ok(None) => Ok(()),
                Ok(Some(namespace)) => Err(format!("{:?}", namespace.status)),
                Err(error) => Err(error.to_string()),
            }
        };
        wait::until_checked_each_second("the namespace to be gone", wait::USUAL, gone).await
    }
}

fn subjects(users: &[&str]) -> Value {
    let subject = |user| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user});
    users.iter().map(subject).collect()
}

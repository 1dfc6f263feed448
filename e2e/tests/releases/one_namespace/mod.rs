//! A user with the role `admin` in one namespace installs the product there, uses and removes it.
//!
//! Another namespace has another installation at the same time.
//!
//! | file | holds |
//! |---|---|
//! | `work.rs` | what the installer and users do: test, upgrade, notebook, share |
//! | `beside.rs` | the other installation |
//! | `stand_ins.rs` | rules of a strict cluster |
//! | `calls.rs` | calls of a release's accounts to the API server |

mod beside;
mod calls;
mod stand_ins;
mod work;

use anyhow::ensure;
use api::{Workspace, names::CREATED_BY};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    installation::release,
    objects::workspace,
    test_run::finally::always,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ResourceQuota, Secret},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::json;

use calls::Calls;

use crate::assigned_ids;

/// The user who installs, and who works there.
const INSTALLER: &str = "alice";
/// A user to whom the installer gives the role of users.
const USER: &str = "bob";
/// What the values of the local cluster set for a whole cluster, and one namespace does not have.
const SET: [&str; 6] = [
    "scope=\"Namespace\"",
    "userNamespaces=[]",
    "prePull.enabled=false",
    "administrators.users=[]",
    "administrators.groups=[]",
    "webhook.apiServerNetworks=[]",
];

/// Chooses the half of the namespace.
const NAMESPACED: &str = "objects=\"Namespace\"";

/// An installation in one namespace: its values beside those of [`SET`].
struct Alone<'a> {
    scratch: &'a Scratch,
    values: Vec<String>,
}

#[tokio::test]
async fn an_administrator_of_one_namespace_installs_tests_upgrades_and_uninstalls_and_users_work_there()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("alone", &[]).await?;
    let other = Scratch::bare("other", &[]).await?;
    for scratch in [&scratch, &other] {
        demand_requests_and_limits(scratch).await?;
        copy_secrets(scratch).await?;
    }
    let first = Alone {
        scratch: &scratch,
        values: [assigned_ids::UNSET, stand_ins::UNSET].map(str::to_owned).into(),
    };
    let work = async {
        Box::pin(work::goes_on(&first)).await?;
        Box::pin(beside::installed(&scratch, &other)).await
    };
    let installed = async {
        release::uninstall().await?;
        stand_ins::start(&scratch).await?;
        Box::pin(first.installed(work)).await
    };
    let back = async {
        let ended = stand_ins::end(&scratch).await;
        release::upgrade(&[]).await?;
        ended
    };
    Box::pin(always(installed, back)).await?;
    other.finish().await?;
    scratch.finish().await
}

/// With such a quota, the API server refuses pods with a container that lacks a request or a limit.
async fn demand_requests_and_limits(scratch: &Scratch) -> anyhow::Result<()> {
    let hard =
        json!({"requests.cpu": "16", "requests.memory": "32Gi", "limits.cpu": "64", "limits.memory": "64Gi"});
    let quota = json!({"metadata": {"name": "all"}, "spec": {"hard": hard}});
    let quotas = scratch.api::<ResourceQuota>();
    quotas
        .create(&PostParams::default(), &serde_json::from_value(quota)?)
        .await?;
    Ok(())
}

impl Alone<'_> {
    fn half<'a>(&'a self, objects: &'a str) -> Vec<&'a str> {
        let own = self.values.iter().map(String::as_str);
        SET.into_iter().chain(own).chain([objects]).collect()
    }

    /// Applies the cluster's half, and installs the namespace's half as the user, who works with it. Removes both in any case.
    async fn installed(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let half = self.half("objects=\"Cluster\"");
        let cluster_half = release::render(&self.scratch.namespace, &half).await?;
        let applied = command::administer_with(&["apply", "--server-side", "-f", "-"], &cluster_half).await?;
        let outcome = if applied.code == 0 {
            Box::pin(self.used(work)).await
        } else {
            Err(anyhow::anyhow!("{}", applied.stderr))
        };
        let removed =
            command::administer_with(&["delete", "--ignore-not-found", "-f", "-"], &cluster_half).await?;
        outcome?;
        ensure!(removed.code == 0, "{}", removed.stderr);
        Ok(())
    }

    async fn used(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
        let scratch = self.scratch;
        let role = format!("{}-installer.{}", Environment::get()?.release, scratch.namespace);
        for (name, role) in [("administrators", "admin"), ("installers", role.as_str())] {
            let bindings = scratch.api::<RoleBinding>();
            bindings
                .create(&PostParams::default(), &binding(name, role, INSTALLER)?)
                .await?;
        }
        let added = json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces/finalizers"], "verbs": ["update"]});
        scratch.wait_for_permission(INSTALLER, &added).await?;
        let mut calls = Calls::begin(&scratch.namespace)?;
        let half = self.half(NAMESPACED);
        let installed = release::install_as(INSTALLER, &scratch.namespace, &half).await;
        let outcome = match installed {
            Ok(()) => Box::pin(work).await,
            failed => failed,
        };
        let judged = calls.while_installed();
        let uninstalled = release::uninstall_as(INSTALLER, &scratch.namespace).await;
        outcome?;
        judged?;
        uninstalled?;
        calls.during_uninstall()?;
        let left = scratch.api::<Deployment>().list(&ListParams::default()).await?;
        let left: Vec<_> = left.items.iter().map(kube::ResourceExt::name_any).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }
}

/// Name and UID of the pod of the workspace.
async fn pod(scratch: &Scratch) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let of_workspaces = ListParams::default().labels("workspaces.jupyter.org/workspace");
    let pods = scratch.api::<Pod>().list(&of_workspaces).await?;
    let pods: Vec<_> = pods.iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    ensure!(pods.len() == 1, "{pods:?}");
    Ok(pods)
}

fn binding(name: &str, role: &str, user: &str) -> anyhow::Result<RoleBinding> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }))?)
}

fn owned_by(user: &str) -> anyhow::Result<Workspace> {
    let mut workspace = workspace::echo("demo")?;
    workspace.metadata.annotations = Some([(CREATED_BY.to_owned(), user.to_owned())].into());
    Ok(workspace)
}

/// Secrets that the chart does not make.
pub(crate) async fn copy_secrets(scratch: &Scratch) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let (release, system) = (&environment.release, &environment.system_namespace);
    let ours = Api::<Secret>::namespaced(cluster::admin().await?, system);
    for name in ["proxy-tls", "oidc", "identity"].map(|name| format!("{release}-{name}")) {
        let found = ours.get(&name).await?;
        let copy = Secret {
            metadata: cluster::named(&name),
            data: found.data,
            type_: found.type_,
            ..Secret::default()
        };
        scratch
            .api::<Secret>()
            .create(&PostParams::default(), &copy)
            .await?;
    }
    Ok(())
}

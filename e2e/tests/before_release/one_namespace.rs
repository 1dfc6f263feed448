//! A user with the role `admin` in one namespace installs the product there, works with it, and removes it.

use api::{
    Workspace,
    names::{ATTESTED_TEMPLATE, CREATED_BY},
    workspace::Phase,
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command,
    http::HttpSession,
    release, wait, workspace,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, rbac::v1::RoleBinding};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

/// The user who installs, and who works there.
const INSTALLER: &str = "alice";
/// A user to whom the installer gives the role of users.
const USER: &str = "bob";
/// What the values of the local cluster set for a whole cluster, and one namespace does not have.
const SET: [&str; 3] = [
    "scope=\"Namespace\"",
    "userNamespaces=[]",
    "webhook.apiServerNetworks=[]",
];

#[tokio::test]
async fn an_administrator_of_one_namespace_installs_there_and_a_workspace_starts_opens_and_stops()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("alone", &[]).await?;
    copy_secrets(&scratch).await?;
    release::uninstall().await?;
    let outcome = Box::pin(installed(&scratch)).await;
    release::upgrade(&[]).await?;
    outcome?;
    scratch.finish().await
}

/// Applies the half of the cluster, and removes it whatever becomes of the other one.
async fn installed(scratch: &Scratch) -> anyhow::Result<()> {
    let half = [&SET[..], &["objects=\"Cluster\""]].concat();
    let cluster_half = release::render(&scratch.namespace, &half).await?;
    let applied = command::administer_with(&["apply", "--server-side", "-f", "-"], &cluster_half).await?;
    let outcome = if applied.code == 0 {
        Box::pin(used(scratch)).await
    } else {
        Err(anyhow::anyhow!("{}", applied.stderr))
    };
    let removed =
        command::administer_with(&["delete", "--ignore-not-found", "-f", "-"], &cluster_half).await?;
    outcome?;
    anyhow::ensure!(removed.code == 0, "{}", removed.stderr);
    Ok(())
}

/// Installs as the user, works with a workspace, and uninstalls.
async fn used(scratch: &Scratch) -> anyhow::Result<()> {
    let role = format!("{}-installer.{}", Environment::get()?.release, scratch.namespace);
    for (name, role) in [("administrators", "admin"), ("installers", role.as_str())] {
        let bindings = scratch.api::<RoleBinding>();
        bindings
            .create(&PostParams::default(), &binding(name, role, INSTALLER)?)
            .await?;
    }
    let added = json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces/finalizers"], "verbs": ["update"]});
    scratch.holds(INSTALLER, &added).await?;
    let half = [&SET[..], &["objects=\"Namespace\""]].concat();
    let installed = release::install_as(INSTALLER, &scratch.namespace, &half).await;
    let outcome = match installed {
        Ok(()) => Box::pin(worked_with(scratch)).await,
        failed => failed,
    };
    let uninstalled = release::uninstall_as(INSTALLER, &scratch.namespace).await;
    outcome?;
    uninstalled?;
    let left = scratch.api::<Deployment>().list(&ListParams::default()).await?;
    let left: Vec<_> = left.items.iter().map(kube::ResourceExt::name_any).collect();
    anyhow::ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

async fn worked_with(scratch: &Scratch) -> anyhow::Result<()> {
    Box::pin(owners_are_true(&user_of(scratch).await?)).await?;
    let alice = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    let wanted = owned_by(INSTALLER)?;
    alice.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&alice, "demo", Phase::Running).await?;
    let answer = HttpSession::new()?
        .enter(&workspace::url(&running)?, INSTALLER)
        .await?;
    anyhow::ensure!(answer.status().is_success(), "{}", answer.status());
    workspace::stop(&alice, "demo").await?;
    alice.delete("demo", &kube::api::DeleteParams::default()).await?;
    wait::until("the workspace to be gone", wait::USUAL, || async {
        match alice.get_opt("demo").await {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{:?}", left.metadata.finalizers)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Workspaces as a user sees them, to whom the installer has given the role of users.
async fn user_of(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    let role = format!(
        "{}-workspace-user.{}",
        Environment::get()?.release,
        scratch.namespace
    );
    let bindings = Api::<RoleBinding>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    bindings
        .create(&PostParams::default(), &binding("workspaces", &role, USER)?)
        .await?;
    let create =
        json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["create"]});
    scratch.holds(USER, &create).await?;
    Ok(Api::namespaced(cluster::user(USER).await?, &scratch.namespace))
}

fn binding(name: &str, role: &str, user: &str) -> anyhow::Result<RoleBinding> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": name},
        "roleRef": {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }))?)
}

/// Without webhook, a policy of the cluster keeps owners and attestations true. It takes effect some time after it was applied.
async fn owners_are_true(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut unnamed = owned_by(USER)?;
    unnamed.metadata.annotations = None;
    let mut attested = owned_by(USER)?;
    let annotations = attested.metadata.annotations.get_or_insert_default();
    annotations.insert(ATTESTED_TEMPLATE.to_owned(), "forged".to_owned());
    for (wrong, told) in [
        (unnamed, "no webhook fills it in here"),
        (owned_by(INSTALLER)?, "is another owner"),
        (attested, "only a webhook writes it"),
    ] {
        wait::until("what is false to be refused", wait::USUAL, || async {
            match workspaces.create(&dry_run, &wrong).await {
                Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(told) => {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    Ok(())
}

fn owned_by(user: &str) -> anyhow::Result<Workspace> {
    let mut workspace = workspace::echo("demo")?;
    workspace.metadata.annotations = Some([(CREATED_BY.to_owned(), user.to_owned())].into());
    Ok(workspace)
}

/// Secrets that the chart does not make.
async fn copy_secrets(scratch: &Scratch) -> anyhow::Result<()> {
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

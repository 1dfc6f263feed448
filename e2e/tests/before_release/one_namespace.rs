//! A user with the role `admin` in one namespace installs the product there, works with it, and removes it. Another namespace meanwhile
//! has another installation.

use anyhow::ensure;
use api::{
    Workspace, WorkspaceManager,
    names::{ATTESTED_TEMPLATE, CREATED_BY},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command, component,
    http::HttpSession,
    release, wait, workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, ResourceQuota, Secret},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
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

/// Domain of the second installation. Nothing leads to its proxy.
const OTHER_DOMAIN: &str = "second.localhost";

/// An installation in one namespace: its values beside those of [`SET`].
struct Alone<'a> {
    scratch: &'a Scratch,
    values: Vec<String>,
}

#[tokio::test]
async fn an_administrator_of_one_namespace_installs_there_and_a_workspace_starts_opens_and_stops()
-> anyhow::Result<()> {
    let scratch = Scratch::bare("alone", &[]).await?;
    let other = Scratch::bare("other", &[]).await?;
    for scratch in [&scratch, &other] {
        demand_requests_and_limits(scratch).await?;
        copy_secrets(scratch).await?;
    }
    release::uninstall().await?;
    let first = Alone {
        scratch: &scratch,
        values: Vec::new(),
    };
    let work = async {
        Box::pin(worked_with(&scratch)).await?;
        Box::pin(beside(&scratch, &other)).await
    };
    let outcome = Box::pin(first.installed(work)).await;
    release::upgrade(&[]).await?;
    outcome?;
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

    /// Applies the half of the cluster, installs that of the namespace as the user, works, and removes both whatever becomes of it.
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
        scratch.holds(INSTALLER, &added).await?;
        let half = self.half("objects=\"Namespace\"");
        let installed = release::install_as(INSTALLER, &scratch.namespace, &half).await;
        let outcome = match installed {
            Ok(()) => Box::pin(work).await,
            failed => failed,
        };
        let uninstalled = release::uninstall_as(INSTALLER, &scratch.namespace).await;
        outcome?;
        uninstalled?;
        let left = scratch.api::<Deployment>().list(&ListParams::default()).await?;
        let left: Vec<_> = left.items.iter().map(kube::ResourceExt::name_any).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    }
}

/// While a workspace runs, another namespace gets an installation of its own, with its own manager. Each works on its own workspaces
/// alone, and the first one works on after the second one is removed.
async fn beside(scratch: &Scratch, other: &Scratch) -> anyhow::Result<()> {
    let alice = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &owned_by(INSTALLER)?)
        .await?;
    let running = workspace::reached(&alice, "demo", Phase::Running).await?;
    let pod = pod(scratch).await?;
    let environment = Environment::get()?;
    let issuer = environment.origin(&environment.identity_host) + "/realms/jupyter";
    let proxy = format!(
        "{}-proxy.{}.svc:{}",
        environment.release, scratch.namespace, environment.port
    );
    let second = Alone {
        scratch: other,
        values: vec![
            "manager.enabled=false".to_owned(),
            format!("manager.name=\"{}\"", other.namespace),
            "templates.jupyterlab=null".to_owned(),
            format!("routing.baseDomain=\"{OTHER_DOMAIN}\""),
            "identity.enabled=false".to_owned(),
            format!("oidc.issuerUrl=\"{issuer}\""),
            format!("oidc.connectTo=\"{proxy}\""),
            "proxy.service.externalIPs=[]".to_owned(),
        ],
    };
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let mut manager = managers.get("default").await?;
    manager.metadata = cluster::named(&other.namespace);
    OTHER_DOMAIN.clone_into(&mut manager.spec.routing.base_domain);
    managers.create(&PostParams::default(), &manager).await?;
    let outcome = Box::pin(second.installed(apart(scratch, other))).await;
    managers
        .delete(&other.namespace, &DeleteParams::default())
        .await?;
    outcome?;
    ensure!(self::pod(scratch).await? == pod, "the pod was replaced");
    let answer = HttpSession::new()?
        .enter(&workspace::url(&running)?, INSTALLER)
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    removed(&alice, "demo").await
}

/// A workspace of the second installation runs. The first one neither shows it, nor do its roles count there.
async fn apart(scratch: &Scratch, other: &Scratch) -> anyhow::Result<()> {
    let everything = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspacemanagers"], "verbs": ["use"],
    }]);
    other.grant("use-everything", INSTALLER, &everything).await?;
    let alice = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &other.namespace);
    let mut wanted = owned_by(INSTALLER)?;
    wanted.spec.manager_ref = Some(other.namespace.clone());
    alice.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&alice, "demo", Phase::Running).await?;
    let url = workspace::url(&running)?;
    ensure!(url.contains(OTHER_DOMAIN), "{url}");
    // The first proxy has the address that all names lead to. Its certificate is for its own hosts.
    let opened = HttpSession::new()?.open(&url).await;
    let refused = format!("{:?}", opened.as_ref().err());
    ensure!(refused.contains("certificate"), "{opened:?}");
    let bob = Api::<Workspace>::namespaced(cluster::user(USER).await?, &other.namespace);
    let refused = bob.list(&ListParams::default()).await;
    ensure!(
        matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403),
        "{refused:?}"
    );
    let of_first = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    let first = of_first.get("demo").await?;
    ensure!(
        !workspace::url(&first)?.contains(OTHER_DOMAIN),
        "{:?}",
        first.status
    );
    each_works_alone(&of_first, &alice, &other.namespace).await?;
    removed(&alice, "demo").await
}

/// Without the second operator, a workspace of the second installation waits for it. The first operator, which is at work, leaves it alone.
async fn each_works_alone(
    first: &Api<Workspace>,
    second: &Api<Workspace>,
    namespace: &str,
) -> anyhow::Result<()> {
    let mut stopped = owned_by(INSTALLER)?;
    stopped.metadata.name = Some("stopped".to_owned());
    stopped.spec.desired_status = DesiredStatus::Stopped;
    let mut of_second = stopped.clone();
    of_second.spec.manager_ref = Some(namespace.to_owned());
    let replicas = component::scale_in(namespace, "operator", 0).await?;
    second.create(&PostParams::default(), &of_second).await?;
    first.create(&PostParams::default(), &stopped).await?;
    workspace::reached(first, "stopped", Phase::Stopped).await?;
    let waiting = second.get("stopped").await?;
    ensure!(
        waiting.status.is_none() && waiting.finalizers().is_empty(),
        "{waiting:?}"
    );
    component::scale_in(namespace, "operator", replicas).await?;
    workspace::reached(second, "stopped", Phase::Stopped).await?;
    removed(first, "stopped").await?;
    removed(second, "stopped").await
}

/// Name and UID of the pod of the workspace.
async fn pod(scratch: &Scratch) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let of_workspaces = ListParams::default().labels("workspaces.jupyter.org/workspace");
    let pods = scratch.api::<Pod>().list(&of_workspaces).await?;
    let pods: Vec<_> = pods.iter().map(|pod| (pod.name_any(), pod.uid())).collect();
    ensure!(pods.len() == 1, "{pods:?}");
    Ok(pods)
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
    ensure!(answer.status().is_success(), "{}", answer.status());
    workspace::stop(&alice, "demo").await?;
    removed(&alice, "demo").await
}

/// Deletes the workspace, and waits until it is gone.
async fn removed(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<()> {
    workspaces.delete(name, &DeleteParams::default()).await?;
    wait::until("the workspace to be gone", wait::USUAL, || async {
        match workspaces.get_opt(name).await {
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

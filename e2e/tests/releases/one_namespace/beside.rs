//! A second installation in another namespace -> neither installation concerns the other one.

use anyhow::ensure;
use api::{
    Workspace, WorkspaceManager,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    installation::component,
    objects::workspace,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use super::{Alone, INSTALLER, USER, owned_by};

/// Domain of the second installation. Nothing leads to its proxy.
const OTHER_DOMAIN: &str = "second.localhost";

/// While a workspace runs, another namespace gets an installation of its own, with its own manager. Each works on its own workspaces
/// alone, and the first one works on after the second one is removed.
pub(super) async fn installed(scratch: &Scratch, other: &Scratch) -> anyhow::Result<()> {
    let alice = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    alice
        .create(&PostParams::default(), &owned_by(INSTALLER)?)
        .await?;
    let running = workspace::reached(&alice, "demo", Phase::Running).await?;
    let pod = super::pod(scratch).await?;
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
            "applications=[]".to_owned(),
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
    ensure!(super::pod(scratch).await? == pod, "the pod was replaced");
    let answer = HttpSession::new()?
        .enter(&workspace::url(&running)?, INSTALLER)
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    workspace::delete(&alice, "demo").await
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
    Box::pin(each_works_alone(&of_first, &alice, &other.namespace)).await?;
    workspace::delete(&alice, "demo").await
}

/// Without the second operator, a workspace of the second installation waits for it. The first operator runs, and does
/// not change that workspace.
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
    workspace::delete(first, "stopped").await?;
    workspace::delete(second, "stopped").await
}

//! A release in one namespace is tested and upgraded by its installer, and users work there.

use anyhow::ensure;
use api::{
    Workspace, WorkspaceShare,
    names::{ATTESTED_TEMPLATE, CREATED_BY},
    workspace::Phase,
};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    installation::release,
    jupyter::notebook,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::{apps::v1::Deployment, rbac::v1::RoleBinding};
use kube::{Api, api::PostParams};
use reqwest::StatusCode;
use serde_json::json;

use super::{Alone, INSTALLER, NAMESPACED, USER, binding, owned_by, stand_ins};
use crate::assigned_ids;

/// The workspace, of the chart's template.
const LAB: &str = "lab";
const TEMPLATE: &str = "jupyterlab";
/// A value that the upgrade changes.
const CHANGE: &str = "settings.unschedulableGraceSeconds=11";

pub(super) async fn goes_on(alone: &Alone<'_>) -> anyhow::Result<()> {
    let scratch = alone.scratch;
    stand_ins::chose_users(scratch).await?;
    Box::pin(policies_hold(scratch)).await?;
    is_tested(scratch).await?;

    let alice = Api::<Workspace>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace);
    alice.create(&PostParams::default(), &lab()?).await?;
    let running = workspace::reached(&alice, LAB, Phase::Running).await?;
    let browser = Browser::start().await?;
    browser.enter(&running, INSTALLER).await?;
    notebook::run_a_cell(&browser).await?;
    browser.close().await?;

    let (session, url) = (HttpSession::new()?, workspace::url(&running)?);
    session.enter(&url, INSTALLER).await?;
    opens_for_a_guest(scratch, &url).await?;
    is_upgraded(alone, &session, &url).await?;
    Box::pin(assigned_ids::keeps_its_home(scratch, &running, &session)).await?;
    workspace::delete(&alice, LAB).await
}

fn lab() -> anyhow::Result<Workspace> {
    let lab = json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": LAB, "annotations": {CREATED_BY: INSTALLER}},
        "spec": {"displayName": LAB, "templateRef": TEMPLATE},
    });
    Ok(serde_json::from_value(lab)?)
}

/// `helm test` of the installer. It creates a workspace, too.
async fn is_tested(scratch: &Scratch) -> anyhow::Result<()> {
    let lines = release::test_as(INSTALLER, &scratch.namespace).await?;
    // The names of this machine's hosts are known to it alone, not to pods.
    for (word, check) in [
        ("ok", "certificate"),
        ("ok", "provider"),
        ("skip", "admission"),
        ("ok", "workspace"),
    ] {
        let beginning = format!("{word:<5} {check:<12} ");
        let found = lines.iter().filter(|line| line.starts_with(&beginning)).count();
        ensure!(found == 1, "{check}: {lines:#?}");
    }
    Ok(())
}

/// A user without a share is refused, and then shares the workspace.
async fn opens_for_a_guest(scratch: &Scratch, url: &str) -> anyhow::Result<()> {
    let guest = HttpSession::new()?;
    let refused = guest.sign_in(url, USER).await?.status();
    ensure!(refused == StatusCode::FORBIDDEN, "{refused}");
    let share = json!({
        "metadata": {"name": "guest", "annotations": {CREATED_BY: INSTALLER}},
        "spec": {"workspaceRef": LAB, "subjects": [{"kind": "User", "name": USER}]},
    });
    Api::<WorkspaceShare>::namespaced(cluster::user(INSTALLER).await?, &scratch.namespace)
        .create(&PostParams::default(), &serde_json::from_value(share)?)
        .await?;
    guest.enter(url, USER).await.map(drop)
}

/// The installer changes a value. The pod of the workspace stays, and so does the session.
async fn is_upgraded(alone: &Alone<'_>, session: &HttpSession, url: &str) -> anyhow::Result<()> {
    let scratch = alone.scratch;
    let deployments = scratch.api::<Deployment>();
    let operator = format!("{}-operator", Environment::get()?.release);
    let (pod, before) = (super::pod(scratch).await?, deployments.get(&operator).await?);
    let mut values = alone.half(NAMESPACED);
    values.push(CHANGE);
    release::upgrade_as(INSTALLER, &scratch.namespace, &values).await?;
    let after = deployments.get(&operator).await?;
    ensure!(
        after.metadata.generation > before.metadata.generation,
        "the upgrade changes nothing"
    );
    ensure!(super::pod(scratch).await? == pod, "the pod was replaced");
    wait::until("the session to open the workspace", wait::USUAL, || async {
        let page = session.open(url).await.map_err(|error| format!("{error:#}"))?;
        let (status, at) = (page.status(), page.url().to_string());
        if status.is_success() && at.starts_with(url) {
            Ok(())
        } else {
            Err(format!("{status} at {at}"))
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
    scratch.wait_for_permission(USER, &create).await?;
    Ok(Api::namespaced(cluster::user(USER).await?, &scratch.namespace))
}

/// Without webhook, policies of the cluster keep owners and attestations true, and templates for those who may use them. They take effect
/// some time after they were applied.
async fn policies_hold(scratch: &Scratch) -> anyhow::Result<()> {
    let workspaces = user_of(scratch).await?;
    template::make(scratch, &json!({"defaultImage": "uv"})).await?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut unnamed = owned_by(USER)?;
    unnamed.metadata.annotations = None;
    let mut attested = owned_by(USER)?;
    let annotations = attested.metadata.annotations.get_or_insert_default();
    annotations.insert(ATTESTED_TEMPLATE.to_owned(), "forged".to_owned());
    let mut of_others = owned_by(USER)?;
    of_others.spec.template_ref = Some(scratch.namespace.clone());
    for (wrong, expected) in [
        (unnamed, "no webhook fills it in here"),
        (owned_by(INSTALLER)?, "is another owner"),
        (attested, "only a webhook writes it"),
        (of_others, "does not exist, or you may not use it"),
    ] {
        wait::until(&format!("a refusal: {expected}"), wait::USUAL, || async {
            match workspaces.create(&dry_run, &wrong).await {
                Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(expected) => {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
    }
    template::forget(&scratch.namespace).await
}

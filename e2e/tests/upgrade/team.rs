//! An upgrade turns an existing namespace into a team's, with quota, limits and templates.
//!
//! From then on the release requires a template.

use anyhow::{Context as _, ensure};
use api::Workspace;
use e2e::{
    cluster::{self, Scratch},
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
    runtime::{conditions::is_deleted, wait::await_condition},
};
use serde_json::json;

/// What the API server says of a workspace without one.
const RULE: &str =
    "spec.templateRef: is missing, and this installation admits no workspace without a template";

/// The namespace.
pub(crate) struct Team(Scratch);

impl Team {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(Scratch::bare("team", &[]).await?))
    }

    /// The values of the chart by which it becomes a team's.
    pub(crate) fn values(&self) -> Vec<String> {
        let team = |rest: &str| format!("userNamespaces[1].{rest}");
        vec![
            team(&format!("name={}", self.0.namespace)),
            team("create=false"),
            team("users[0]=alice"),
            team("templates[0]=jupyterlab"),
            "settings.requireTemplate=true".to_owned(),
            team("quota.workspaces=1"),
            team(r"quota.requests\.cpu=4"),
            team("limits.defaultRequest.cpu=100m"),
            team("limits.default.memory=64Mi"),
        ]
    }

    pub(crate) async fn works(&self) -> anyhow::Result<()> {
        Box::pin(as_a_member(&self.0)).await
    }

    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        template::finish(self.0).await
    }
}

async fn as_a_member(scratch: &Scratch) -> anyhow::Result<()> {
    let alice: Client = cluster::user("alice").await?;
    let workspaces = Api::<Workspace>::namespaced(alice, &scratch.namespace);
    let new = |name: &str| -> anyhow::Result<Workspace> {
        let spec = json!({"displayName": name, "desiredStatus": "Stopped", "templateRef": "jupyterlab"});
        Ok(Workspace::new(name, serde_json::from_value(spec)?))
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };

    // The quota controller counts with a delay. Until then the API server does not refuse.
    let first = new("first")?;
    wait::until("the right to create workspaces", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &first).await;
        created.map_err(|error| error.to_string())
    })
    .await?;
    let second = new("second")?;
    let refused = wait::until("the quota to refuse a second workspace", wait::USUAL, || async {
        match workspaces.create(&dry_run, &second).await {
            Ok(_) => Err("it is accepted".to_owned()),
            Err(error) => Ok(error.to_string()),
        }
    })
    .await?;
    ensure!(
        refused.contains("exceeded quota") && refused.contains("count/workspaces.workspaces.jupyter.org"),
        "{refused}"
    );
    let first = workspaces.get("first").await?;
    workspaces.delete("first", &DeleteParams::default()).await?;
    let uid = first.metadata.uid.context("a workspace without UID")?;
    let gone = await_condition(workspaces.clone(), "first", is_deleted(&uid));
    tokio::time::timeout(wait::USUAL, gone).await??;
    wait::until("room in the quota", wait::USUAL, || async {
        let created = workspaces.create(&PostParams::default(), &second).await;
        created.map_err(|error| error.to_string())
    })
    .await?;

    let refusal = template::refusal(&workspaces, &workspace::of_image("free", "uv")).await;
    ensure!(
        refusal.as_ref().is_some_and(|text| text.contains(RULE)),
        "{refusal:?}"
    );

    // A template that exists, and is not this team's.
    template::make(scratch, &json!({"defaultImage": "example.test/never-pulled"})).await?;
    let foreign = template::workspace(scratch, "foreign", &json!({}))?;
    let refusal = template::refusal(&workspaces, &foreign).await;
    ensure!(
        refusal.as_ref().is_some_and(|text| text.contains("use")),
        "{refusal:?}"
    );

    // The quota demands requests of processor time; the limits fill them in.
    let container = json!({"image": "example.test/never-pulled"});
    let pod = cluster::restricted_pod("without-resources", container, &json!([]));
    let admitted = scratch
        .api::<Pod>()
        .create(&dry_run, &serde_json::from_value(pod)?)
        .await?;
    let spec = serde_json::to_value(&admitted.spec)?;
    let resources = &spec["containers"][0]["resources"];
    ensure!(
        resources["requests"]["cpu"] == "100m" && resources["limits"]["memory"] == "64Mi",
        "{resources}"
    );
    Ok(())
}

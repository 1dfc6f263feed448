//! Templates, managers and execution profiles stay while workspaces use them.

use std::{fmt::Debug, time::Duration};

use api::{
    Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate,
    condition::{self, TERMINATING, VALID, reason},
    names::IN_USE_FINALIZER,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command, wait, workspace,
};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A template of this name that gives the echo server and no disk.
async fn template(name: &str) -> anyhow::Result<WorkspaceTemplate> {
    let template = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {"displayName": name, "defaultImage": Environment::get()?.images.echo},
    }))?;
    let templates = templates().await?;
    Ok(templates.create(&PostParams::default(), &template).await?)
}

async fn templates() -> anyhow::Result<Api<WorkspaceTemplate>> {
    Ok(Api::all(cluster::admin().await?))
}

/// A workspace that is stopped, which costs no pod and counts as well.
fn stopped(name: &str, spec: Value) -> anyhow::Result<Workspace> {
    let mut whole = json!({"displayName": name, "desiredStatus": DesiredStatus::Stopped});
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    Ok(Workspace::new(name, serde_json::from_value(whole)?))
}

async fn create_stopped(scratch: &Scratch, name: &str, spec: Value) -> anyhow::Result<()> {
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&PostParams::default(), &stopped(name, spec)?)
        .await?;
    workspace::reached(&workspaces, name, Phase::Stopped).await?;
    Ok(())
}

/// Waits until the object's status says so.
async fn says<K>(api: &Api<K>, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> anyhow::Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    wait::until(&format!("{name}: {what}"), wait::USUAL, || async {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if holds(&object) {
            Ok(object)
        } else {
            Err(format!("{object:?}"))
        }
    })
    .await
}

async fn gone<K>(api: &Api<K>, name: &str) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    wait::until(&format!("{name} to be gone"), wait::USUAL, || async {
        match api.get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => Err(format!("{object:?}")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

fn terminating(conditions: Option<&[Condition]>) -> Option<&Condition> {
    condition::find(conditions?, TERMINATING)
}

/// Reasons and notes of the Events about the object, once there is one: they follow the status.
async fn events(namespace: &str, name: &str) -> anyhow::Result<Vec<(String, String)>> {
    let events = Api::<Event>::namespaced(cluster::admin().await?, namespace);
    let about = |event: &Event| {
        let regarding = event.regarding.as_ref()?;
        (regarding.name.as_deref() == Some(name)).then(|| {
            let (reason, note) = (event.reason.clone(), event.note.clone());
            (reason.unwrap_or_default(), note.unwrap_or_default())
        })
    };
    wait::until(&format!("an Event about {name}"), wait::USUAL, || async {
        let all = events.list(&ListParams::default()).await;
        let all = all.map_err(|error| error.to_string())?;
        let found: Vec<_> = all.iter().filter_map(about).collect();
        if found.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(found)
        }
    })
    .await
}

#[tokio::test]
async fn a_template_in_use_stays_takes_nobody_in_and_goes_with_its_last_workspace() -> anyhow::Result<()> {
    let scratch = Scratch::new("inuse", &["alice"]).await?;
    let elsewhere = Scratch::new("inuse-too", &["alice"]).await?;
    let name = scratch.namespace.as_str();
    let (templates, first) = (templates().await?, template(name).await?);
    let of_template = json!({"templateRef": name});
    create_stopped(&scratch, "one", of_template.clone()).await?;
    create_stopped(&elsewhere, "two", of_template.clone()).await?;
    let counted = says(&templates, name, "two users", |template| {
        template.status.as_ref().and_then(|status| status.in_use_by) == Some(2)
    })
    .await?;
    assert!(counted.finalizers().iter().any(|it| it == IN_USE_FINALIZER));
    let status = counted.status.unwrap_or_default();
    assert!(condition::holds(&status.conditions, VALID));
    assert_eq!(status.observed_generation, counted.metadata.generation);

    templates.delete(name, &DeleteParams::default()).await?;
    let kept = says(&templates, name, "that it is in use", |template| {
        terminating(template.status.as_ref().map(|status| &*status.conditions)).is_some()
    })
    .await?;
    assert!(kept.metadata.deletion_timestamp.is_some());
    let told = events("default", name).await?;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, reason::TEMPLATE_IN_USE);
    assert!(told[0].1.starts_with("2 workspaces use"), "{told:?}");
    // What it says to do finds them.
    let (_, way) = told[0].1.split_once("kubectl ").unwrap_or_default();
    let way: Vec<_> = way.split(' ').chain(["-o", "name"]).collect();
    let found = command::administer(&way).await?;
    assert_eq!(found.stdout.lines().count(), 2, "{found:?}");

    let workspaces = scratch.api::<Workspace>();
    let late = workspaces
        .create(&PostParams::default(), &stopped("late", of_template.clone())?)
        .await;
    let refusal = late
        .map(drop)
        .map_err(|error| error.to_string())
        .err()
        .unwrap_or_default();
    assert!(refusal.contains("being deleted"), "{refusal}");

    workspace::delete(&workspaces, "one").await?;
    says(&templates, name, "one user", |template| {
        let status = template.status.as_ref();
        let told = terminating(status.map(|status| &*status.conditions));
        told.is_some_and(|told| told.message.starts_with("1 workspace uses"))
    })
    .await?;
    workspace::delete(&elsewhere.api(), "two").await?;
    gone(&templates, name).await?;

    // Another one of the name is another one.
    let again = template(name).await?;
    assert_ne!(again.uid(), first.uid());
    create_stopped(&scratch, "three", of_template).await?;
    says(&templates, name, "one user", |template| {
        template.status.as_ref().and_then(|status| status.in_use_by) == Some(1)
    })
    .await?;
    workspace::delete(&workspaces, "three").await?;
    // Nobody waits for the operator once it has been released.
    says(&templates, name, "no finalizer", |template| {
        template.finalizers().is_empty()
    })
    .await?;
    templates.delete(name, &DeleteParams::default()).await?;
    assert!(templates.get_opt(name).await?.is_none());
    elsewhere.finish().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_manager_is_kept_until_its_workspaces_went_to_another() -> anyhow::Result<()> {
    let scratch = Scratch::new("manager", &[]).await?;
    let name = scratch.namespace.as_str();
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let manager: WorkspaceManager = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "routing": {"baseDomain": "elsewhere.example.org", "traefik": {}},
            "authentication": {"gateway": {}},
        },
    }))?;
    managers.create(&PostParams::default(), &manager).await?;
    create_stopped(&scratch, "ws", json!({"managerRef": name})).await?;
    says(&managers, name, "ready and in use", |manager| {
        manager.status.as_ref().is_some_and(|status| {
            status.workspaces == Some(1) && condition::holds(&status.conditions, condition::READY)
        })
    })
    .await?;
    managers.delete(name, &DeleteParams::default()).await?;
    says(&managers, name, "that it is in use", |manager| {
        terminating(manager.status.as_ref().map(|status| &*status.conditions))
            .is_some_and(|told| told.reason == reason::MANAGER_IN_USE)
    })
    .await?;
    let told = events("default", name).await?;
    assert_eq!(told[0].0, reason::MANAGER_IN_USE, "{told:?}");
    let (_, way) = told[0].1.split_once("kubectl ").unwrap_or_default();
    let way: Vec<_> = way.split(' ').chain(["-o", "name"]).collect();
    assert_eq!(command::administer(&way).await?.stdout.lines().count(), 1);

    workspace::set(&scratch.api(), "ws", json!({"managerRef": null})).await?;
    gone(&managers, name).await?;
    workspace::reached(&scratch.api(), "ws", Phase::Stopped).await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_profile_is_kept_for_its_own_namespace_alone() -> anyhow::Result<()> {
    let scratch = Scratch::new("profile", &[]).await?;
    let elsewhere = Scratch::new("profile-too", &[]).await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": "p"}, "spec": {"env": [{"name": "A", "value": "b"}]}}),
    )?;
    for scratch in [&scratch, &elsewhere] {
        scratch.api().create(&PostParams::default(), &profile).await?;
    }
    create_stopped(&scratch, "ws", json!({"executionProfileRef": "p"})).await?;
    let profiles = scratch.api::<WorkspaceExecutionProfile>();
    says(&profiles, "p", "one user", |profile| {
        profile
            .status
            .as_ref()
            .is_some_and(|status| status.in_use_by == Some(1) && condition::holds(&status.conditions, VALID))
    })
    .await?;
    let others = elsewhere.api::<WorkspaceExecutionProfile>();
    others.delete("p", &DeleteParams::default()).await?;
    gone(&others, "p").await?;

    profiles.delete("p", &DeleteParams::default()).await?;
    says(&profiles, "p", "that it is in use", |profile| {
        terminating(profile.status.as_ref().map(|status| &*status.conditions)).is_some()
    })
    .await?;
    let told = events(&scratch.namespace, "p").await?;
    assert_eq!(told[0].0, reason::EXECUTION_PROFILE_IN_USE, "{told:?}");
    let (_, way) = told[0].1.split_once("kubectl ").unwrap_or_default();
    let way: Vec<_> = way.split(' ').chain(["-o", "name"]).collect();
    assert_eq!(command::administer(&way).await?.stdout.lines().count(), 1);
    workspace::delete(&scratch.api(), "ws").await?;
    gone(&profiles, "p").await?;
    elsewhere.finish().await?;
    scratch.finish().await
}

/// Ends with a template that is gone and a workspace that runs nothing, or with a template that stays for the workspace.
async fn race(scratch: &Scratch, turn: u32) -> anyhow::Result<()> {
    let (name, ws) = (format!("{}-{turn}", scratch.namespace), format!("ws-{turn}"));
    let (templates, workspaces) = (templates().await?, scratch.api::<Workspace>());
    template(&name).await?;
    let wanted = stopped(&ws, json!({"templateRef": name}))?;
    let (post, at) = (PostParams::default(), DeleteParams::default());
    let delete = async {
        // Each turn meets another moment of the workspace's first pass.
        tokio::time::sleep(Duration::from_millis(15) * turn).await;
        templates.delete(&name, &at).await
    };
    let (made, deleted) = tokio::join!(workspaces.create(&post, &wanted), delete);
    deleted?;
    if made.is_err() {
        return gone(&templates, &name).await;
    }
    let is_in = wait::until("the race to be over", wait::USUAL, || async {
        let workspace = workspaces.get(&ws).await.map_err(|error| error.to_string())?;
        let status = workspace.status.unwrap_or_default();
        // Wanted stopped, it does not look healthy either way.
        let shown = status.reason;
        let conditions = status.conditions;
        let valid = condition::find(&conditions, VALID).map(|valid| valid.reason.as_str());
        let template = templates
            .get_opt(&name)
            .await
            .map_err(|error| error.to_string())?;
        match (valid, template) {
            (Some(reason::ALL_RULES_HOLD), Some(template)) if !template.finalizers().is_empty() => Ok(true),
            (Some(reason::TEMPLATE_NOT_FOUND), None)
                if shown.as_deref() == Some(reason::TEMPLATE_NOT_FOUND) =>
            {
                Ok(false)
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let child = format!("workspace-{ws}");
    // A deletion that the API server began before it stored our finalizer goes through although that is stored: a Service may be
    // there by then, but nothing that runs.
    let service = scratch.api::<Service>().get_opt(&child).await?;
    let runs = scratch.api::<Deployment>().get_opt(&child).await?;
    assert!(service.is_some() || !is_in, "turn {turn}");
    assert!(runs.is_none() || is_in, "turn {turn}");
    workspaces.delete(&ws, &at).await?;
    gone(&templates, &name).await
}

#[tokio::test]
async fn a_workspace_made_at_the_moment_of_a_deletion_is_in_or_out_and_nothing_between() -> anyhow::Result<()>
{
    let scratch = Scratch::new("race", &[]).await?;
    for turn in 0..8 {
        Box::pin(race(&scratch, turn)).await?;
    }
    scratch.finish().await
}

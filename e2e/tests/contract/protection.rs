//! Templates, managers and execution profiles stay while workspaces use them.

use std::time::Duration;

use api::{
    Workspace,
    condition::{self, VALID, reason},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    command,
    kept::{self, Kept, Kind},
    wait, workspace,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

async fn create(workspaces: &Api<Workspace>, new: &Workspace) -> anyhow::Result<()> {
    workspaces.create(&PostParams::default(), new).await?;
    workspace::reached(workspaces, &new.name_any(), Phase::Stopped).await?;
    Ok(())
}

/// Types, reasons and notes of the Events about the object, once there is one: they follow the status.
async fn events(scratch: &Scratch, kept: &Kept) -> anyhow::Result<Vec<[String; 3]>> {
    // Events about objects of the whole cluster lie there.
    let namespace = if kept.kind.is_of_all() {
        "default"
    } else {
        &scratch.namespace
    };
    let events = Api::<Event>::namespaced(cluster::admin().await?, namespace);
    let about = |event: &Event| {
        let regarding = event.regarding.as_ref()?;
        (regarding.name.as_ref() == Some(&kept.name))
            .then(|| [&event.type_, &event.reason, &event.note].map(|text| text.clone().unwrap_or_default()))
    };
    wait::until(&format!("an Event about {}", kept.name), wait::USUAL, || async {
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

/// Waits until one Warning says, in these words, that the object is in use; what it says to do finds so many workspaces.
async fn told(scratch: &Scratch, kept: &Kept, words: &str, users: usize) -> anyhow::Result<()> {
    let told = events(scratch, kept).await?;
    let [[type_, reason, note]] = told.as_slice() else {
        anyhow::bail!("{told:?}");
    };
    anyhow::ensure!(
        type_ == "Warning" && reason == kept.kind.in_use() && note.starts_with(words),
        "{told:?}"
    );
    let (_, way) = note.split_once("kubectl ").unwrap_or_default();
    let way: Vec<_> = way.split(' ').chain(["-o", "name"]).collect();
    let found = command::administer(&way).await?;
    anyhow::ensure!(found.stdout.lines().count() == users, "{found:?}");
    Ok(())
}

/// Two users, in two namespaces where the kind is of all; a deletion while they are there; the end of each; and another object of
/// the name, with a user of its own.
async fn stays_takes_nobody_in_and_goes_with_its_last_user(kind: Kind) -> anyhow::Result<()> {
    let scratch = Scratch::new("inuse", &["alice"]).await?;
    let elsewhere = Scratch::new("inuse-too", &["alice"]).await?;
    let kept = Kept::of(kind, &scratch, &scratch.namespace).await?;
    let here = scratch.api::<Workspace>();
    let there = if kind.is_of_all() {
        elsewhere.api()
    } else {
        here.clone()
    };
    let first = kept.make().await?;
    create(&here, &kept.user("one")?).await?;
    create(&there, &kept.user("two")?).await?;
    assert!(kept::is_held(&kept.counts(2).await?));

    kept.delete().await?;
    kept.stays("2 workspaces use").await?;
    told(&scratch, &kept, "2 workspaces use", 2).await?;
    let late = here.create(&PostParams::default(), &kept.user("late")?).await;
    assert!(
        late.as_ref()
            .is_err_and(|error| error.to_string().contains("being deleted")),
        "{late:?}"
    );
    workspace::delete(&here, "one").await?;
    kept.stays("1 workspace uses").await?;
    workspace::delete(&there, "two").await?;
    kept.gone().await?;

    // Another one of the name is another one.
    let again = kept.make().await?;
    assert_ne!(again.uid(), first.uid());
    create(&here, &kept.user("three")?).await?;
    assert!(kept::is_held(&kept.counts(1).await?));
    workspace::delete(&here, "three").await?;
    // Nobody waits for the operator once it has been released.
    kept.says("no finalizer", |object| object.finalizers().is_empty())
        .await?;
    kept.delete().await?;
    assert!(kept.api.get_opt(&kept.name).await?.is_none());
    elsewhere.finish().await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_template_in_use_stays_takes_nobody_in_and_goes_with_its_last_workspace() -> anyhow::Result<()> {
    Box::pin(stays_takes_nobody_in_and_goes_with_its_last_user(Kind::Template)).await
}

#[tokio::test]
async fn a_manager_in_use_stays_takes_nobody_in_and_goes_with_its_last_workspace() -> anyhow::Result<()> {
    Box::pin(stays_takes_nobody_in_and_goes_with_its_last_user(Kind::Manager)).await
}

#[tokio::test]
async fn a_profile_in_use_stays_takes_nobody_in_and_goes_with_its_last_workspace() -> anyhow::Result<()> {
    Box::pin(stays_takes_nobody_in_and_goes_with_its_last_user(Kind::Profile)).await
}

#[tokio::test]
async fn a_manager_is_kept_until_its_workspaces_went_to_another() -> anyhow::Result<()> {
    let scratch = Scratch::new("manager", &[]).await?;
    let kept = Kept::of(Kind::Manager, &scratch, &scratch.namespace).await?;
    kept.make().await?;
    create(&scratch.api(), &kept.user("ws")?).await?;
    kept.counts(1).await?;
    kept.delete().await?;
    kept.stays("1 workspace uses").await?;

    workspace::set(&scratch.api(), "ws", json!({"managerRef": null})).await?;
    kept.gone().await?;
    workspace::reached(&scratch.api(), "ws", Phase::Stopped).await?;
    scratch.finish().await
}

#[tokio::test]
async fn a_profile_is_kept_for_its_own_namespace_alone() -> anyhow::Result<()> {
    let scratch = Scratch::new("profile", &[]).await?;
    let elsewhere = Scratch::new("profile-too", &[]).await?;
    let kept = Kept::of(Kind::Profile, &scratch, "p").await?;
    let other = Kept::of(Kind::Profile, &elsewhere, "p").await?;
    for kept in [&kept, &other] {
        kept.make().await?;
    }
    create(&scratch.api(), &kept.user("ws")?).await?;
    kept.counts(1).await?;
    other.delete().await?;
    other.gone().await?;

    kept.delete().await?;
    kept.stays("1 workspace uses").await?;
    workspace::delete(&scratch.api(), "ws").await?;
    kept.gone().await?;
    elsewhere.finish().await?;
    scratch.finish().await
}

/// Ends with a template that is gone and a workspace that runs nothing, or with a template that stays for the workspace.
async fn race(scratch: &Scratch, turn: u32) -> anyhow::Result<()> {
    let (name, ws) = (format!("{}-{turn}", scratch.namespace), format!("ws-{turn}"));
    let workspaces = scratch.api::<Workspace>();
    let kept = Kept::of(Kind::Template, scratch, &name).await?;
    kept.make().await?;
    let (wanted, post) = (kept.user(&ws)?, PostParams::default());
    let delete = async {
        // Each turn meets another moment of the workspace's first pass.
        tokio::time::sleep(Duration::from_millis(15) * turn).await;
        kept.delete().await
    };
    let (made, deleted) = tokio::join!(workspaces.create(&post, &wanted), delete);
    deleted?;
    if made.is_err() {
        return kept.gone().await;
    }
    let is_in = wait::until("the race to be over", wait::USUAL, || async {
        let workspace = workspaces.get(&ws).await.map_err(|error| error.to_string())?;
        let status = workspace.status.unwrap_or_default();
        // Wanted stopped, it does not look healthy either way.
        let shown = status.reason;
        let conditions = status.conditions;
        let valid = condition::find(&conditions, VALID).map(|valid| valid.reason.as_str());
        let template = kept.api.get_opt(&name).await;
        let template = template.map_err(|error| error.to_string())?;
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
    workspaces.delete(&ws, &DeleteParams::default()).await?;
    kept.gone().await
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

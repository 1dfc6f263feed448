//! The operator is away: what is in use stays, and what came to its end meanwhile goes when it is back.

use std::time::Duration;

use api::{
    Workspace, WorkspaceShare, WorkspaceTemplate,
    condition::{self, ACTIVE, reason},
    names::IN_USE_FINALIZER,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    component, wait, workspace,
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

fn stopped(name: &str, template: &str) -> anyhow::Result<Workspace> {
    let spec = json!({"displayName": name, "templateRef": template, "desiredStatus": DesiredStatus::Stopped});
    Ok(Workspace::new(name, serde_json::from_value(spec)?))
}

/// What happens while nobody looks.
async fn meanwhile(
    workspaces: &Api<Workspace>,
    templates: &Api<WorkspaceTemplate>,
    template: &str,
) -> anyhow::Result<()> {
    workspaces.delete("used", &DeleteParams::default()).await?;
    templates.delete(template, &DeleteParams::default()).await?;
    let kept = templates.get(template).await?;
    anyhow::ensure!(
        kept.finalizers().iter().any(|it| it == IN_USE_FINALIZER),
        "{kept:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_in_use_stays_while_the_operator_is_away_and_what_ended_goes_when_it_is_back()
-> anyhow::Result<()> {
    let _turn = super::TURN.lock().await;
    let scratch = Scratch::new("away", &[]).await?;
    let name = scratch.namespace.as_str();
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"e2e.test/scratch": "true"}},
        "spec": {"displayName": name, "defaultImage": Environment::get()?.images.echo},
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    let (workspaces, shares) = (scratch.api::<Workspace>(), scratch.api::<WorkspaceShare>());
    workspaces
        .create(&PostParams::default(), &stopped("used", name)?)
        .await?;
    let mut other = workspace::echo("shared")?;
    other.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &other).await?;
    workspace::reached(&workspaces, "used", Phase::Stopped).await?;
    workspace::reached(&workspaces, "shared", Phase::Stopped).await?;

    let replicas = component::scale("operator", 0).await?;
    let happened = meanwhile(&workspaces, &templates, name).await;
    // Time enough for the webhook of a busy machine to find it in the future.
    let end = Timestamp::now() + SignedDuration::from_secs(5);
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {
            "workspaceRef": "shared", "subjects": [{"kind": "User", "name": "dave"}], "expiresAt": end.to_string(),
        },
    }))?;
    let made = shares.create(&PostParams::default(), &share).await;
    let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left).await;
    component::scale("operator", replicas).await?;
    happened?;
    made?;

    wait::until(
        "the template and its last user to be gone",
        wait::USUAL,
        || async {
            let template = templates.get_opt(name).await.map_err(|error| error.to_string())?;
            let used = workspaces
                .get_opt("used")
                .await
                .map_err(|error| error.to_string())?;
            match (template, used) {
                (None, None) => Ok(()),
                left => Err(format!("{left:?}")),
            }
        },
    )
    .await?;
    wait::until("the share to have ended", wait::USUAL, || async {
        let share = shares.get("s").await.map_err(|error| error.to_string())?;
        let conditions = share.status.unwrap_or_default().conditions;
        match condition::find(&conditions, ACTIVE) {
            Some(active) if active.reason == reason::EXPIRED => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    scratch.finish().await
}

//! No operator runs: workspaces are served, used objects stay, other objects end later.

use std::time::Duration;

use api::{
    Workspace, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::Scratch,
    installation::{component, servers},
    objects::{
        catalog_object::{self, CatalogObject, Kind},
        workspace,
    },
    wait,
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::opened::Opened;

/// A template, a manager and a profile, and a stopped workspace of this name that uses all of them.
async fn used(scratch: &Scratch, user: &str) -> anyhow::Result<Vec<CatalogObject>> {
    let name = format!("{}-{user}", scratch.namespace);
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let catalog_object = CatalogObject::of(kind, scratch, &name).await?;
        catalog_object.make().await?;
        all.push(catalog_object);
    }
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&PostParams::default(), &catalog_object::stopped(user, &all)?)
        .await?;
    workspace::reached(&workspaces, user, Phase::Stopped).await?;
    Ok(all)
}

/// Changes while no operator runs: the last user of some objects is deleted, and all objects of both.
async fn meanwhile(
    workspaces: &Api<Workspace>,
    ended: &[CatalogObject],
    lasting: &[CatalogObject],
) -> anyhow::Result<()> {
    workspaces.delete("ended", &DeleteParams::default()).await?;
    for catalog_object in ended.iter().chain(lasting) {
        catalog_object.delete().await?;
        let now = catalog_object.api.get(&catalog_object.name).await?;
        anyhow::ensure!(catalog_object::has_in_use_finalizer(&now), "{now:?}");
    }
    Ok(())
}

#[tokio::test]
async fn while_the_operator_is_down_routes_end_with_their_pods_and_objects_in_use_stay() -> anyhow::Result<()>
{
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("away", &["alice"]).await?;
    let (workspaces, shares) = (scratch.api::<Workspace>(), scratch.api::<WorkspaceShare>());
    let ended = used(&scratch, "ended").await?;
    let lasting = used(&scratch, "lasting").await?;
    let mut other = workspace::echo("shared")?;
    other.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &other).await?;
    workspace::reached(&workspaces, "shared", Phase::Stopped).await?;
    let deleted = workspaces.get("ended").await?.uid().unwrap_or_default();
    let opened = Opened::new(&scratch).await?;

    let replicas = component::scale("operator", 0).await?;
    let happened = meanwhile(&workspaces, &ended, &lasting).await;
    // Long enough for the webhook on a busy machine to accept it as a future time.
    let end = Timestamp::now() + SignedDuration::from_secs(5);
    let share: WorkspaceShare = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {
            "workspaceRef": "shared", "subjects": [{"kind": "User", "name": "dave"}], "expiresAt": end.to_string(),
        },
    }))?;
    let made = shares.create(&PostParams::default(), &share).await;
    let served = opened.is_served_as_long_as_its_pod_is_there(&scratch).await;
    let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left).await;
    component::scale("operator", replicas).await?;
    happened?;
    made?;
    served?;
    opened.is_reached().await?;

    for catalog_object in &ended {
        catalog_object.gone().await?;
    }
    assert!(workspaces.get_opt("ended").await?.is_none());
    servers::wait_for_records(&deleted, &[("deleted", "", "")]).await?;
    for catalog_object in &lasting {
        catalog_object.stays("1 workspace uses").await?;
    }
    workspace::delete(&workspaces, "lasting").await?;
    for catalog_object in &lasting {
        catalog_object.gone().await?;
    }
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

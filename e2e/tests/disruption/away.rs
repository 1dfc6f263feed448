//! The operator is away: what is in use stays, and what came to its end meanwhile goes when it is back.

use std::time::Duration;

use api::{
    Workspace, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::Scratch,
    component,
    kept::{self, Kept, Kind},
    servers, wait, workspace,
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// A template, a manager and a profile, and a stopped workspace of this name that uses all of them.
async fn used(scratch: &Scratch, user: &str) -> anyhow::Result<Vec<Kept>> {
    let name = format!("{}-{user}", scratch.namespace);
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let kept = Kept::of(kind, scratch, &name).await?;
        kept.make().await?;
        all.push(kept);
    }
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&PostParams::default(), &kept::stopped(user, &all)?)
        .await?;
    workspace::reached(&workspaces, user, Phase::Stopped).await?;
    Ok(all)
}

/// What happens while nobody looks: the last user of some is deleted, and so is everything of both.
async fn meanwhile(workspaces: &Api<Workspace>, ended: &[Kept], lasting: &[Kept]) -> anyhow::Result<()> {
    workspaces.delete("ended", &DeleteParams::default()).await?;
    for kept in ended.iter().chain(lasting) {
        kept.delete().await?;
        let now = kept.api.get(&kept.name).await?;
        anyhow::ensure!(kept::is_held(&now), "{now:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_in_use_stays_while_the_operator_is_away_and_what_ended_goes_when_it_is_back()
-> anyhow::Result<()> {
    let _turn = super::TURN.lock().await;
    let scratch = Scratch::new("away", &[]).await?;
    let (workspaces, shares) = (scratch.api::<Workspace>(), scratch.api::<WorkspaceShare>());
    let ended = used(&scratch, "ended").await?;
    let lasting = used(&scratch, "lasting").await?;
    let mut other = workspace::echo("shared")?;
    other.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &other).await?;
    workspace::reached(&workspaces, "shared", Phase::Stopped).await?;
    let deleted = workspaces.get("ended").await?.uid().unwrap_or_default();

    let replicas = component::scale("operator", 0).await?;
    let happened = meanwhile(&workspaces, &ended, &lasting).await;
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

    for kept in &ended {
        kept.gone().await?;
    }
    assert!(workspaces.get_opt("ended").await?.is_none());
    // These pods have just begun, and so has their audit log.
    servers::told(&deleted, &[("deleted", "", "")]).await?;
    let (code, said) = servers::verified("operator", |log| log).await?;
    assert!(code == 0 && said.starts_with("whole: "), "{code}: {said}");
    for kept in &lasting {
        kept.stays("1 workspace uses").await?;
    }
    workspace::delete(&workspaces, "lasting").await?;
    for kept in &lasting {
        kept.gone().await?;
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

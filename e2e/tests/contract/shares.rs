//! The states of a share: bound, active, ended, removed.

use api::{
    Workspace, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn share(workspace: &str, rest: Value) -> anyhow::Result<WorkspaceShare> {
    let mut spec = json!({"workspaceRef": workspace, "subjects": [{"kind": "User", "name": "dave"}]});
    for (key, value) in rest.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    Ok(serde_json::from_value(
        json!({"metadata": {"name": "s"}, "spec": spec}),
    )?)
}

async fn make(workspaces: &Api<Workspace>, name: &str, manager: Option<&str>) -> anyhow::Result<Workspace> {
    let mut new = workspace::echo(name)?;
    new.spec.desired_status = DesiredStatus::Stopped;
    new.spec.manager_ref = manager.map(str::to_owned);
    workspaces.create(&PostParams::default(), &new).await?;
    workspace::reached(workspaces, name, Phase::Stopped).await
}

fn active(share: &WorkspaceShare) -> Option<&Condition> {
    condition::find(&share.status.as_ref()?.conditions, ACTIVE)
}

/// Waits until the condition `Active` has this reason.
async fn wait_for_reason(shares: &Api<WorkspaceShare>, reason: &str) -> anyhow::Result<WorkspaceShare> {
    wait::until(&format!("the share to be {reason}"), wait::USUAL, || async {
        let share = shares.get("s").await.map_err(|error| error.to_string())?;
        if active(&share).is_some_and(|active| active.reason == reason) {
            Ok(share)
        } else {
            Err(format!("{:?}", share.status))
        }
    })
    .await
}

async fn wait_gone(shares: &Api<WorkspaceShare>) -> anyhow::Result<()> {
    wait::until("the share to be gone", wait::USUAL, || async {
        match shares.get_opt("s").await {
            Ok(None) => Ok(()),
            Ok(Some(share)) => Err(format!("{share:?}")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

async fn apis(scratch: &Scratch, user: &str) -> anyhow::Result<(Api<Workspace>, Api<WorkspaceShare>)> {
    let client = cluster::user(user).await?;
    Ok((
        Api::namespaced(client.clone(), &scratch.namespace),
        Api::namespaced(client, &scratch.namespace),
    ))
}

#[tokio::test]
async fn a_share_is_active_until_its_exact_end_and_has_events() -> anyhow::Result<()> {
    let scratch = Scratch::new("share-end", &["alice"]).await?;
    let (workspaces, shares) = apis(&scratch, "alice").await?;
    let lab = make(&workspaces, "lab", None).await?;
    let end = Timestamp::now() + SignedDuration::from_secs(6);
    let end = Timestamp::from_second(end.as_second())?;
    let brief = share("lab", json!({"expiresAt": end.to_string()}))?;
    shares.create(&PostParams::default(), &brief).await?;
    let active_share = wait_for_reason(&shares, reason::SHARED).await?;
    assert_eq!(active_share.spec.workspace_uid, lab.uid());
    wait::until("an owner reference", wait::USUAL, || async {
        let share = shares.get("s").await.map_err(|error| error.to_string())?;
        let owners = share.owner_references();
        if owners
            .iter()
            .any(|owner| Some(&owner.uid) == lab.metadata.uid.as_ref())
        {
            Ok(())
        } else {
            Err(format!("{owners:?}"))
        }
    })
    .await?;
    let ended = wait_for_reason(&shares, reason::EXPIRED).await?;
    let at = active(&ended).map(|active| active.last_transition_time.0);
    assert!(at.is_some_and(|at| at >= end), "{at:?}");
    // Events follow the status.
    wait::until("one Event per transition", wait::USUAL, || async {
        let events = scratch.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?;
        let about_shares = events.iter().filter(|event| {
            let regarding = event.regarding.as_ref();
            regarding.and_then(|it| it.kind.as_deref()) == Some("WorkspaceShare")
        });
        let mut reasons: Vec<_> = about_shares.filter_map(|event| event.reason.clone()).collect();
        reasons.sort();
        if reasons == [reason::EXPIRED, reason::SHARED] {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    })
    .await?;
    // A share that ended an hour ago is removed.
    let past =
        json!({"spec": {"expiresAt": (Timestamp::now() - SignedDuration::from_secs(3601)).to_string()}});
    shares
        .patch("s", &PatchParams::default(), &Patch::Merge(past))
        .await?;
    wait_gone(&shares).await?;
    scratch.finish().await
}

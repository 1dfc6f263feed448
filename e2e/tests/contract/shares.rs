//! The states of a share: bound, active, ended, removed.

use api::{
    Workspace, WorkspaceManager, WorkspaceShare,
    condition::{self, ACTIVE, reason},
    names::CREATED_BY,
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
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
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

#[tokio::test]
async fn a_share_created_first_is_bound_to_its_creator_s_workspace_and_ends_with_a_hand_over()
-> anyhow::Result<()> {
    let scratch = Scratch::new("share-early", &["alice", "bob"]).await?;
    let (hers, shares) = apis(&scratch, "alice").await?;
    let (his, _) = apis(&scratch, "bob").await?;
    shares
        .create(&PostParams::default(), &share("lab", json!({}))?)
        .await?;
    let early = wait_for_reason(&shares, reason::WORKSPACE_NOT_FOUND).await?;
    assert_eq!(early.spec.workspace_uid, None);
    make(&his, "lab", None).await?;
    let foreign = wait_for_reason(&shares, reason::OWNER_CHANGED).await?;
    assert_eq!(foreign.status.and_then(|status| status.workspace_uid), None);
    workspace::delete(&his, "lab").await?;
    let lab = make(&hers, "lab", None).await?;
    let bound = wait_for_reason(&shares, reason::SHARED).await?;
    assert_eq!(bound.status.and_then(|status| status.workspace_uid), lab.uid());
    // A new workspace of the same name is not shared, and the share is gone.
    workspace::delete(&hers, "lab").await?;
    wait_gone(&shares).await?;
    make(&hers, "lab", None).await?;
    assert!(shares.list(&ListParams::default()).await?.items.is_empty());
    a_hand_over_ends_the_shares_of_the_old_owner(&scratch, &shares).await?;
    scratch.finish().await
}

async fn a_hand_over_ends_the_shares_of_the_old_owner(
    scratch: &Scratch,
    shares: &Api<WorkspaceShare>,
) -> anyhow::Result<()> {
    shares
        .create(&PostParams::default(), &share("lab", json!({}))?)
        .await?;
    wait_for_reason(shares, reason::SHARED).await?;
    let to = |owner: &str| Patch::Merge(json!({"metadata": {"annotations": {CREATED_BY: owner}}}));
    let all = scratch.api::<Workspace>();
    all.patch("lab", &PatchParams::default(), &to("bob")).await?;
    let ended = wait_for_reason(shares, reason::OWNER_CHANGED).await?;
    assert_eq!(active(&ended).map(|active| active.status.as_str()), Some("False"));
    Ok(())
}

#[tokio::test]
async fn stricter_manager_limits_deactivate_existing_shares() -> anyhow::Result<()> {
    let scratch = Scratch::new("share-limit", &[]).await?;
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
    let (workspaces, shares) = (scratch.api::<Workspace>(), scratch.api::<WorkspaceShare>());
    make(&workspaces, "lab", Some(name)).await?;
    let to_group = json!({"subjects": [{"kind": "Group", "name": "g"}]});
    shares
        .create(&PostParams::default(), &share("lab", to_group)?)
        .await?;
    wait_for_reason(&shares, reason::SHARED).await?;
    for (limits, reason) in [
        (json!({"enabled": false}), reason::SHARING_DISABLED),
        (
            json!({"enabled": true, "allowGroups": false}),
            reason::SHARE_OUT_OF_BOUNDS,
        ),
        (
            json!({"allowGroups": true, "maxDurationMinutes": 1}),
            reason::SHARE_OUT_OF_BOUNDS,
        ),
        (json!({"maxDurationMinutes": null}), reason::SHARED),
    ] {
        let patch = Patch::Merge(json!({"spec": {"authorization": {"sharing": limits}}}));
        managers.patch(name, &PatchParams::default(), &patch).await?;
        wait_for_reason(&shares, reason).await?;
    }
    managers.delete(name, &DeleteParams::default()).await?;
    scratch.finish().await
}

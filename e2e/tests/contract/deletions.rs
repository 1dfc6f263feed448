//! Deletions by the operator's account, which policy and webhook refuse but for an announced workspace.

use api::{Workspace, WorkspaceExecutionProfile, condition::STOPPED, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch, audit},
    wait,
};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::policies::{refused, stopped};

/// A finalizer that keeps the deleted workspace. The operator no longer writes its status, so an administrator can.
const HELD: &str = "example.com/held";
const NAME: &str = "old";
/// What the policy says of each deletion of a workspace that it refuses.
const BOUND: &str = "the operator's account deletes a workspace only if it is stopped";

/// A deletion of what was read, without effect.
fn dry_deletion(uid: Option<String>, resource_version: Option<String>) -> DeleteParams {
    DeleteParams {
        dry_run: true,
        preconditions: Some(Preconditions {
            uid,
            resource_version,
        }),
        ..DeleteParams::default()
    }
}

async fn delete(workspaces: &Api<Workspace>, read: &Workspace) -> kube::Result<()> {
    let params = dry_deletion(read.uid(), read.resource_version());
    workspaces.delete(&read.name_any(), &params).await.map(drop)
}

/// The policy lets a deletion pass, and the webhook, which has a clock, does not.
fn passes_the_policy_alone(result: &kube::Result<()>) {
    let by_webhook = |error: &kube::Error| {
        matches!(error, kube::Error::Api(it)
            if it.code == 403 && it.message.contains("admission webhook") && it.message.contains("status.deletesAt"))
    };
    assert!(result.as_ref().is_err_and(by_webhook), "{result:?}");
}

/// `workspaces`: as the operator's account.
pub(super) async fn the_operator_s_account_deletes_only_what_is_announced(
    scratch: &Scratch,
    workspaces: &Api<Workspace>,
) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let limits =
        json!({"limits": {"stoppedRetentionDays": 7}, "storage": {"size": "1Mi", "retain": "Delete"}});
    let mut old = stopped(NAME, json!({}), limits)?;
    old.metadata.finalizers = Some(vec![HELD.to_owned()]);
    alice.create(&PostParams::default(), &old).await?;
    let checked = Box::pin(it_is_deleted_as_announced(scratch, &alice, workspaces)).await;
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    let admin = scratch.api::<Workspace>();
    let freed = admin.patch(NAME, &PatchParams::default(), &free).await;
    checked?;
    freed?;
    Ok(())
}

async fn set_desired(alice: &Api<Workspace>, desired: DesiredStatus) -> kube::Result<Workspace> {
    let patch = Patch::Merge(json!({"spec": {"desiredStatus": desired}}));
    alice.patch(NAME, &PatchParams::default(), &patch).await
}

/// Waits until a time of its deletion is announced, or none.
async fn announced(alice: &Api<Workspace>, wanted: bool) -> anyhow::Result<Workspace> {
    wait::until("the time of the deletion", wait::USUAL, || async {
        let old = alice.get(NAME).await.map_err(|error| error.to_string())?;
        let time = old.status.as_ref().and_then(|status| status.deletes_at.as_ref());
        if time.is_some() == wanted {
            Ok(old)
        } else {
            Err(format!("{:?}", old.status))
        }
    })
    .await
}

async fn it_is_deleted_as_announced(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    workspaces: &Api<Workspace>,
) -> anyhow::Result<()> {
    announced(alice, true).await?;
    // A start cancels it, and a stop announces another.
    set_desired(alice, DesiredStatus::Running).await?;
    announced(alice, false).await?;
    set_desired(alice, DesiredStatus::Stopped).await?;
    let announced = announced(alice, true).await?;
    let lab = alice.get("lab").await?;
    refused(delete(workspaces, &lab).await, BOUND);
    passes_the_policy_alone(&delete(workspaces, &announced).await);

    // As it is after eight days: both let the operator's own deletion pass.
    let now = Timestamp::now().as_second() - 60;
    let before = |days: i64| Timestamp::from_second(now - days * 86_400).map(|time| time.to_string());
    let mut status = json!({"conditions": announced.status.unwrap_or_default().conditions});
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = json!(before(8)?);
    }
    status["deletesAt"] = json!(before(0)?);
    let later = Patch::Merge(json!({ "status": status }));
    let admin = scratch.api::<Workspace>();
    admin.patch_status(NAME, &PatchParams::default(), &later).await?;
    wait::until("its deletion", wait::USUAL, || async {
        match alice.get(NAME).await {
            Ok(old) if old.metadata.deletion_timestamp.is_some() && old.finalizers() == [HELD] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    Box::pin(one_difference_is_enough(alice, &admin, workspaces, &status)).await?;
    no_other_kind_is_deleted(scratch, workspaces).await
}

/// Each deletion differs in one thing from one that the policy lets pass. `status`: of that one, without the generation.
async fn one_difference_is_enough(
    alice: &Api<Workspace>,
    admin: &Api<Workspace>,
    workspaces: &Api<Workspace>,
    status: &Value,
) -> anyhow::Result<()> {
    // The object with this status, of its present generation unless `changed` has another one.
    let with = async |changed: Value| -> anyhow::Result<Workspace> {
        let mut status = status.clone();
        status["observedGeneration"] = json!(alice.get(NAME).await?.metadata.generation);
        for (field, value) in changed.as_object().into_iter().flatten() {
            status[field] = value.clone();
        }
        let patch = Patch::Merge(json!({ "status": status }));
        Ok(admin.patch_status(NAME, &PatchParams::default(), &patch).await?)
    };
    let allowed = with(json!({})).await?;
    passes_the_policy_alone(&delete(workspaces, &allowed).await);
    let (uid, version) = (allowed.uid(), allowed.resource_version());
    for params in [
        dry_deletion(uid, None),
        dry_deletion(None, version),
        dry_deletion(None, None),
    ] {
        refused(workspaces.delete(NAME, &params).await, BOUND);
    }
    let mut conditions = status["conditions"].clone();
    for condition in conditions.as_array_mut().into_iter().flatten() {
        if condition["type"] == STOPPED {
            condition["status"] = json!("False");
        }
    }
    let another = allowed.metadata.generation.unwrap_or_default() - 1;
    for changed in [
        json!({ "conditions": conditions }),
        json!({"observedGeneration": another}),
        json!({"deletesAt": null}),
    ] {
        let read = with(changed).await?;
        refused(delete(workspaces, &read).await, BOUND);
    }
    for (desired, passes) in [("Running", false), ("Stopped", true)] {
        let patch = Patch::Merge(json!({"spec": {"desiredStatus": desired}}));
        alice.patch(NAME, &PatchParams::default(), &patch).await?;
        let read = with(json!({})).await?;
        let result = delete(workspaces, &read).await;
        if passes {
            passes_the_policy_alone(&result);
        } else {
            refused(result, BOUND);
        }
    }
    Ok(())
}

/// Its own role allows no such deletion. Here a further role does, so that the policy is asked.
async fn no_other_kind_is_deleted(scratch: &Scratch, workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let rules = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaceexecutionprofiles"], "verbs": ["delete"],
    }]);
    scratch
        .grant("deletes-profiles", &audit::user_of("operator")?, &rules)
        .await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": "other"}, "spec": {"priorityClassName": "system"}}),
    )?;
    let made = scratch.api().create(&PostParams::default(), &profile).await?;
    let operator = workspaces.clone().into_client();
    let profiles: Api<WorkspaceExecutionProfile> = Api::namespaced(operator, &scratch.namespace);
    // The operator may write its status meanwhile.
    let params = dry_deletion(made.uid(), None);
    refused(
        profiles.delete("other", &params).await,
        "deletes shares and workspaces alone",
    );
    // The control.
    scratch
        .api::<WorkspaceExecutionProfile>()
        .delete("other", &params)
        .await?;
    Ok(())
}

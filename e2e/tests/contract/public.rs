//! Workspaces with ownershipType Public: who may change them, and who owns them.

use api::{
    Workspace,
    names::CREATED_BY,
    workspace::{DesiredStatus, OwnershipType, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn of(scratch: &Scratch, user: &str) -> anyhow::Result<Api<Workspace>> {
    let client = cluster::acting_as(user, &[]).await?;
    Ok(Api::namespaced(client, &scratch.namespace))
}

fn owner(workspace: &Workspace) -> &str {
    workspace.annotations().get(CREATED_BY).map_or("", String::as_str)
}

/// Checks for a refusal with this message.
fn refused<T: std::fmt::Debug>(result: kube::Result<T>, part: &str) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(part) => Ok(()),
        other => anyhow::bail!("expected a refusal with {part:?}, got {other:?}"),
    }
}

fn merge(patch: Value) -> Patch<Value> {
    Patch::Merge(patch)
}

#[tokio::test]
async fn a_public_workspace_is_changed_started_stopped_and_deleted_by_others_and_stays_its_owner_s()
-> anyhow::Result<()> {
    let scratch = Scratch::new("public", &["alice", "bob"]).await?;
    let reads =
        json!([{"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": ["get"]}]);
    scratch.grant("reader", "eve", &reads).await?;
    let (alice, bob, eve) = (
        of(&scratch, "alice").await?,
        of(&scratch, "bob").await?,
        of(&scratch, "eve").await?,
    );
    let mut ours = workspace::echo("ours")?;
    ours.spec.ownership_type = Some(OwnershipType::Public);
    ours.spec.desired_status = DesiredStatus::Stopped;
    alice.create(&PostParams::default(), &ours).await?;
    let usual = PatchParams::default();

    // Bob starts it, changes it by each kind of write, and stops it.
    workspace::start(&bob, "ours").await?;
    let rename = |name: &str| merge(json!({"spec": {"displayName": name}}));
    bob.patch("ours", &usual, &rename("One")).await?;
    bob.patch(
        "ours",
        &usual,
        &merge(json!({"metadata": {"labels": {"a": "b"}}})),
    )
    .await?;
    let mut bare = json!(ours);
    bare["metadata"]["namespace"] = json!(scratch.namespace);
    bare["spec"]["desiredStatus"] = json!("Running");
    for (title, flags) in [
        ("Two", &["replace", "-f", "-"][..]),
        ("Three", &["apply", "-f", "-"]),
        (
            "Four",
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        ),
    ] {
        bare["spec"]["displayName"] = json!(title);
        let outcome = command::kubectl_as("bob", flags, &bare).await?;
        anyhow::ensure!(outcome.code == 0, "{outcome:?}");
        let now = alice.get("ours").await?;
        assert_eq!((owner(&now), now.spec.display_name.as_str()), ("alice", title));
    }
    let running = workspace::reached(&bob, "ours", Phase::Running).await?;
    assert_eq!(
        running.status.and_then(|status| status.owner).as_deref(),
        Some("alice")
    );
    let mine = merge(json!({"metadata": {"annotations": {CREATED_BY: "bob"}}}));
    refused(bob.patch("ours", &usual, &mine).await, "is another owner")?;
    // Kubernetes' own roles come first: a user who may only read it may do no more.
    refused(
        eve.patch("ours", &usual, &rename("Hers")).await,
        "cannot patch resource",
    )?;
    refused(
        eve.delete("ours", &DeleteParams::default()).await,
        "cannot delete resource",
    )?;
    workspace::stop(&bob, "ours").await?;

    // Its owner makes it OwnerOnly again, and others lose access at once.
    workspace::set(&alice, "ours", json!({"ownershipType": "OwnerOnly"})).await?;
    for change in [
        json!({"spec": {"displayName": "His"}}),
        json!({"spec": {"desiredStatus": "Running"}}),
        json!({"spec": {"ownershipType": "Public"}}),
        json!({"metadata": {"labels": {"a": "c"}}}),
    ] {
        refused(
            bob.patch("ours", &usual, &merge(change)).await,
            "only by its owner",
        )?;
    }
    refused(
        bob.delete("ours", &DeleteParams::default()).await,
        "only by its owner",
    )?;
    workspace::set(&alice, "ours", json!({"ownershipType": "Public"})).await?;
    workspace::delete(&bob, "ours").await?;
    scratch.finish().await
}

//! Which users may share a workspace, and the API server's answers.

use api::{
    Workspace, WorkspaceShare,
    names::{CREATED_BY, SHARE_VERB, SHARED_FOR},
    workspace::DesiredStatus,
};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
    wait,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn share(name: &str, workspace: &str, rest: &Value) -> anyhow::Result<WorkspaceShare> {
    let mut spec = json!({"workspaceRef": workspace, "subjects": [{"kind": "User", "name": "dave"}]});
    for (key, value) in rest.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    Ok(serde_json::from_value(
        json!({"metadata": {"name": name}, "spec": spec}),
    )?)
}

async fn of(scratch: &Scratch, user: &str) -> anyhow::Result<Api<WorkspaceShare>> {
    let client = cluster::acting_as(user, &[]).await?;
    Ok(Api::namespaced(client, &scratch.namespace))
}

fn refusal(result: kube::Result<WorkspaceShare>, part: &str) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.message.contains(part) => Ok(()),
        other => anyhow::bail!("expected a refusal with {part:?}, got {other:?}"),
    }
}

async fn lab(scratch: &Scratch) -> anyhow::Result<Workspace> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut new = workspace::of_image("lab", "uv");
    new.spec.desired_status = DesiredStatus::Stopped;
    Ok(alice.create(&PostParams::default(), &new).await?)
}

#[tokio::test]
async fn owners_and_users_with_the_share_verb_share_one_workspace_with_users() -> anyhow::Result<()> {
    let scratch = Scratch::new("share", &["alice", "bob", "carol"]).await?;
    let verb = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "resourceNames": ["lab"], "verbs": [SHARE_VERB],
    }]);
    scratch.grant("share", "carol", &verb).await?;
    let lab = lab(&scratch).await?;
    let (alice, bob, carol) = (
        of(&scratch, "alice").await?,
        of(&scratch, "bob").await?,
        of(&scratch, "carol").await?,
    );
    let made = alice
        .create(&PostParams::default(), &share("by-alice", "lab", &json!({}))?)
        .await?;
    assert_eq!(made.spec.workspace_uid, lab.metadata.uid);
    assert_eq!(made.annotations()[CREATED_BY], "alice");
    let created = bob
        .create(&PostParams::default(), &share("by-bob", "lab", &json!({}))?)
        .await;
    refusal(created, "is shared only by its owner")?;
    let made = carol
        .create(&PostParams::default(), &share("by-carol", "lab", &json!({}))?)
        .await?;
    assert_eq!(made.annotations()[SHARED_FOR], "alice");

    let longer = Patch::Merge(json!({"spec": {"reason": "review"}}));
    refusal(
        bob.patch("by-alice", &PatchParams::default(), &longer).await,
        "is shared only by its owner",
    )?;
    assert!(bob.delete("by-alice", &DeleteParams::default()).await.is_err());
    alice.patch("by-carol", &PatchParams::default(), &longer).await?;
    alice.delete("by-carol", &DeleteParams::default()).await?;
    a_share_is_bound_to_one_workspace_and_to_users(&scratch).await?;
    scratch.finish().await
}

async fn a_share_is_bound_to_one_workspace_and_to_users(scratch: &Scratch) -> anyhow::Result<()> {
    let alice = of(scratch, "alice").await?;
    let create = async |rest: Value| -> anyhow::Result<kube::Result<WorkspaceShare>> {
        Ok(alice
            .create(&PostParams::default(), &share("s", "lab", &rest)?)
            .await)
    };
    refusal(
        create(json!({"workspaceUID": "another"})).await?,
        "is not the UID of that workspace",
    )?;
    let group = |name: &str| json!({"subjects": [{"kind": "Group", "name": name}]});
    refusal(
        create(group("system:authenticated")).await?,
        "group of the system",
    )?;
    refusal(
        create(json!({"expiresAt": "2020-01-01T00:00:00Z"})).await?,
        "spec.expiresAt",
    )?;
    refusal(create(json!({"subjects": []})).await?, "spec.subjects")?;
    create(group("system:serviceaccounts:ci")).await??;
    for spec in [
        json!({"workspaceRef": "other"}),
        json!({"workspaceUID": "another"}),
    ] {
        let moved = alice
            .patch("s", &PatchParams::default(), &Patch::Merge(json!({"spec": spec})))
            .await;
        refusal(moved, "is immutable")?;
    }
    // Replaced by a manifest without it, the share stays bound.
    let mut bare = json!(share("s", "lab", &group("system:serviceaccounts:ci"))?);
    bare["metadata"]["namespace"] = json!(scratch.namespace);
    // The operator may write between kubectl's reading and writing.
    wait::until("the share to be replaced", wait::USUAL, || async {
        match command::kubectl_as("alice", &["replace", "-f", "-"], &bare).await {
            Ok(outcome) if outcome.code == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert!(alice.get("s").await?.spec.workspace_uid.is_some());
    Ok(())
}

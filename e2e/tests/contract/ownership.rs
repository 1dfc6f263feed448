//! Owners of workspaces: who may set them, and who may change and delete a workspace.

use api::{
    Workspace,
    names::{ADMINISTER_VERB, ASSIGN_OWNER_VERB, ASSIGNED_BY, CREATED_BY},
    workspace::{DesiredStatus, OwnershipType, Phase},
};
use e2e::{
    cluster::{self, Scratch},
    command::{self, Outcome},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{core::v1::Event, rbac::v1::RoleBinding};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A workspace that runs nothing.
fn stopped(name: &str) -> Workspace {
    let mut new = workspace::of_image(name, "uv");
    new.spec.desired_status = DesiredStatus::Stopped;
    new
}

fn named(name: &str, owner: &str) -> Workspace {
    let mut new = stopped(name);
    new.annotations_mut()
        .insert(CREATED_BY.to_owned(), owner.to_owned());
    new
}

fn owner(workspace: &Workspace) -> &str {
    workspace.annotations().get(CREATED_BY).map_or("", String::as_str)
}

async fn of(scratch: &Scratch, user: &str) -> anyhow::Result<Api<Workspace>> {
    let client = cluster::acting_as(user, &[]).await?;
    Ok(Api::namespaced(client, &scratch.namespace))
}

/// Permissions of users of workspaces, with further verbs.
fn rights(verbs: &[&str]) -> Value {
    let usual = ["get", "list", "create", "update", "patch", "delete"];
    let rule = |verbs: &[&str]| json!({"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": verbs});
    match verbs {
        [] => json!([rule(&usual)]),
        more => json!([rule(&usual), rule(more)]),
    }
}

/// Checks for a refusal with this code and message.
fn refused<T: std::fmt::Debug>(result: kube::Result<T>, part: &str) -> anyhow::Result<()> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(part) => Ok(()),
        other => anyhow::bail!("expected a refusal with {part:?}, got {other:?}"),
    }
}

fn refused_by_kubectl(outcome: &Outcome, part: &str) -> anyhow::Result<()> {
    anyhow::ensure!(outcome.code != 0 && outcome.stderr.contains(part), "{outcome:?}");
    Ok(())
}

/// `user` sets another owner of `lab` by each kind of write to the stored object, and is refused.
async fn forges(scratch: &Scratch, user: &str, owner: &str) -> anyhow::Result<()> {
    let theirs = of(scratch, user).await?;
    let claim = json!({"metadata": {"annotations": {CREATED_BY: owner}}});
    let merge = theirs
        .patch("lab", &PatchParams::default(), &Patch::Merge(&claim))
        .await;
    refused(merge, "is another owner")?;
    let mut changed = theirs.get("lab").await?;
    changed
        .annotations_mut()
        .insert(CREATED_BY.to_owned(), owner.to_owned());
    // The current object: the operator may write between the read and the replacement.
    changed.metadata.resource_version = None;
    let mut applied = json!(named("lab", owner));
    applied["metadata"]["namespace"] = json!(scratch.namespace);
    for (flags, manifest) in [
        (&["replace", "-f", "-"][..], json!(changed)),
        (&["apply", "-f", "-"], applied.clone()),
        (
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            applied,
        ),
    ] {
        let outcome = command::kubectl_as(user, flags, &manifest).await?;
        refused_by_kubectl(&outcome, "is another owner")?;
    }
    Ok(())
}

#[tokio::test]
async fn owners_are_assigned_by_permission_alone_by_any_kind_of_write_and_decide_who_edits_and_deletes()
-> anyhow::Result<()> {
    let scratch = Scratch::new("owners", &["alice", "bob"]).await?;
    Box::pin(no_kind_of_write_can_forge_or_remove_an_owner(&scratch)).await?;
    Box::pin(the_assign_permission_allows_only_to_change_the_owner(&scratch)).await?;
    Box::pin(manifests_kept_in_git_are_applied_again_with_and_without_their_owner(&scratch)).await?;
    Box::pin(owner_only_workspaces_are_edited_by_owners_and_public_ones_by_all_users(&scratch)).await?;
    scratch.finish().await
}

async fn no_kind_of_write_can_forge_or_remove_an_owner(scratch: &Scratch) -> anyhow::Result<()> {
    let account = format!("system:serviceaccount:{}:other", scratch.namespace);
    scratch.grant("account", &account, &rights(&[])).await?;
    let alice = of(scratch, "alice").await?;
    let made = alice.create(&PostParams::default(), &stopped("lab")).await?;
    assert_eq!(owner(&made), "alice");
    for user in ["bob", &account] {
        let theirs = of(scratch, user).await?;
        let create = theirs
            .create(&PostParams::default(), &named("fake", "alice"))
            .await;
        refused(create, "is another owner")?;
    }

    // Each for themselves, and alice for bob.
    for (user, owner) in [("bob", "bob"), (&account, &account), ("alice", "bob")] {
        forges(scratch, user, owner).await?;
    }
    let claim = json!({"metadata": {"annotations": {CREATED_BY: "bob"}}});
    let status = alice
        .patch_status(
            "lab",
            &PatchParams::default(),
            &Patch::Merge(json!({"status": {"owner": "bob"}})),
        )
        .await;
    refused(status, "cannot patch resource")?;
    // A user who may write the status changes nothing else.
    let admin: Api<Workspace> = scratch.api();
    admin
        .patch_status("lab", &PatchParams::default(), &Patch::Merge(&claim))
        .await?;
    assert_eq!(owner(&alice.get("lab").await?), "alice");
    an_owner_that_is_left_out_or_removed_is_put_back(scratch).await?;
    workspace::delete(&alice, "lab").await
}

async fn an_owner_that_is_left_out_or_removed_is_put_back(scratch: &Scratch) -> anyhow::Result<()> {
    let alice = of(scratch, "alice").await?;
    let removal = json!({"metadata": {"annotations": {CREATED_BY: null}, "finalizers": null}});
    let after = alice
        .patch("lab", &PatchParams::default(), &Patch::Merge(&removal))
        .await?;
    assert_eq!(owner(&after), "alice");
    assert_eq!(after.finalizers(), [api::names::CLEANUP_FINALIZER]);
    let mut bare = json!(stopped("lab"));
    bare["metadata"]["namespace"] = json!(scratch.namespace);
    let outcome = command::kubectl_as("alice", &["replace", "-f", "-"], &bare).await?;
    anyhow::ensure!(outcome.code == 0, "{outcome:?}");
    let after = alice.get("lab").await?;
    assert_eq!(owner(&after), "alice");
    assert_eq!(after.finalizers(), [api::names::CLEANUP_FINALIZER]);
    Ok(())
}

async fn the_assign_permission_allows_only_to_change_the_owner(scratch: &Scratch) -> anyhow::Result<()> {
    scratch.grant("hub", "hub", &rights(&[ASSIGN_OWNER_VERB])).await?;
    let both = rights(&[ASSIGN_OWNER_VERB, ADMINISTER_VERB]);
    scratch.grant("chief", "chief", &both).await?;
    let (alice, bob, hub, chief) = (
        of(scratch, "alice").await?,
        of(scratch, "bob").await?,
        of(scratch, "hub").await?,
        of(scratch, "chief").await?,
    );
    let made = hub.create(&PostParams::default(), &named("lab", "alice")).await?;
    assert_eq!(owner(&made), "alice");
    assert_eq!(made.annotations()[ASSIGNED_BY], "hub");
    let seen = workspace::reached(&alice, "lab", Phase::Stopped).await?;
    assert_eq!(
        seen.status.and_then(|status| status.owner).as_deref(),
        Some("alice")
    );
    let rename = json!({"spec": {"displayName": "Mine"}});
    let merge = |patch: &Value| Patch::Merge(patch.clone());
    refused(
        hub.patch("lab", &PatchParams::default(), &merge(&rename)).await,
        "only by its owner",
    )?;
    refused(
        hub.delete("lab", &DeleteParams::default()).await,
        "only by its owner",
    )?;

    let over = json!({"metadata": {"annotations": {CREATED_BY: "bob"}}});
    refused(
        alice.patch("lab", &PatchParams::default(), &merge(&over)).await,
        CREATED_BY,
    )?;
    for to in ["bob", "hub"] {
        let over = json!({"metadata": {"annotations": {CREATED_BY: to}}});
        refused(
            hub.patch("lab", &PatchParams::default(), &merge(&over)).await,
            CREATED_BY,
        )?;
    }
    let assigned = chief.patch("lab", &PatchParams::default(), &merge(&over)).await?;
    assert_eq!(assigned.annotations()[ASSIGNED_BY], "chief");
    refused(
        alice.patch("lab", &PatchParams::default(), &merge(&rename)).await,
        "only by its owner",
    )?;
    bob.patch("lab", &PatchParams::default(), &merge(&rename)).await?;
    wait::until("the hand-over to show", wait::USUAL, || async {
        let status = alice.get("lab").await.map_err(|error| error.to_string())?.status;
        let owner = status.and_then(|status| status.owner);
        let events = scratch.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?.items;
        let reported: Vec<_> = events.into_iter().filter_map(|event| event.reason).collect();
        if owner.as_deref() == Some("bob")
            && reported
                .iter()
                .any(|it| it == api::condition::reason::HANDED_OVER)
        {
            return Ok(());
        }
        Err(format!("{owner:?} {reported:?}"))
    })
    .await?;
    Ok(())
}

async fn manifests_kept_in_git_are_applied_again_with_and_without_their_owner(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let verbs = [ASSIGN_OWNER_VERB, ADMINISTER_VERB];
    scratch.grant("argo", "argo", &rights(&verbs)).await?;
    let alice = of(scratch, "alice").await?;
    for (name, manifest) in [("named", named("named", "alice")), ("bare", stopped("bare"))] {
        let mut manifest = json!(manifest);
        manifest["metadata"]["namespace"] = json!(scratch.namespace);
        let owner_is = if name == "named" { "alice" } else { "argo" };
        for title in ["One", "Two"] {
            manifest["spec"]["displayName"] = json!(title);
            for flags in [
                &["apply", "-f", "-"][..],
                &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            ] {
                let outcome = command::kubectl_as("argo", flags, &manifest).await?;
                anyhow::ensure!(outcome.code == 0, "{outcome:?}");
                assert_eq!(owner(&alice.get(name).await?), owner_is);
            }
        }
    }
    Ok(())
}

async fn owner_only_workspaces_are_edited_by_owners_and_public_ones_by_all_users(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    scratch
        .grant("boss", "carol", &rights(&[ADMINISTER_VERB]))
        .await?;
    let (alice, bob, carol) = (
        of(scratch, "alice").await?,
        of(scratch, "bob").await?,
        of(scratch, "carol").await?,
    );
    for (name, ownership) in [("mine", None), ("ours", Some(OwnershipType::Public))] {
        let mut new = stopped(name);
        new.spec.ownership_type = ownership;
        alice.create(&PostParams::default(), &new).await?;
    }
    let rename = Patch::Merge(json!({"spec": {"displayName": "Other"}}));
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    for patch in [&rename, &label] {
        let refusal = bob.patch("mine", &PatchParams::default(), patch).await;
        refused(refusal, "only by its owner")?;
        bob.patch("ours", &PatchParams::default(), patch).await?;
        carol.patch("mine", &PatchParams::default(), patch).await?;
    }
    refused(
        bob.delete("mine", &DeleteParams::default()).await,
        "only by its owner",
    )?;
    let all = bob
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await;
    anyhow::ensure!(all.is_err(), "{all:?}");
    assert!(
        bob.get_opt("mine")
            .await?
            .is_some_and(|it| it.metadata.deletion_timestamp.is_none())
    );
    // The role of the chart for administrators of a namespace.
    let admin_role = format!("{}-workspace-admin", e2e::Environment::get()?.release);
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "dave"},
        "roleRef": {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": admin_role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "dave"}],
    }))?;
    scratch
        .api::<RoleBinding>()
        .create(&PostParams::default(), &binding)
        .await?;
    let dave = of(scratch, "dave").await?;
    wait::until("dave to administer", wait::USUAL, || async {
        let deleted = dave.delete("mine", &DeleteParams::default()).await;
        deleted.map(drop).map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

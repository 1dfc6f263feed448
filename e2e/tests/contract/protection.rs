//! Templates, managers and execution profiles stay while workspaces use them.

use api::{Workspace, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::{
        catalog_object::{self, CatalogObject, Kind},
        workspace,
    },
    wait,
};
use futures::future::try_join_all;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};

async fn create(workspaces: &Api<Workspace>, new: &Workspace) -> anyhow::Result<()> {
    workspaces.create(&PostParams::default(), new).await?;
    workspace::reached(workspaces, &new.name_any(), Phase::Stopped).await?;
    Ok(())
}

/// Types, reasons and notes of the Events about the object, once there is one: they follow the status.
async fn events(scratch: &Scratch, object: &CatalogObject) -> anyhow::Result<Vec<[String; 3]>> {
    // Events about cluster-scoped objects are in that namespace.
    let namespace = if object.kind.is_cluster_scoped() {
        "default"
    } else {
        &scratch.namespace
    };
    let events = Api::<Event>::namespaced(cluster::admin().await?, namespace);
    let about = |event: &Event| {
        let regarding = event.regarding.as_ref()?;
        (regarding.name.as_ref() == Some(&object.name))
            .then(|| [&event.type_, &event.reason, &event.note].map(|text| text.clone().unwrap_or_default()))
    };
    wait::until(
        &format!("an Event about {}", object.name),
        wait::USUAL,
        || async {
            let all = events.list(&ListParams::default()).await;
            let all = all.map_err(|error| error.to_string())?;
            let found: Vec<_> = all.iter().filter_map(about).collect();
            if found.is_empty() {
                Err("none".to_owned())
            } else {
                Ok(found)
            }
        },
    )
    .await
}

/// Waits until one Warning starts with this text and says that the object is in use; its remedy finds so many workspaces.
async fn check_event(
    scratch: &Scratch,
    object: &CatalogObject,
    expected: &str,
    users: usize,
) -> anyhow::Result<()> {
    let found = events(scratch, object).await?;
    let [[type_, reason, note]] = found.as_slice() else {
        anyhow::bail!("{found:?}");
    };
    anyhow::ensure!(
        type_ == "Warning" && reason == object.kind.in_use() && note.starts_with(expected),
        "{found:?}"
    );
    let (_, way) = note.split_once("kubectl ").unwrap_or_default();
    let way: Vec<_> = way.split(' ').chain(["-o", "name"]).collect();
    let found = command::administer(&way).await?;
    anyhow::ensure!(found.stdout.lines().count() == users, "{found:?}");
    Ok(())
}

/// Two users, in two namespaces if the kind is cluster-scoped; a deletion while they exist; the end of each; and another object of the
/// name, with its own user.
async fn stays_until_its_last_user_is_deleted(
    kind: Kind,
    scratch: &Scratch,
    elsewhere: &Scratch,
) -> anyhow::Result<()> {
    let field = kind.field().to_lowercase();
    let object = CatalogObject::of(kind, scratch, &format!("{}-{field}", scratch.namespace)).await?;
    let named = |user: &str| format!("{field}-{user}");
    let [one, two, three] = ["one", "two", "three"].map(named);
    let here = scratch.api::<Workspace>();
    let there = if kind.is_cluster_scoped() {
        elsewhere.api()
    } else {
        here.clone()
    };
    let first = object.make().await?;
    create(&here, &object.user(&one)?).await?;
    create(&there, &object.user(&two)?).await?;
    assert!(catalog_object::has_in_use_finalizer(&object.counts(2).await?));

    object.delete().await?;
    object.stays("2 workspaces use").await?;
    check_event(scratch, &object, "2 workspaces use", 2).await?;
    let late = here
        .create(&PostParams::default(), &object.user(&named("late"))?)
        .await;
    assert!(
        late.as_ref()
            .is_err_and(|error| error.to_string().contains("being deleted")),
        "{late:?}"
    );
    workspace::delete(&here, &one).await?;
    object.stays("1 workspace uses").await?;
    workspace::delete(&there, &two).await?;
    object.gone().await?;

    // Another object of the same name is independent.
    let again = object.make().await?;
    assert_ne!(again.uid(), first.uid());
    create(&here, &object.user(&three)?).await?;
    assert!(catalog_object::has_in_use_finalizer(&object.counts(1).await?));
    workspace::delete(&here, &three).await?;
    // After the release, nothing waits for the operator.
    object
        .says("no finalizer", |object| object.finalizers().is_empty())
        .await?;
    object.delete().await?;
    assert!(object.api.get_opt(&object.name).await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_deleted_template_manager_or_profile_in_use_stays_until_its_last_workspace_is_deleted()
-> anyhow::Result<()> {
    let scratch = Scratch::new("inuse", &["alice"]).await?;
    let elsewhere = Scratch::new("inuse-too", &["alice"]).await?;
    let of_kind = |kind| Box::pin(stays_until_its_last_user_is_deleted(kind, &scratch, &elsewhere));
    try_join_all(Kind::ALL.map(of_kind)).await?;
    elsewhere.finish().await?;
    scratch.finish().await
}

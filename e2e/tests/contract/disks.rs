//! Sizes of disks whose class cannot expand them.

use api::{
    Workspace,
    condition::{self, DEGRADED, reason},
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

const IS_DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// A class like the cluster's default one that cannot expand its disks, called as the namespace.
async fn fixed_class(scratch: &Scratch) -> anyhow::Result<Api<StorageClass>> {
    let classes = Api::<StorageClass>::all(cluster::admin().await?);
    let all = classes.list(&ListParams::default()).await?;
    let is_default =
        |class: &&StorageClass| class.annotations().get(IS_DEFAULT).is_some_and(|is| is == "true");
    let usual = all.iter().find(is_default);
    let mut class = usual
        .cloned()
        .ok_or_else(|| anyhow::anyhow!("the cluster has no default StorageClass"))?;
    class.metadata =
        serde_json::from_value(json!({"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}}))?;
    class.allow_volume_expansion = Some(false);
    classes.create(&PostParams::default(), &class).await?;
    Ok(classes)
}

fn of_size(scratch: &Scratch, size: &str) -> anyhow::Result<Workspace> {
    let mut workspace = workspace::echo("lab")?;
    let storage = json!({"size": size, "storageClassName": scratch.namespace, "retain": "Retain"});
    workspace.spec.storage = serde_json::from_value(storage)?;
    Ok(workspace)
}

/// Waits until the workspace is Degraded for its disk, or is not.
async fn degraded(workspaces: &Api<Workspace>, wanted: bool) -> anyhow::Result<Workspace> {
    wait::until(
        &format!("Degraded for its disk: {wanted}"),
        wait::USUAL,
        || async {
            let now = workspaces.get("lab").await.map_err(|error| error.to_string())?;
            let conditions = now.status.clone().unwrap_or_default().conditions;
            let degraded = condition::find(&conditions, DEGRADED);
            let is =
                degraded.is_some_and(|it| it.status == "True" && it.reason == reason::VOLUME_RESIZE_FAILED);
            let known = now
                .status
                .as_ref()
                .is_some_and(|status| status.observed_generation == now.metadata.generation);
            if known && is == wanted {
                Ok(now)
            } else {
                Err(format!("{conditions:?}"))
            }
        },
    )
    .await
}

async fn sized(workspaces: &Api<Workspace>, size: Value) -> Option<String> {
    let written = workspace::set(workspaces, "lab", json!({"storage": {"size": size}})).await;
    written.err().map(|error| format!("{error:#}"))
}

#[tokio::test]
async fn a_size_that_the_class_cannot_give_is_refused_and_goes_back_to_what_the_disk_has()
-> anyhow::Result<()> {
    let scratch = Scratch::new("sizes", &["alice"]).await?;
    let classes = fixed_class(&scratch).await?;
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspaces
        .create(&PostParams::default(), &of_size(&scratch, "1Gi")?)
        .await?;
    workspace::reached(&workspaces, "lab", Phase::Running).await?;
    let refused = sized(&workspaces, json!("2Gi")).await.unwrap_or_default();
    let reported = format!(
        "spec.storage.size: \"2Gi\" is more than the disk has, 1Gi, and its StorageClass {:?} cannot expand disks",
        scratch.namespace
    );
    assert!(
        refused.contains(&reported) && refused.contains("keep 1Gi"),
        "{refused}"
    );

    // A retained disk of 1Gi for a workspace that requests 2Gi: admission cannot detect that.
    workspace::delete(&workspaces, "lab").await?;
    workspaces
        .create(&PostParams::default(), &of_size(&scratch, "2Gi")?)
        .await?;
    let stuck = degraded(&workspaces, true).await?;
    let disk = stuck.status.and_then(|status| status.disk);
    assert_eq!(
        disk.and_then(|disk| disk.size).map(|size| size.0).as_deref(),
        Some("1Gi")
    );
    for (size, becomes) in [(json!("512Mi"), "512Mi"), (Value::Null, "unset")] {
        let refused = sized(&workspaces, size).await.unwrap_or_default();
        let expected =
            format!("size can only grow, from 2Gi it cannot become {becomes}: a disk does not shrink");
        assert!(refused.contains(&expected), "{refused}");
    }
    assert_eq!(sized(&workspaces, json!("1Gi")).await, None);
    degraded(&workspaces, false).await?;
    let class = scratch.namespace.clone();
    scratch.finish().await?;
    classes.delete(&class, &DeleteParams::default()).await?;
    Ok(())
}

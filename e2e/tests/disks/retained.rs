//! Which user gets the disk of a deleted workspace.

use api::{condition::reason, names};
use e2e::{
    cluster::{self, Scratch},
    command,
    objects::workspace,
    wait,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams, PropagationPolicy},
};
use serde_json::json;

use super::{degraded, events_of, pod_of, pods_of, shell, uid_of_claim, with_storage};

const DISK: &str = "workspace-lab";

#[tokio::test]
async fn a_retained_or_orphaned_disk_is_used_again_only_by_its_owner_and_a_plain_deletion_removes_it()
-> anyhow::Result<()> {
    let scratch = Scratch::new("retained", &["alice", "bob"]).await?;
    let of = async |user: &str| -> anyhow::Result<Api<api::Workspace>> {
        Ok(Api::namespaced(cluster::user(user).await?, &scratch.namespace))
    };
    let (alice, bob) = (of("alice").await?, of("bob").await?);
    let keeping = with_storage("lab", &json!({"size": "100Mi", "retain": "Retain"}))?;
    let first = alice.create(&PostParams::default(), &keeping).await?;
    let pod = pod_of(&alice, "lab").await?;
    shell(&scratch, &pod, "echo hers > /home/jovyan/notes").await?;
    let disk = uid_of_claim(&scratch, DISK).await?;
    assert!(disk.is_some());

    // Foreground: the garbage collector goes for the children before the finalizer is asked.
    let foreground = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        ..DeleteParams::default()
    };
    alice.delete("lab", &foreground).await?;
    wait::until("lab to be gone", wait::USUAL, || async {
        let found = alice.get_opt("lab").await.map_err(|error| error.to_string())?;
        found.map_or(Ok(()), |left| Err(format!("{:?}", left.status)))
    })
    .await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    let retained = claims.get(DISK).await?;
    assert_eq!(retained.uid(), disk);
    assert_eq!(retained.owner_references(), []);
    assert_eq!(names::owner(&retained.metadata), Some("alice"));
    for (key, value) in names::NOT_PRUNED {
        assert_eq!(retained.annotations().get(key).map(String::as_str), Some(value));
    }
    assert!(!retained.labels().contains_key(names::APP_INSTANCE_LABEL));
    // An Event may come after the status that it describes.
    let first = first.uid().unwrap_or_default();
    wait::until("an Event about the retained disk", wait::USUAL, || async {
        let events = events_of(&scratch, &first)
            .await
            .map_err(|error| format!("{error:#}"))?;
        let retained = events.iter().find(|(why, _)| why == reason::DISK_KEPT);
        let is_reported = retained.is_some_and(|(_, note)| note.contains(DISK));
        is_reported.then_some(()).ok_or_else(|| format!("{events:?}"))
    })
    .await?;

    // Bob uses the name, and gets neither her files nor a disk.
    bob.create(&PostParams::default(), &keeping).await?;
    let message = degraded(&bob, "lab", reason::RETAINED_VOLUME_OF_ANOTHER_OWNER).await?;
    assert!(!message.contains("alice"), "{message}");
    assert_eq!(pods_of(&scratch, "lab").await?, Vec::<String>::new());
    assert_eq!(uid_of_claim(&scratch, DISK).await?, disk);
    workspace::delete(&bob, "lab").await?;
    assert_eq!(uid_of_claim(&scratch, DISK).await?, disk, "his leaves hers alone");

    // She gets her files back, and this time does not ask to retain the disk.
    let passing = with_storage("lab", &json!({"size": "100Mi"}))?;
    alice.create(&PostParams::default(), &passing).await?;
    let pod = pod_of(&alice, "lab").await?;
    assert_eq!(shell(&scratch, &pod, "cat /home/jovyan/notes").await?, "hers");
    assert_eq!(uid_of_claim(&scratch, DISK).await?, disk);

    // A deletion that orphans retains it all the same, and a plain one does not.
    delete(&scratch, "--cascade=orphan").await?;
    let orphaned = claims.get(DISK).await?;
    assert_eq!(orphaned.uid(), disk);
    assert_eq!(orphaned.metadata.deletion_timestamp, None);
    assert_eq!(orphaned.owner_references(), []);
    assert_eq!(names::owner(&orphaned.metadata), Some("alice"));
    assert_eq!(pods_of(&scratch, "lab").await?, Vec::<String>::new());
    alice.create(&PostParams::default(), &passing).await?;
    let pod = pod_of(&alice, "lab").await?;
    assert_eq!(shell(&scratch, &pod, "cat /home/jovyan/notes").await?, "hers");
    assert_eq!(uid_of_claim(&scratch, DISK).await?, disk);

    delete(&scratch, "--cascade=background").await?;
    wait::until("the disk to be gone", wait::USUAL, || async {
        let left = uid_of_claim(&scratch, DISK)
            .await
            .map_err(|error| format!("{error:#}"))?;
        left.map_or(Ok(()), Err)
    })
    .await?;
    scratch.finish().await
}

/// alice deletes her workspace, and waits until it is gone.
async fn delete(scratch: &Scratch, cascade: &str) -> anyhow::Result<()> {
    let arguments = ["delete", "workspace", "lab", cascade, "-n", &scratch.namespace];
    let outcome = command::kubectl("alice", &arguments).await?;
    anyhow::ensure!(outcome.code == 0, "{outcome:?}");
    Ok(())
}

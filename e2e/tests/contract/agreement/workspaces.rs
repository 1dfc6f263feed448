//! Workspaces, at their creation.

use api::Workspace;

use super::{
    idle::{idle_shutdown, limits},
    *,
};

pub(super) async fn agree(scratch: &Scratch) -> anyhow::Result<()> {
    agree_on_fields(scratch).await?;
    agree_on_idle_and_start_limits(scratch).await
}

async fn agree_on_fields(scratch: &Scratch) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let resource = ApiResource::erase::<Workspace>(&());
    let api = Api::namespaced_with(unasked().await?, &scratch.namespace, &resource);
    let mut chance = Chance::new(0x5eed_0002);
    let names = ["lab", "Lab", "1lab", "lab-", "a"].map(Value::from);
    let all = cases(50)?;
    let mut objects = Vec::new();
    for _ in 0..all {
        let mut spec = chance.object(&[
            ("port", vec![json!(1023), json!(1024), json!(65535), json!(65536)]),
            ("shmSize", vec![json!("64Mi"), json!("-1"), json!("64 MB")]),
            ("image", vec![json!("a:1")]),
            ("podAnnotations", vec![json!({}), json!({"a.org/b": "c"})]),
        ]);
        spec["displayName"] = json!("Agreement");
        if chance.below(2) == 0 {
            spec["storage"] = chance.object(&[
                ("storageClassName", vec![json!("fast")]),
                (
                    "size",
                    vec![
                        json!("1Gi"),
                        json!("2e9"),
                        json!("2E9"),
                        json!("2000000000000m"),
                        json!("-1Gi"),
                        json!("1 GB"),
                    ],
                ),
                (
                    "mountPath",
                    vec![
                        json!("/home/a"),
                        json!("/a..b"),
                        json!("/a/../b"),
                        json!("a"),
                        json!("/a:b"),
                    ],
                ),
                ("claimName", vec![json!("mine")]),
                (
                    "subPath",
                    vec![
                        json!("a/b"),
                        json!("a..b"),
                        json!("../a"),
                        json!("a/.."),
                        json!("/a"),
                        json!("a:b"),
                    ],
                ),
                ("retain", vec![json!("Retain"), json!("Delete")]),
            ]);
        }
        if chance.below(2) == 0 {
            let names = [
                "data",
                "shm",
                "tmp",
                "workspace-storage",
                "jupyter-k8s-x",
                "Data",
                "jupyter",
            ]
            .map(Value::from);
            let paths = ["/data", "/x/../y", "data"].map(Value::from);
            spec["volumes"] = json!([{
                "name": chance.of(&names), "persistentVolumeClaimName": "claim", "mountPath": chance.of(&paths),
            }]);
        }
        let name = if chance.below(3) == 0 {
            chance.of(&names).clone()
        } else {
            json!("lab")
        };
        let object = json!({"metadata": {"name": name, "namespace": scratch.namespace}, "spec": spec});
        objects.push(object);
    }
    let admitted = all_agree::<Workspace>(&api, &client, objects).await?;
    both_came_up(admitted, all)
}

async fn agree_on_idle_and_start_limits(scratch: &Scratch) -> anyhow::Result<()> {
    let client = cluster::admin().await?;
    let resource = ApiResource::erase::<Workspace>(&());
    let api = Api::namespaced_with(unasked().await?, &scratch.namespace, &resource);
    let mut chance = Chance::new(0x5eed_000e);
    let all = cases(50)?;
    let mut objects = Vec::new();
    for _ in 0..all {
        let mut spec = json!({"displayName": "Agreement", "idleShutdown": idle_shutdown(&mut chance)});
        if chance.below(2) == 0 {
            spec["limits"] = limits(&mut chance);
        }
        let object = json!({"metadata": {"name": "lab", "namespace": scratch.namespace}, "spec": spec});
        objects.push(object);
    }
    let admitted = all_agree::<Workspace>(&api, &client, objects).await?;
    both_came_up(admitted, all)
}

//! Images that cannot be had.

use api::condition::reason;
use e2e::{
    Environment, row,
    why::{Scene, table},
};
use serde_json::{Value, json};

use crate::evidence::{at, waiting};

/// A pod's status while its container waits.
pub(crate) fn container_waits(reason: &str, message: &str) -> Value {
    json!({
        "phase": "Pending",
        "containerStatuses": [{
            "name": "workspace", "ready": false, "restartCount": 0, "image": "", "imageID": "", "started": false,
            "state": {"waiting": {"reason": reason, "message": message}},
        }],
    })
}

/// A pod's status when all is well.
pub(crate) fn container_runs() -> Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |type_: &str| json!({"type": type_, "status": "True", "lastTransitionTime": now});
    json!({
        "phase": "Running",
        "podIP": "10.255.255.1",
        "podIPs": [{"ip": "10.255.255.1"}],
        "conditions": [
            condition("PodScheduled"), condition("Initialized"), condition("PodReadyToStartContainers"),
            condition("ContainersReady"), condition("Ready"),
        ],
        "containerStatuses": [{
            "name": "workspace", "ready": true, "restartCount": 0, "image": "", "imageID": "", "started": true,
            "state": {"running": {"startedAt": now}},
        }],
    })
}

async fn bad_image(scene: &Scene) -> anyhow::Result<()> {
    scene
        .create(json!({"image": "localhost/no-such-image:1"}))
        .await?;
    let evidence = waiting(&["ErrImageNeverPull", "ErrImagePull"]);
    scene
        .told(
            reason::IMAGE_PULL_FAILED,
            &["localhost/no-such-image:1", "put on the nodes"],
            evidence,
        )
        .await?;
    scene
        .restart_with(json!({"image": Environment::get()?.images.echo}))
        .await?;
    scene.recovered().await
}

/// The kubelet's part is written by the test: no registry here wants credentials.
async fn private_image_without_secret(scene: &Scene) -> anyhow::Result<()> {
    let node = scene.silent_node().await?;
    scene.create(node.selected()).await?;
    let pod = scene.bound_pod().await?;
    let words = "failed to pull and unpack image \"registry.example/team/lab:1\": pull access denied, repository does not \
                 exist or may require authorization: authorization failed: no basic auth credentials";
    let evidence = scene
        .write_pod(&pod, container_waits("ErrImagePull", words))
        .await?;
    scene
        .told(
            reason::IMAGE_PULL_FAILED,
            &["access denied", "imagePullSecrets"],
            at(evidence),
        )
        .await?;
    // The kubelet takes turns in its words; that is no news.
    scene
        .write_pod(
            &pod,
            container_waits("ImagePullBackOff", "Back-off pulling image"),
        )
        .await?;
    scene
        .write_pod(&pod, container_waits("ErrImagePull", words))
        .await?;
    scene.write_pod(&pod, container_runs()).await?;
    scene.recovered().await
}

async fn init_container_s_image_is_missing(scene: &Scene) -> anyhow::Result<()> {
    let init = |image: &str| {
        json!({"initContainers": [{
            "name": "seed", "image": image, "command": ["python3", "-c", "pass"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        }]})
    };
    scene.create(init("localhost/no-such-seed:1")).await?;
    let evidence = waiting(&["ErrImageNeverPull", "ErrImagePull"]);
    scene
        .told(reason::IMAGE_PULL_FAILED, &["localhost/no-such-seed:1"], evidence)
        .await?;
    scene.restart_with(init(&Environment::get()?.images.echo)).await?;
    scene.recovered().await
}

#[tokio::test]
async fn images_that_cannot_be_had_are_named() -> anyhow::Result<()> {
    let rows = [
        row!(bad_image),
        row!(private_image_without_secret),
        row!(init_container_s_image_is_missing),
    ];
    table("images", rows).await
}

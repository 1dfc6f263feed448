//! A further disk that a sidecar serves: its files outlive a stop.

use api::Workspace;
use e2e::{
    Environment, cluster,
    cluster::Scratch,
    objects::{template, workspace},
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

/// Notes its start on its disk, and serves the disk inside the pod.
const SERVE: &str =
    "echo started >> /files/starts && exec python3 -m http.server 9000 --bind 127.0.0.1 --directory /files";
/// Asks the sidecar.
const READ: &str = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9000/starts', timeout=20).read().decode())";

#[tokio::test]
async fn jupyterlab_reads_what_a_sidecar_keeps_on_a_disk_of_its_own_after_a_stop_and_start()
-> anyhow::Result<()> {
    let scratch = Scratch::new("further-disk", &["alice"]).await?;
    let images = &Environment::get()?.images;
    let amounts = json!({"cpu": "50m", "memory": "64Mi"});
    let probe = json!({"exec": {"command": ["python3", "-c", READ]}, "timeoutSeconds": 5});
    let values = json!({
        "defaultImage": images.jupyter,
        "volumeClaims": [{"name": "db", "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}},
        }}],
        "podTemplate": {"spec": {
            "containers": [{
                "name": "database", "image": images.echo, "command": ["sh", "-c", SERVE],
                "resources": {"requests": amounts, "limits": amounts}, "readinessProbe": probe,
                "volumeMounts": [{"name": "files", "mountPath": "/files"}],
            }],
            "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": "{pvcs.db}"}}],
        }},
    });
    template::make(&scratch, &values).await?;
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let lab = template::workspace(&scratch, "lab", &json!({}))?;
    workspaces.create(&PostParams::default(), &lab).await?;
    let pods: Api<Pod> = scratch.api();
    for starts in 1..=2 {
        let pod = super::pod_of(&workspaces, "lab").await?;
        let read = cluster::exec_in(&pods, &pod, "workspace", &["python3", "-c", READ]).await?;
        assert_eq!(read.matches("started").count(), starts, "{read}");
        let running = workspaces.get("lab").await?;
        let claims = running.status.map(|status| status.claims).unwrap_or_default();
        assert_eq!(claims.len(), 1, "{claims:?}");
        assert_eq!(
            (claims[0].claim.as_str(), claims[0].phase.as_deref()),
            ("wsc-db-lab", Some("Bound"))
        );
        workspace::stop(&workspaces, "lab").await?;
        if starts == 1 {
            workspace::start(&workspaces, "lab").await?;
        }
    }
    workspaces.delete("lab", &DeleteParams::default()).await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    e2e::wait::until("the disk to be gone", e2e::wait::USUAL, || async {
        let left = claims
            .get_opt("wsc-db-lab")
            .await
            .map_err(|error| error.to_string())?;
        left.map_or(Ok(()), |left| Err(format!("{:?}", left.metadata)))
    })
    .await?;
    template::finish(scratch).await
}

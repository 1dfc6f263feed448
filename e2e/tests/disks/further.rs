//! A database beside JupyterLab, on a further disk: its tables outlive a stop.

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

/// `PostgreSQL` with its files in a folder of the disk, for the pod alone.
const SERVE: &str = "bin=$(echo /usr/lib/postgresql/*/bin); test -s /files/data/PG_VERSION \\
|| $bin/initdb --pgdata=/files/data --username=postgres --auth=trust --locale=C.UTF-8 || exit 1
exec $bin/postgres -D /files/data -c listen_addresses=127.0.0.1 -c unix_socket_directories=";
/// Whether it takes connections.
const ANSWERS: &str = "exec /usr/lib/postgresql/*/bin/pg_isready --host 127.0.0.1";
/// Notes the start of the database in a table, and prints their number: the image of JupyterLab holds no client of `PostgreSQL`.
const QUERY: &str = include_str!("query.py");

#[tokio::test]
async fn jupyterlab_asks_a_postgresql_of_its_own_whose_disk_outlives_a_stop() -> anyhow::Result<()> {
    let scratch = Scratch::new("further-disk", &["alice"]).await?;
    let images = &Environment::get()?.images;
    let amounts = json!({"cpu": "100m", "memory": "256Mi"});
    let probe = json!({"exec": {"command": ["sh", "-c", ANSWERS]}, "periodSeconds": 1, "timeoutSeconds": 5});
    let values = json!({
        "defaultImage": images.jupyter,
        "volumeClaims": [{"name": "db", "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}},
        }}],
        "podTemplate": {"spec": {
            "containers": [{
                "name": "database", "image": images.reference("database")?, "command": ["sh", "-c", SERVE],
                // The image names no other user.
                "securityContext": {"runAsUser": 65532},
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
        let counted = cluster::exec_in(&pods, &pod, "workspace", &["python3", "-c", QUERY]).await?;
        assert_eq!(counted.trim(), starts.to_string());
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

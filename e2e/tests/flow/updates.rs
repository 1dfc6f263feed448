//! Changes that reach a running pod, and changes that do not.

use api::{
    Workspace, names,
    workspace::{DesiredStatus, Phase, UpdatePolicy},
};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A workspace of alice's, ready.
struct Fixture {
    scratch: Scratch,
    alice: Api<Workspace>,
}

impl Fixture {
    async fn reached(&self, phase: Phase) -> anyhow::Result<Workspace> {
        workspace::reached(&self.alice, "ws", phase).await
    }

    async fn set(&self, spec: Value) -> anyhow::Result<()> {
        workspace::set(&self.alice, "ws", spec).await.map(drop)
    }

    /// The pods that are there, those on their way out included.
    async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let of_ws = ListParams::default().labels(&format!("{}=ws", names::WORKSPACE_LABEL));
        Ok(self.scratch.api::<Pod>().list(&of_ws).await?.items)
    }

    /// UID of the only pod.
    async fn pod(&self) -> anyhow::Result<String> {
        let pods = self.pods().await?;
        anyhow::ensure!(pods.len() == 1, "{} pods", pods.len());
        Ok(pods[0].uid().unwrap_or_default())
    }

    /// What the application has in its variable `COLOUR`.
    async fn colour(&self) -> anyhow::Result<String> {
        let pods = self.pods().await?;
        let name = pods.first().map(ResourceExt::name_any).unwrap_or_default();
        let out = cluster::exec(&self.scratch.api(), &name, &["sh", "-c", "echo $COLOUR"]).await?;
        Ok(out.trim().to_owned())
    }

    /// Waits until a pod other than `before` is ready, and never sees two.
    async fn replaced(&self, before: &str) -> anyhow::Result<String> {
        wait::until("another pod to be ready", wait::USUAL, || async {
            let pods = self.pods().await.map_err(|error| format!("{error:#}"))?;
            // A pod that has ended is listed until its kubelet deletes it. It has no container left.
            let live = pods.iter().filter(|pod| !cluster::has_ended(pod)).count();
            assert!(live < 2, "two pods at one disk");
            let fresh = pods
                .iter()
                .find(|pod| pod.uid().as_deref() != Some(before) && cluster::is_ready(pod));
            fresh
                .and_then(ResourceExt::uid)
                .ok_or_else(|| format!("{} pods", pods.len()))
        })
        .await
    }
}

fn colour(value: &str) -> Value {
    json!({"env": [{"name": "COLOUR", "value": value}]})
}

async fn pending(fixture: &Fixture, expected: &[&str]) -> anyhow::Result<()> {
    wait::until(&format!("{expected:?} to be pending"), wait::USUAL, || async {
        let ws = fixture.alice.get("ws").await.map_err(|error| error.to_string())?;
        let found = ws.status.unwrap_or_default().pending_update;
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

/// Waits until the Service has this port alone.
async fn has_port(services: &Api<Service>, port: i32) -> anyhow::Result<()> {
    wait::until("the port of the Service", wait::USUAL, || async {
        let service = services
            .get("workspace-ws")
            .await
            .map_err(|error| error.to_string())?;
        let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let ports: Vec<_> = ports.iter().map(|port| port.port).collect();
        if ports == [port] {
            Ok(())
        } else {
            Err(format!("{ports:?}"))
        }
    })
    .await
}

/// A workspace that was stopped while it started has no pod. What was edited meanwhile is used by the first pod, what is edited while that
/// runs by the second after a restart, and what is edited then by the third after a stop and a start.
#[tokio::test]
async fn edits_of_stopped_workspaces_count_and_others_are_pending_until_a_restart_or_a_stop_and_start()
-> anyhow::Result<()> {
    let scratch = Scratch::new("onstop", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut never =
        workspace::naming_service(workspace::of_image("ws", "localhost/there-is-no-such-image:1"));
    never.spec.update_policy = UpdatePolicy::OnStop;
    never.spec.storage = Some(api::workspace::Storage::default());
    alice.create(&PostParams::default(), &never).await?;
    let fixture = Fixture { scratch, alice };
    wait::until("a pod that does not start", wait::USUAL, || async {
        let pods = fixture.pods().await.map_err(|error| format!("{error:#}"))?;
        (pods.len() == 1).then_some(()).ok_or_else(|| "no pod".to_owned())
    })
    .await?;
    workspace::stop(&fixture.alice, "ws").await?;
    assert!(fixture.pods().await?.is_empty());
    let image = workspace::echo("ws")?.spec.image;
    let mut edit = colour("late");
    edit["image"] = json!(image);
    edit["resources"] = json!({"limits": {"cpu": "700m"}});
    edit["desiredStatus"] = json!(DesiredStatus::Running);
    fixture.set(edit).await?;
    let first = fixture.replaced("none").await?;
    assert_eq!(fixture.colour().await?, "late");
    let limits = json!(fixture.pods().await?[0].spec)["containers"][0]["resources"]["limits"].clone();
    assert_eq!(limits, json!({"cpu": "700m", "memory": "512Mi"}));
    fixture.reached(Phase::Running).await?;

    let mut edit = colour("blue");
    edit["shmSize"] = json!("32Mi");
    fixture.set(edit).await?;
    pending(&fixture, &["spec.env", "spec.shmSize"]).await?;
    fixture.set(json!({"displayName": "another name"})).await?;
    let ws = fixture.reached(Phase::Running).await?;
    assert_eq!(
        ws.status.unwrap_or_default().pending_update,
        ["spec.env", "spec.shmSize"]
    );
    assert_eq!(fixture.pod().await?, first, "nothing reached the pod");

    let restart =
        Patch::Merge(json!({"metadata": {"annotations": {names::RESTARTED_AT: "2026-01-01T10:00:00Z"}}}));
    let params = PatchParams::default();
    fixture.alice.patch("ws", &params, &restart).await?;
    let second = fixture.replaced(&first).await?;
    assert_eq!(fixture.colour().await?, "blue");
    pending(&fixture, &[]).await?;
    // The same value again, and an edit after it: the restart has been had.
    fixture.alice.patch("ws", &params, &restart).await?;
    fixture.set(colour("white")).await?;
    pending(&fixture, &["spec.env"]).await?;
    assert_eq!(fixture.pod().await?, second);

    let services = fixture.scratch.api::<Service>();
    has_port(&services, 8888).await?;
    let other = json!({"name": "http", "port": 9001, "protocol": "TCP", "targetPort": "http"});
    let by_hand = Patch::Merge(json!({"spec": {"ports": [other]}}));
    services.patch("workspace-ws", &params, &by_hand).await?;
    has_port(&services, 8888).await?;
    let stopped = workspace::stop(&fixture.alice, "ws").await?;
    assert_eq!(stopped.status.unwrap_or_default().pending_update, [""; 0]);
    let port = json!({
        "port": 9000,
        // Where the application listens.
        "env": [{"name": "PORT", "value": "9000"}, {"name": "COLOUR", "value": "white"}],
        "desiredStatus": DesiredStatus::Running,
    });
    fixture.set(port).await?;
    has_port(&services, 9000).await?;
    fixture.replaced(&second).await?;
    assert_eq!(fixture.colour().await?, "white");
    let ws = fixture.reached(Phase::Running).await?;
    let status = ws.status.unwrap_or_default();
    assert_eq!(status.endpoint.map(|endpoint| endpoint.port), Some(9000));
    assert_eq!(status.pending_update, [""; 0]);
    fixture.scratch.finish().await
}

//! When a change reaches a running pod, and when not.

use api::{
    Workspace, names,
    workspace::{DesiredStatus, Phase, UpdatePolicy},
};
use e2e::{
    cluster::{self, Scratch},
    wait, workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// A workspace of alice's, ready.
struct Scene {
    scratch: Scratch,
    alice: Api<Workspace>,
}

impl Scene {
    async fn new(prefix: &str, policy: UpdatePolicy) -> anyhow::Result<Self> {
        let scratch = Scratch::new(prefix, &["alice"]).await?;
        let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        let mut echo = workspace::echo("ws")?;
        echo.spec.update_policy = policy;
        alice.create(&PostParams::default(), &echo).await?;
        let scene = Self { scratch, alice };
        scene.reached(Phase::Running).await?;
        Ok(scene)
    }

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
            assert!(pods.len() < 2, "two pods at one disk");
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

async fn pending(scene: &Scene, expected: &[&str]) -> anyhow::Result<()> {
    wait::until(&format!("{expected:?} to be pending"), wait::USUAL, || async {
        let ws = scene.alice.get("ws").await.map_err(|error| error.to_string())?;
        let found = ws.status.unwrap_or_default().pending_update;
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
}

#[tokio::test]
async fn an_edit_is_pending_until_stop_and_start() -> anyhow::Result<()> {
    let scene = Scene::new("onstop", UpdatePolicy::OnStop).await?;
    let before = scene.pod().await?;
    let mut edit = colour("blue");
    edit["shmSize"] = json!("32Mi");
    scene.set(edit).await?;
    pending(&scene, &["spec.env", "spec.shmSize"]).await?;
    scene.set(json!({"displayName": "another name"})).await?;
    let ws = scene.reached(Phase::Running).await?;
    assert_eq!(
        ws.status.unwrap_or_default().pending_update,
        ["spec.env", "spec.shmSize"]
    );
    assert_eq!(scene.pod().await?, before, "nothing reached the pod");
    let stopped = workspace::stop(&scene.alice, "ws").await?;
    assert_eq!(stopped.status.unwrap_or_default().pending_update, [""; 0]);
    scene
        .set(json!({"desiredStatus": DesiredStatus::Running}))
        .await?;
    scene.replaced(&before).await?;
    assert_eq!(scene.colour().await?, "blue");
    pending(&scene, &[]).await?;
    scene.scratch.finish().await
}

#[tokio::test]
async fn a_changed_port_is_the_service_s_after_the_next_start_and_one_changed_by_hand_is_put_right()
-> anyhow::Result<()> {
    let scene = Scene::new("port", UpdatePolicy::OnStop).await?;
    let services = scene.scratch.api::<Service>();
    let is = |port: i32| {
        let services = services.clone();
        wait::until("the port of the Service", wait::USUAL, move || {
            let services = services.clone();
            async move {
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
            }
        })
    };
    let service = services.get("workspace-ws").await?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    anyhow::ensure!(ports.len() == 1, "{ports:?}");
    let before = ports[0].port;
    let other = json!({"name": "http", "port": 9001, "protocol": "TCP", "targetPort": "http"});
    let by_hand = Patch::Merge(json!({"spec": {"ports": [other]}}));
    services
        .patch("workspace-ws", &PatchParams::default(), &by_hand)
        .await?;
    is(before).await?;
    let first = scene.pod().await?;
    workspace::stop(&scene.alice, "ws").await?;
    scene
        .set(json!({
            "port": 9000,
            // Where the application listens.
            "env": [{"name": "PORT", "value": "9000"}],
            "desiredStatus": DesiredStatus::Running,
        }))
        .await?;
    is(9000).await?;
    scene.replaced(&first).await?;
    let ws = scene.reached(Phase::Running).await?;
    let status = ws.status.unwrap_or_default();
    assert_eq!(status.endpoint.map(|endpoint| endpoint.port), Some(9000));
    assert_eq!(status.pending_update, [""; 0]);
    scene.scratch.finish().await
}

#[tokio::test]
async fn with_update_policy_always_an_edit_replaces_the_pod_at_once() -> anyhow::Result<()> {
    let scene = Scene::new("always", UpdatePolicy::Always).await?;
    let first = scene.pod().await?;
    let run = |ws: Workspace| ws.status.and_then(|status| status.run_id);
    let first_run = run(scene.reached(Phase::Running).await?);
    scene.set(colour("red")).await?;
    let second = scene.replaced(&first).await?;
    assert_eq!(scene.colour().await?, "red");
    let ws = scene.reached(Phase::Running).await?;
    assert_ne!(run(ws), first_run);
    pending(&scene, &[]).await?;
    // What does not shape the pod restarts nobody, also here.
    scene
        .set(json!({"displayName": "another name", "accessType": "Public"}))
        .await?;
    scene.reached(Phase::Running).await?;
    assert_eq!(scene.pod().await?, second);
    scene.scratch.finish().await
}

#[tokio::test]
async fn restarted_at_applies_what_is_pending_by_one_restart() -> anyhow::Result<()> {
    let scene = Scene::new("restart", UpdatePolicy::OnStop).await?;
    let first = scene.pod().await?;
    scene.set(colour("green")).await?;
    pending(&scene, &["spec.env"]).await?;
    let restart =
        |time: &str| Patch::Merge(json!({"metadata": {"annotations": {names::RESTARTED_AT: time}}}));
    let params = PatchParams::default();
    scene
        .alice
        .patch("ws", &params, &restart("2026-01-01T10:00:00Z"))
        .await?;
    let second = scene.replaced(&first).await?;
    assert_eq!(scene.colour().await?, "green");
    pending(&scene, &[]).await?;
    // The same value again, and an edit after it: the restart has been had.
    scene
        .alice
        .patch("ws", &params, &restart("2026-01-01T10:00:00Z"))
        .await?;
    scene.set(colour("white")).await?;
    pending(&scene, &["spec.env"]).await?;
    assert_eq!(scene.pod().await?, second);
    scene
        .alice
        .patch("ws", &params, &restart("2026-01-01T11:00:00Z"))
        .await?;
    scene.replaced(&second).await?;
    assert_eq!(scene.colour().await?, "white");
    scene.scratch.finish().await
}

#[tokio::test]
async fn an_external_change_of_the_pod_template_is_reported_and_reverted_at_the_next_start()
-> anyhow::Result<()> {
    let scene = Scene::new("byhand", UpdatePolicy::OnStop).await?;
    let first = scene.pod().await?;
    let deployments = scene.scratch.api::<Deployment>();
    let change = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "workspace", "env": [{"name": "COLOUR", "value": "grey"}]},
    ]}}}});
    let by_hand = PatchParams {
        field_manager: Some("somebody".to_owned()),
        ..PatchParams::default()
    };
    deployments
        .patch("workspace-ws", &by_hand, &Patch::Strategic(change))
        .await?;
    let second = scene.replaced(&first).await?;
    assert_eq!(scene.colour().await?, "grey");
    pending(&scene, &["deployment.spec.template"]).await?;
    let ws = scene.reached(Phase::Running).await?;
    let message = ws.status.and_then(|status| status.message).unwrap_or_default();
    assert!(message.contains("changed by \"somebody\""), "{message}");
    workspace::stop(&scene.alice, "ws").await?;
    scene
        .set(json!({"desiredStatus": DesiredStatus::Running}))
        .await?;
    scene.replaced(&second).await?;
    assert_eq!(scene.colour().await?, "");
    pending(&scene, &[]).await?;
    scene.scratch.finish().await
}

#[tokio::test]
async fn a_workspace_stopped_while_it_starts_has_no_pod_and_an_edit_while_stopped_is_used()
-> anyhow::Result<()> {
    let scratch = Scratch::new("midway", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut never = workspace::of_image("ws", "localhost/there-is-no-such-image:1");
    never.spec.storage = Some(api::workspace::Storage::default());
    alice.create(&PostParams::default(), &never).await?;
    let scene = Scene { scratch, alice };
    wait::until("a pod that does not start", wait::USUAL, || async {
        let pods = scene.pods().await.map_err(|error| format!("{error:#}"))?;
        (pods.len() == 1).then_some(()).ok_or_else(|| "no pod".to_owned())
    })
    .await?;
    workspace::stop(&scene.alice, "ws").await?;
    assert!(scene.pods().await?.is_empty());
    let image = workspace::echo("ws")?.spec.image;
    let mut edit = colour("late");
    edit["image"] = json!(image);
    edit["resources"] = json!({"limits": {"cpu": "700m"}});
    edit["desiredStatus"] = json!(DesiredStatus::Running);
    scene.set(edit).await?;
    scene.replaced("none").await?;
    assert_eq!(scene.colour().await?, "late");
    let limits = json!(scene.pods().await?[0].spec)["containers"][0]["resources"]["limits"].clone();
    assert_eq!(limits, json!({"cpu": "700m", "memory": "512Mi"}));
    scene.scratch.finish().await
}

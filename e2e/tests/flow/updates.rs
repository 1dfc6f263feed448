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
struct Fixture {
    scratch: Scratch,
    alice: Api<Workspace>,
}

impl Fixture {
    async fn new(prefix: &str, policy: UpdatePolicy) -> anyhow::Result<Self> {
        let scratch = Scratch::new(prefix, &["alice"]).await?;
        let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        let mut echo = workspace::echo("ws")?;
        echo.spec.update_policy = policy;
        alice.create(&PostParams::default(), &echo).await?;
        let fixture = Self { scratch, alice };
        fixture.reached(Phase::Running).await?;
        Ok(fixture)
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

#[tokio::test]
async fn an_edit_is_pending_until_stop_and_start() -> anyhow::Result<()> {
    let fixture = Fixture::new("onstop", UpdatePolicy::OnStop).await?;
    let before = fixture.pod().await?;
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
    assert_eq!(fixture.pod().await?, before, "nothing reached the pod");
    let stopped = workspace::stop(&fixture.alice, "ws").await?;
    assert_eq!(stopped.status.unwrap_or_default().pending_update, [""; 0]);
    fixture
        .set(json!({"desiredStatus": DesiredStatus::Running}))
        .await?;
    fixture.replaced(&before).await?;
    assert_eq!(fixture.colour().await?, "blue");
    pending(&fixture, &[]).await?;
    fixture.scratch.finish().await
}

#[tokio::test]
async fn a_changed_port_is_the_service_s_after_the_next_start_and_one_changed_by_hand_is_put_right()
-> anyhow::Result<()> {
    let fixture = Fixture::new("port", UpdatePolicy::OnStop).await?;
    let services = fixture.scratch.api::<Service>();
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
    let first = fixture.pod().await?;
    workspace::stop(&fixture.alice, "ws").await?;
    fixture
        .set(json!({
            "port": 9000,
            // Where the application listens.
            "env": [{"name": "PORT", "value": "9000"}],
            "desiredStatus": DesiredStatus::Running,
        }))
        .await?;
    is(9000).await?;
    fixture.replaced(&first).await?;
    let ws = fixture.reached(Phase::Running).await?;
    let status = ws.status.unwrap_or_default();
    assert_eq!(status.endpoint.map(|endpoint| endpoint.port), Some(9000));
    assert_eq!(status.pending_update, [""; 0]);
    fixture.scratch.finish().await
}

#[tokio::test]
async fn with_update_policy_always_an_edit_replaces_the_pod_at_once() -> anyhow::Result<()> {
    let fixture = Fixture::new("always", UpdatePolicy::Always).await?;
    let first = fixture.pod().await?;
    let run = |ws: Workspace| ws.status.and_then(|status| status.run_id);
    let first_run = run(fixture.reached(Phase::Running).await?);
    fixture.set(colour("red")).await?;
    let second = fixture.replaced(&first).await?;
    assert_eq!(fixture.colour().await?, "red");
    let ws = fixture.reached(Phase::Running).await?;
    assert_ne!(run(ws), first_run);
    pending(&fixture, &[]).await?;
    // What does not shape the pod restarts nobody, also here.
    fixture
        .set(json!({"displayName": "another name", "accessType": "Public"}))
        .await?;
    fixture.reached(Phase::Running).await?;
    assert_eq!(fixture.pod().await?, second);
    fixture.scratch.finish().await
}

#[tokio::test]
async fn restarted_at_applies_what_is_pending_by_one_restart() -> anyhow::Result<()> {
    let fixture = Fixture::new("restart", UpdatePolicy::OnStop).await?;
    let first = fixture.pod().await?;
    fixture.set(colour("green")).await?;
    pending(&fixture, &["spec.env"]).await?;
    let restart =
        |time: &str| Patch::Merge(json!({"metadata": {"annotations": {names::RESTARTED_AT: time}}}));
    let params = PatchParams::default();
    fixture
        .alice
        .patch("ws", &params, &restart("2026-01-01T10:00:00Z"))
        .await?;
    let second = fixture.replaced(&first).await?;
    assert_eq!(fixture.colour().await?, "green");
    pending(&fixture, &[]).await?;
    // The same value again, and an edit after it: the restart has been had.
    fixture
        .alice
        .patch("ws", &params, &restart("2026-01-01T10:00:00Z"))
        .await?;
    fixture.set(colour("white")).await?;
    pending(&fixture, &["spec.env"]).await?;
    assert_eq!(fixture.pod().await?, second);
    fixture
        .alice
        .patch("ws", &params, &restart("2026-01-01T11:00:00Z"))
        .await?;
    fixture.replaced(&second).await?;
    assert_eq!(fixture.colour().await?, "white");
    fixture.scratch.finish().await
}

#[tokio::test]
async fn an_external_change_of_the_pod_template_is_reported_and_reverted_at_the_next_start()
-> anyhow::Result<()> {
    let fixture = Fixture::new("byhand", UpdatePolicy::OnStop).await?;
    let first = fixture.pod().await?;
    let deployments = fixture.scratch.api::<Deployment>();
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
    let second = fixture.replaced(&first).await?;
    assert_eq!(fixture.colour().await?, "grey");
    pending(&fixture, &["deployment.spec.template"]).await?;
    let ws = fixture.reached(Phase::Running).await?;
    let message = ws.status.and_then(|status| status.message).unwrap_or_default();
    assert!(message.contains("changed by \"somebody\""), "{message}");
    workspace::stop(&fixture.alice, "ws").await?;
    fixture
        .set(json!({"desiredStatus": DesiredStatus::Running}))
        .await?;
    fixture.replaced(&second).await?;
    assert_eq!(fixture.colour().await?, "");
    pending(&fixture, &[]).await?;
    fixture.scratch.finish().await
}

#[tokio::test]
async fn a_workspace_stopped_while_it_starts_has_no_pod_and_an_edit_while_stopped_is_used()
-> anyhow::Result<()> {
    let scratch = Scratch::new("midway", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut never = workspace::of_image("ws", "localhost/there-is-no-such-image:1");
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
    fixture.replaced("none").await?;
    assert_eq!(fixture.colour().await?, "late");
    let limits = json!(fixture.pods().await?[0].spec)["containers"][0]["resources"]["limits"].clone();
    assert_eq!(limits, json!({"cpu": "700m", "memory": "512Mi"}));
    fixture.scratch.finish().await
}

//! Bounds on the idle timeout of a workspace.

use api::Workspace;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::template,
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

struct Fixture {
    scratch: Scratch,
    alice: Api<Workspace>,
}

impl Fixture {
    async fn new(prefix: &str, rest: Value) -> anyhow::Result<Self> {
        let scratch = Scratch::new(prefix, &["alice"]).await?;
        let mut spec = rest;
        spec["defaultImage"] = json!(Environment::get()?.images.echo);
        template::make(&scratch, &spec).await?;
        let alice = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        Ok(Self { scratch, alice })
    }

    /// The API server's refusal of a workspace with this `idleShutdown`; `None` if it would be created.
    async fn refusal(&self, idle: Value) -> anyhow::Result<Option<String>> {
        let rest = json!({"desiredStatus": "Stopped", "idleShutdown": idle});
        let workspace = template::workspace(&self.scratch, "lab", &rest)?;
        Ok(template::refusal(&self.alice, &workspace).await)
    }

    async fn refuses(&self, idle: Value, expected: &[&str]) -> anyhow::Result<()> {
        let message = self.refusal(idle.clone()).await?;
        let message = message.ok_or_else(|| anyhow::anyhow!("it passes: {idle}"))?;
        for part in expected {
            anyhow::ensure!(message.contains(part), "{part} is missing in: {message}");
        }
        Ok(())
    }

    async fn admits(&self, idle: Value) -> anyhow::Result<()> {
        let message = self.refusal(idle.clone()).await?;
        anyhow::ensure!(message.is_none(), "{idle}: {message:?}");
        Ok(())
    }
}

#[tokio::test]
async fn an_idle_timeout_within_the_template_s_bounds_passes() -> anyhow::Result<()> {
    const FIELD: &str = "spec.idleShutdown.idleTimeoutInMinutes";
    let fixture = Fixture::new(
        "idle-bounds",
        json!({
            "defaultIdleShutdown": {"idleTimeoutInMinutes": 60},
            "idleShutdownOverrides": {"minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 120},
        }),
    )
    .await?;
    let minutes = |minutes: i32| json!({"idleTimeoutInMinutes": minutes});
    fixture.refuses(minutes(9), &[FIELD, "9", "minimum 10"]).await?;
    fixture
        .refuses(minutes(121), &[FIELD, "121", "maximum 120"])
        .await?;
    fixture.admits(minutes(10)).await?;
    fixture.admits(minutes(120)).await?;
    fixture.admits(json!({"enabled": true})).await?;
    fixture.admits(json!({})).await?;
    let never = json!({"enabled": false});
    fixture
        .refuses(never, &["spec.idleShutdown.enabled", "false", "120"])
        .await?;
    // The definition's own bounds.
    fixture
        .refuses(minutes(0), &[FIELD, "should be greater than or equal to 1"])
        .await?;
    let blind = json!({"detection": {"httpGet": {"path": "/healthz"}}});
    fixture.refuses(blind, &["lastActivityTimestamp"]).await?;
    // Bounds also apply to existing workspaces.
    let rest = json!({"desiredStatus": "Stopped", "idleShutdown": {"idleTimeoutInMinutes": 30}});
    let lab = template::workspace(&fixture.scratch, "lab", &rest)?;
    fixture.alice.create(&PostParams::default(), &lab).await?;
    let wider = e2e::objects::workspace::set(
        &fixture.alice,
        "lab",
        json!({"idleShutdown": {"idleTimeoutInMinutes": 600}}),
    );
    let message = wider
        .await
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(message.contains("maximum 120"), "{message}");
    template::finish(fixture.scratch).await
}

//! Bounds on the idle timeout of a workspace.

use e2e::{
    Environment,
    cluster::Scratch,
    objects::{template, workspace},
};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::rules::{alice, judged};

#[tokio::test]
async fn an_idle_timeout_within_the_template_s_bounds_passes() -> anyhow::Result<()> {
    const FIELD: &str = "spec.idleShutdown.idleTimeoutInMinutes";
    let scratch = Scratch::new("idle-bounds", &["alice"]).await?;
    let bounds = json!({
        "defaultImage": Environment::get()?.images.echo,
        "defaultIdleShutdown": {"idleTimeoutInMinutes": 60},
        "idleShutdownOverrides": {"minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 120},
    });
    template::make(&scratch, &bounds).await?;
    let spec = |idle: Value| json!({"idleShutdown": idle});
    let minutes = |minutes: i32| spec(json!({"idleTimeoutInMinutes": minutes}));
    judged(
        &scratch,
        [
            (minutes(9), vec![FIELD, "9", "minimum 10"]),
            (minutes(121), vec![FIELD, "121", "maximum 120"]),
            (minutes(10), vec![]),
            (minutes(120), vec![]),
            (spec(json!({"enabled": true})), vec![]),
            (spec(json!({})), vec![]),
            (
                spec(json!({"enabled": false})),
                vec!["spec.idleShutdown.enabled", "false", "120"],
            ),
            // The definition's own bounds.
            (minutes(0), vec![FIELD, "should be greater than or equal to 1"]),
            (
                spec(json!({"detection": {"httpGet": {"path": "/healthz"}}})),
                vec!["lastActivityTimestamp"],
            ),
        ],
    )
    .await?;
    // Bounds also apply to existing workspaces.
    let workspaces = alice(&scratch).await?;
    let rest = json!({"desiredStatus": "Stopped", "idleShutdown": {"idleTimeoutInMinutes": 30}});
    let lab = template::workspace(&scratch, "lab", &rest)?;
    workspaces.create(&PostParams::default(), &lab).await?;
    let wider = json!({"idleShutdown": {"idleTimeoutInMinutes": 600}});
    let refused = workspace::set(&workspaces, "lab", wider).await.err();
    let message = refused.map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(message.contains("maximum 120"), "{message}");
    template::finish(scratch).await
}

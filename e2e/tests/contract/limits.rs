//! Start timeouts: within the template's bounds, and the same message from webhook and definition.

use api::{Workspace, WorkspaceTemplate, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::{template, workspace},
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

const FIELD: &str = "spec.limits.startTimeoutMinutes";

fn minutes(minutes: i32) -> Value {
    json!({"desiredStatus": "Stopped", "limits": {"startTimeoutMinutes": minutes}})
}

#[tokio::test]
async fn a_start_timeout_within_the_template_s_bounds_passes_and_is_in_the_status() -> anyhow::Result<()> {
    let scratch = Scratch::new("limits", &["alice"]).await?;
    let spec = json!({
        "defaultImage": Environment::get()?.images.echo,
        "limitBounds": {"startTimeoutMinutes": {"min": 5, "max": 60}},
    });
    template::make(&scratch, &spec).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    for (given, expected) in [
        (
            4,
            r#""4" is less than the template's minimum 5: choose at least 5 minutes"#,
        ),
        (
            61,
            r#""61" is more than the template's maximum 60: choose at most 60 minutes"#,
        ),
        // The definition's own bounds.
        (0, r#""0" is less than the minimum 1: choose 1 to 525600"#),
    ] {
        let lab = template::workspace(&scratch, "lab", &minutes(given))?;
        let message = template::refusal(&alice, &lab).await.unwrap_or_default();
        assert!(
            message.contains(FIELD) && message.contains(expected),
            "{given}: {message}"
        );
    }
    for (name, rest, counts) in [
        ("own", minutes(5), 5),
        ("longest", json!({"desiredStatus": "Stopped"}), 60),
    ] {
        let lab = template::workspace(&scratch, name, &rest)?;
        alice.create(&PostParams::default(), &lab).await?;
        let stopped = workspace::reached(&alice, name, Phase::Stopped).await?;
        let resolved = stopped.status.and_then(|status| status.resolved);
        let shown = resolved.and_then(|resolved| resolved.start_timeout_minutes);
        assert_eq!(shown, Some(counts), "{name}");
    }
    let wider = workspace::set(&alice, "own", json!({"limits": {"startTimeoutMinutes": 61}})).await;
    let message = wider.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(message.contains("maximum 60"), "{message}");
    template::finish(scratch).await
}

#[tokio::test]
async fn a_template_whose_own_limits_disagree_is_refused() -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let range = |min: i32, max: i32| json!({"startTimeoutMinutes": {"min": min, "max": max}});
    for (default, bounds, expected) in [
        (json!({}), range(20, 10), "min must not be greater than max"),
        (
            json!({"startTimeoutMinutes": 5}),
            range(10, 20),
            "must be within limitBounds.startTimeoutMinutes",
        ),
        (
            json!({"startTimeoutMinutes": 21}),
            range(10, 20),
            "must be within limitBounds.startTimeoutMinutes",
        ),
    ] {
        let template: WorkspaceTemplate = serde_json::from_value(json!({
            "metadata": {"name": "e2e-limits"},
            "spec": {"displayName": "T", "defaultImage": "a", "defaultLimits": default, "limitBounds": bounds},
        }))?;
        let message = templates.create(&dry, &template).await;
        let message = message.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{default} {bounds}: {message}");
    }
    Ok(())
}

//! Variables, labels and idle timeouts that templates bound, as the API server applies them.

use api::{Workspace, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch},
    objects::template,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

pub(super) async fn alice(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::user("alice").await?, &scratch.namespace))
}

/// A second template, with `allow: false`: a workspace may repeat what the template says, and say nothing else.
async fn idle_timeouts_are_the_template_s_where_it_allows_no_other(
    scratch: &Scratch,
    workspaces: &Api<Workspace>,
) -> anyhow::Result<()> {
    let fixed = format!("{}-fixed", scratch.namespace);
    let rest = json!({
        "defaultImage": "uv",
        "defaultIdleShutdown": {"idleTimeoutInMinutes": 60},
        "idleShutdownOverrides": {"allow": false},
    });
    template::make_named(&fixed, &rest).await?;
    for (idle, field) in [
        (json!(null), None),
        (json!({"idleTimeoutInMinutes": 60}), None),
        (
            json!({"idleTimeoutInMinutes": 59}),
            Some("spec.idleShutdown.idleTimeoutInMinutes"),
        ),
        (json!({"enabled": false}), Some("spec.idleShutdown.enabled")),
    ] {
        let wanted = json!({"templateRef": fixed, "idleShutdown": idle});
        let refusal = template::refusal(workspaces, &template::workspace(scratch, "fixed", &wanted)?).await;
        let is_expected = match (&refusal, field) {
            (None, None) => true,
            (Some(refusal), Some(field)) => {
                refusal.contains(field) && refusal.contains("idleShutdownOverrides.allow is false")
            }
            _ => false,
        };
        assert!(is_expected, "{idle}: {refusal:?}");
    }
    template::forget(&fixed).await
}

#[tokio::test]
async fn required_variables_and_labels_match_as_a_whole_and_idle_timeouts_are_within_their_bounds()
-> anyhow::Result<()> {
    let scratch = Scratch::new("required", &["alice"]).await?;
    let rest = json!({
        "defaultImage": "uv",
        "allowCustomInitContainers": true,
        "envRequirements": [{"name": "TEAM", "required": true, "regex": "[a-z]+"}],
        "labelRequirements": [{"name": "example.org/cost", "required": true, "regex": "[0-9]{4}"}],
        "defaultIdleShutdown": {"idleTimeoutInMinutes": 60},
        "idleShutdownOverrides": {"minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 120},
    });
    template::make(&scratch, &rest).await?;
    let workspaces = alice(&scratch).await?;
    let with = |team: Option<&str>, cost: Option<&str>| -> anyhow::Result<Workspace> {
        let env: Vec<_> = team
            .iter()
            .map(|team| json!({"name": "TEAM", "value": team}))
            .collect();
        let mut workspace = template::workspace(&scratch, "labelled", &json!({"env": env}))?;
        let labels = cost.map(|cost| [("example.org/cost".to_owned(), cost.to_owned())].into());
        workspace.metadata.labels = labels;
        Ok(workspace)
    };
    let fine = with(Some("ml"), Some("1234"))?;
    assert_eq!(template::refusal(&workspaces, &fine).await, None);
    for (team, cost, expected) in [
        (None, Some("1234"), ["spec.env", "lacks the variable TEAM"]),
        (Some("ml1"), Some("1234"), ["spec.env[0].value", "ml1"]),
        (Some("1ml"), Some("1234"), ["spec.env[0].value", "1ml"]),
        (
            Some("ml\n"),
            Some("1234"),
            [
                "spec.env[0].value",
                "is the value of TEAM and does not match /[a-z]+/",
            ],
        ),
        (
            Some("ml"),
            None,
            ["metadata.labels[example.org/cost]", "lacks the label"],
        ),
        (
            Some("ml"),
            Some("12345"),
            ["metadata.labels[example.org/cost]", "12345"],
        ),
    ] {
        let refusal = template::refusal(&workspaces, &with(team, cost)?)
            .await
            .unwrap_or_default();
        for part in expected {
            assert!(refusal.contains(part), "{part:?} is missing in {refusal:?}");
        }
    }
    let mut hidden = with(Some("ml"), Some("1234"))?;
    let init = json!([{"name": "i", "image": "uv", "env": [{"name": "TEAM", "value": "ML"}]}]);
    hidden.spec.init_containers = serde_json::from_value(init)?;
    let refusal = template::refusal(&workspaces, &hidden).await.unwrap_or_default();
    assert!(
        refusal.contains("spec.initContainers[0].env[0].value"),
        "{refusal}"
    );
    for (minutes, bound) in [
        (9, Some("minimum 10")),
        (10, None),
        (120, None),
        (121, Some("maximum 120")),
    ] {
        let mut idle = fine.clone();
        idle.spec.idle_shutdown = serde_json::from_value(json!({"idleTimeoutInMinutes": minutes}))?;
        let refusal = template::refusal(&workspaces, &idle).await.unwrap_or_default();
        let expected = bound.unwrap_or_default();
        assert_eq!(refusal.is_empty(), bound.is_none(), "{minutes}: {refusal}");
        assert!(refusal.contains(expected), "{minutes}: {refusal}");
    }
    idle_timeouts_are_the_template_s_where_it_allows_no_other(&scratch, &workspaces).await?;
    // Labels are also checked when nothing else changes.
    let mut stored = fine.clone();
    stored.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &stored).await?;
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"example.org/cost": "12"}}}));
    let relabelled = workspaces
        .patch("labelled", &PatchParams::default(), &relabel)
        .await;
    let refusal = relabelled
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(refusal.contains("metadata.labels[example.org/cost]"), "{refusal}");
    template::finish(scratch).await
}

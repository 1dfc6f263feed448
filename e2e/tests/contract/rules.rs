//! Required variables and labels of templates, as the API server applies them.

use api::{Workspace, workspace::DesiredStatus};
use e2e::{
    cluster::{self, Scratch},
    objects::template,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

pub(super) async fn alice(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::user("alice").await?, &scratch.namespace))
}

/// Each case has the values of a workspace and the texts of its refusal; none: it would be admitted.
pub(super) async fn judged(
    scratch: &Scratch,
    cases: impl IntoIterator<Item = (Value, Vec<&str>)>,
) -> anyhow::Result<()> {
    let workspaces = alice(scratch).await?;
    for (spec, expected) in cases {
        let workspace = template::workspace(scratch, "judged", &spec)?;
        let refusal = template::refusal(&workspaces, &workspace).await;
        if expected.is_empty() {
            assert_eq!(refusal, None, "{spec}");
        }
        for part in expected {
            let message = refusal.as_deref().unwrap_or_default();
            assert!(
                message.contains(part),
                "{spec}: {part:?} is missing in {message:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn required_variables_and_labels_must_be_there_and_match_as_a_whole() -> anyhow::Result<()> {
    let scratch = Scratch::new("required", &["alice"]).await?;
    let rest = json!({
        "defaultImage": "uv",
        "allowCustomInitContainers": true,
        "envRequirements": [{"name": "TEAM", "required": true, "regex": "[a-z]+"}],
        "labelRequirements": [{"name": "example.org/cost", "required": true, "regex": "[0-9]{4}"}],
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

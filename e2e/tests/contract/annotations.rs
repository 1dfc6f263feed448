//! Annotations of pods, and the last user who changed a workspace.

use api::{Workspace, names};
use e2e::{
    cluster::{self, Scratch},
    objects::{template, workspace},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::rules::{alice, judged};

#[tokio::test]
async fn a_workspace_sets_only_annotations_that_its_template_allows_and_its_last_user_cannot_be_forged()
-> anyhow::Result<()> {
    let scratch = Scratch::new("annotated", &["alice"]).await?;
    let rest = json!({"defaultImage": "uv", "allowedPodAnnotations": ["example.org/", "kubernetes"]});
    template::make(&scratch, &rest).await?;
    let with = |key: &str| json!({"podAnnotations": {key: "x"}});
    let own = "directs the cluster's own controllers";
    judged(
        &scratch,
        [
            (with("example.org/team"), vec![]),
            (
                with("example.com/team"),
                vec![
                    "spec.podAnnotations[example.com/team]",
                    "allows keys that begin with example.org/",
                ],
            ),
            (with("kubernetes.io/egress-bandwidth"), vec![own]),
            (with("cluster-autoscaler.kubernetes.io/safe-to-evict"), vec![own]),
            (
                with("container.apparmor.security.beta.kubernetes.io/workspace"),
                vec![own],
            ),
            (with(names::CREATED_BY), vec!["is set by the operator"]),
            (
                json!({"templateRef": null, "podAnnotations": {"example.org/team": "x"}}),
                vec!["podAnnotations need a template that allows them"],
            ),
        ],
    )
    .await?;
    the_last_user_of_a_workspace_is_recorded_and_cannot_be_forged(&scratch).await?;
    template::finish(scratch).await
}

async fn the_last_user_of_a_workspace_is_recorded_and_cannot_be_forged(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let hers = alice(scratch).await?;
    let mut made = workspace::echo("lab")?;
    made.spec.desired_status = api::workspace::DesiredStatus::Stopped;
    made.annotations_mut()
        .insert(names::LAST_UPDATED_BY.to_owned(), "mallory".to_owned());
    hers.create(&PostParams::default(), &made).await?;
    let last = async || -> anyhow::Result<String> {
        let now = hers.get("lab").await?;
        Ok(now
            .annotations()
            .get(names::LAST_UPDATED_BY)
            .cloned()
            .unwrap_or_default())
    };
    let own = hers.get("lab").await?.annotations()[names::CREATED_BY].clone();
    assert_eq!(last().await?, own);

    let carol = cluster::acting_as("carol", &["system:masters"]).await?;
    let hers_too: Api<Workspace> = Api::namespaced(carol, &scratch.namespace);
    let patch = |value: Value| Patch::Merge(json!({"metadata": value}));
    let forged = patch(json!({"annotations": {names::LAST_UPDATED_BY: "mallory"}}));
    hers_too.patch("lab", &PatchParams::default(), &forged).await?;
    assert_eq!(last().await?, own, "nothing else changed");
    let labelled = patch(json!({"labels": {"a": "b"}}));
    hers_too.patch("lab", &PatchParams::default(), &labelled).await?;
    assert_eq!(last().await?, "carol");
    Ok(())
}

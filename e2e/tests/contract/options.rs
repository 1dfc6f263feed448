//! Choices of a template's options, as the API server takes them and the pod gets them.

use e2e::{Environment, cluster::Scratch, objects::template, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::rules::alice;

#[tokio::test]
async fn a_form_of_two_lists_is_refused_with_the_choices_left_or_reaches_the_pod() -> anyhow::Result<()> {
    let scratch = Scratch::new("options", &["alice"]).await?;
    let options = json!([
        {"name": "gpu", "choices": [
            {"name": "none", "default": true},
            {"name": "a100", "set": {"nodeSelector": {"e2e.test/gpu": "a100"}, "variables": {"kind": "a100"}}},
        ]},
        {"name": "share", "when": {"gpu": ["a100"]}, "choices": [
            {"name": "whole", "set": {"env": [{"name": "SHARE", "value": "whole {kind}"}], "podLabels": {"e2e.test/share": "whole"}}},
            {"name": "slice"},
        ]},
    ]);
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image, "options": options})).await?;
    let workspaces = alice(&scratch).await?;
    let with = |options| template::workspace(&scratch, "form", &json!({"options": options}));
    for (options, message) in [
        (
            json!({"gpu": "k80"}),
            "is not a choice of this option: choose one of none, a100",
        ),
        (
            json!({"gpu": "a100"}),
            "must be set, because no choice is the default: choose one of whole, slice",
        ),
        (
            json!({"share": "whole"}),
            "may be set only with gpu: a100: leave it out",
        ),
        (
            json!({"cpu": "many"}),
            "is set for an option that the template does not have",
        ),
    ] {
        let refused = template::refusal(&workspaces, &with(options.clone())?).await;
        assert!(
            refused.as_ref().is_some_and(|text| text.contains(message)),
            "{options}: {refused:?}"
        );
    }
    assert_eq!(template::refusal(&workspaces, &with(json!({}))?).await, None);
    let chosen = with(json!({"gpu": "a100", "share": "whole"}))?;
    workspaces.create(&PostParams::default(), &chosen).await?;
    // No node has that label: what the pod asks for is enough here.
    let pods: Api<Pod> = scratch.api();
    let made = wait::until("the pod", wait::USUAL, || async {
        let made = pods
            .get_opt("workspace-form")
            .await
            .map_err(|error| error.to_string())?;
        made.ok_or_else(|| "none".to_owned())
    })
    .await?;
    let made = serde_json::to_value(made)?;
    assert_eq!(made["spec"]["nodeSelector"]["e2e.test/gpu"], "a100");
    assert_eq!(made["metadata"]["labels"]["e2e.test/share"], "whole");
    let env = made["spec"]["containers"][0]["env"]
        .as_array()
        .into_iter()
        .flatten();
    let shares: Vec<_> = env
        .filter(|it| it["name"] == "SHARE")
        .map(|it| it["value"].clone())
        .collect();
    assert_eq!(shares, ["whole a100"]);
    template::finish(scratch).await
}

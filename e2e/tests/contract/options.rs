//! Choices of a template's options, as the API server takes them and the pod gets them.

use std::{fs, sync::Arc};

use anyhow::{Context as _, ensure};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    failures::{SilentNode, end_pods},
    objects::template,
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

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

/// The spec of the sample's template, with the test's image, and without a disk, which only a real node has.
fn sample() -> anyhow::Result<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/samples/workspacetemplate_gpu.yaml"
    );
    let sample: Value = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
    let mut spec = sample["spec"].clone();
    let fields = spec.as_object_mut().context("the sample has no spec")?;
    fields.retain(|field, _| !matches!(field.as_str(), "allowedImages" | "primaryStorage"));
    fields.insert("defaultImage".to_owned(), json!(Environment::get()?.images.echo));
    fields.insert("defaultTolerations".to_owned(), SilentNode::tolerations());
    Ok(spec)
}

#[tokio::test]
async fn pods_of_the_sample_form_land_on_the_node_of_their_gpu() -> anyhow::Result<()> {
    let scratch = Scratch::new("gpus", &["alice"]).await?;
    let admin = cluster::admin().await?;
    let mut nodes = Vec::new();
    for (name, product, resources) in [
        ("t4", "Tesla-T4", json!({"nvidia.com/gpu": "2"})),
        (
            "a100",
            "NVIDIA-A100-SXM4-80GB",
            json!({"nvidia.com/gpu": "1", "nvidia.com/mig-1g.10gb": "7", "memory": "64Gi"}),
        ),
    ] {
        let node = SilentNode::new(&admin, &format!("{}-{name}", scratch.namespace)).await?;
        node.label(json!({"nvidia.com/gpu.product": product})).await?;
        node.taint(Some("nvidia.com/gpu")).await?;
        node.give(resources).await?;
        nodes.push(Arc::new(node));
    }
    template::make(&scratch, &sample()?).await?;
    let (workspaces, pods) = (alice(&scratch).await?, scratch.api::<Pod>());
    for (name, options, node, resource) in [
        ("training", json!({"gpu": "t4"}), "t4", "nvidia.com/gpu"),
        ("part", json!({"gpu": "a100"}), "a100", "nvidia.com/mig-1g.10gb"),
        (
            "whole",
            json!({"gpu": "a100", "size": "whole"}),
            "a100",
            "nvidia.com/gpu",
        ),
    ] {
        let new = template::workspace(&scratch, name, &json!({"options": options}))?;
        workspaces.create(&PostParams::default(), &new).await?;
        let spec = wait::until(&format!("the pod of {name} on a node"), wait::USUAL, || async {
            let made = pods
                .get_opt(&format!("workspace-{name}"))
                .await
                .map_err(|error| error.to_string())?;
            let spec = made.and_then(|pod| pod.spec);
            spec.filter(|spec| spec.node_name.is_some())
                .ok_or_else(|| "none".to_owned())
        })
        .await?;
        ensure!(
            spec.node_name == Some(format!("{}-{node}", scratch.namespace)),
            "{name}: {:?}",
            spec.node_name
        );
        let container = spec.containers.first().and_then(|it| it.resources.as_ref());
        let limits = container.and_then(|it| it.limits.as_ref()).context("no limits")?;
        let gpus: Vec<_> = limits
            .iter()
            .filter(|(name, _)| name.starts_with("nvidia.com/"))
            .collect();
        ensure!(
            matches!(gpus.as_slice(), [(name, amount)] if *name == resource && amount.0 == "1"),
            "{name}: {gpus:?}"
        );
    }
    let result = tokio::select! {
        result = template::finish(scratch) => result,
        () = end_pods(&pods, &nodes) => Ok(()),
    };
    for node in &nodes {
        node.delete().await?;
    }
    result
}

//! Usage of a workspace, by the metrics API.
//!
//! A CRD of that API's group replaces metrics-server, which runs only before a release (`releases::usage`). API
//! server, rights and the user's own request are real; the figures are invented.

use api::names::{APPLICATION_CONTAINER, WORKSPACE_LABEL};
use e2e::cluster::{self, Scratch};
use e2e::portal::Portal;
use e2e::test_run::finally::always;
use e2e::{objects::workspace, wait};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

const GROUP: &str = "metrics.k8s.io";

fn definition() -> anyhow::Result<CustomResourceDefinition> {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    Ok(serde_json::from_value(json!({
        "metadata": {
            "name": format!("pods.{GROUP}"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": "pods", "singular": "pod", "kind": "PodMetrics", "listKind": "PodMetricsList"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    }))?)
}

/// The workspace's pod uses this much.
async fn measure(client: &Client, scratch: &Scratch, usage: Value) -> anyhow::Result<()> {
    let of_workspace = ListParams::default().labels(&format!("{WORKSPACE_LABEL}=ws"));
    let pods = scratch.api::<Pod>().list(&of_workspace).await?.items;
    let pod = pods.first().ok_or_else(|| anyhow::anyhow!("no pod"))?;
    let kind =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, "v1beta1", "PodMetrics"), "pods");
    let sample: DynamicObject = serde_json::from_value(json!({
        "apiVersion": format!("{GROUP}/v1beta1"), "kind": "PodMetrics",
        "metadata": {"name": pod.name_any(), "labels": pod.labels()},
        "timestamp": "2026-11-22T12:00:00Z", "window": "15s",
        "containers": [{"name": APPLICATION_CONTAINER, "usage": usage}],
    }))?;
    let samples: Api<DynamicObject> = Api::namespaced_with(client.clone(), &scratch.namespace, &kind);
    wait::until("the metrics API to be served", wait::USUAL, || async {
        let made = samples.create(&PostParams::default(), &sample).await;
        made.map(drop).map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test]
async fn a_page_shows_what_its_workspace_uses_or_that_the_cluster_does_not_measure_it() -> anyhow::Result<()>
{
    let scratch = Scratch::new("portal-usage", &["alice"]).await?;
    workspace::running(&scratch, "ws").await?;
    let portal = Portal::enter("alice").await?;
    let at = format!("/w/{}/ws", scratch.namespace);
    let shown = async |what: &str, is_it: fn(&Value) -> bool| {
        wait::until(what, wait::USUAL, || async {
            let page = portal.json(&at).await.map_err(|error| format!("{error:#}"))?;
            let usage = page["usage"].clone();
            if is_it(&usage) {
                Ok(usage)
            } else {
                Err(page.to_string())
            }
        })
        .await
    };
    // Of a run that was killed.
    let client = cluster::admin().await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let definition = definition()?;
    let name = definition.name_any();
    if definitions.get_opt(&name).await?.is_some() {
        definitions.delete(&name, &DeleteParams::default()).await?;
    }
    let is_absent = |usage: &Value| {
        usage["absent"]
            .as_str()
            .is_some_and(|it| it.contains("no metrics API"))
    };
    shown("the page to say that nothing is measured", is_absent).await?;

    let measured = async {
        let apply = PatchParams::apply("e2e").force();
        definitions
            .patch(&name, &apply, &Patch::Apply(&definition))
            .await?;
        measure(
            &client,
            &scratch,
            json!({"cpu": "12345678n", "memory": "32768Ki"}),
        )
        .await?;
        let has_figures = |usage: &Value| usage["meters"].as_array().is_some_and(|meters| meters.len() == 2);
        let usage = shown("the page to show figures", has_figures).await?;
        let used = |at: usize| {
            (
                usage["meters"][at]["label"].clone(),
                usage["meters"][at]["used"].clone(),
            )
        };
        anyhow::ensure!(used(0) == (json!("CPU"), json!("0.01 CPU")), "{usage}");
        anyhow::ensure!(used(1) == (json!("Memory"), json!("32 MiB")), "{usage}");
        anyhow::ensure!(
            usage["meters"][1]["percent"].is_u64(),
            "beside the limit: {usage}"
        );
        Ok(())
    };
    let removed = async {
        Ok(definitions
            .delete(&name, &DeleteParams::default())
            .await
            .map(drop)?)
    };
    always(Box::pin(measured), removed).await?;
    scratch.finish().await
}

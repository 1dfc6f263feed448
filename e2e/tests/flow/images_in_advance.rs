//! Images on nodes, and room, before a workspace starts there.

use anyhow::Context as _;
use api::{
    WorkspaceTemplate,
    condition::{self, PREPARED, reason},
    names::{PLACEHOLDERS_LABEL, PRE_PULL_LABEL},
};
use e2e::{
    Environment,
    cluster::{self, Scratch, component_pods, restricted_pod},
    failures::Registry,
    objects::{template, workspace},
    test_run::finally::always,
    wait,
};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apps::v1::{DaemonSet, Deployment},
    core::v1::{Event, Node, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

async fn templates() -> anyhow::Result<Api<WorkspaceTemplate>> {
    Ok(Api::all(cluster::admin().await?))
}

async fn label(name: &str, labels: &Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    templates()
        .await?
        .patch(name, &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

/// Waits until the template has this number of pulls, this reason, and a message with these parts.
async fn prepared(name: &str, pulled: Option<&str>, reason: &str, parts: &[&str]) -> anyhow::Result<()> {
    let templates = templates().await?;
    wait::until(
        &format!("{name} to be {reason} with {parts:?}"),
        wait::USUAL,
        || async {
            let template = templates.get(name).await.map_err(|error| error.to_string())?;
            let status = template.status.unwrap_or_default();
            let condition = condition::find(&status.conditions, PREPARED);
            let is_expected = condition
                .is_some_and(|it| it.reason == reason && parts.iter().all(|part| it.message.contains(part)));
            if is_expected && status.pulled.as_deref() == pulled {
                Ok(())
            } else {
                Err(format!("{:?} {condition:?}", status.pulled))
            }
        },
    )
    .await
}

/// The namespace of images.
fn images() -> anyhow::Result<String> {
    Ok(format!("{}-images", Environment::get()?.release))
}

/// Waits until the namespace of images has nothing that mentions this text. Others' objects may be there.
async fn gone(text: &str) -> anyhow::Result<()> {
    let namespace = images()?;
    let admin = cluster::admin().await?;
    let sets = Api::<DaemonSet>::namespaced(admin.clone(), &namespace);
    let deployments = Api::<Deployment>::namespaced(admin, &namespace);
    let all = ListParams::default();
    wait::until(&format!("objects of {text} to be gone"), wait::USUAL, || async {
        let sets = sets.list(&all).await.map_err(|error| error.to_string())?;
        let deployments = deployments.list(&all).await.map_err(|error| error.to_string())?;
        let left = json!([sets.items, deployments.items]).to_string();
        if left.contains(text) { Err(left) } else { Ok(()) }
    })
    .await
}

#[tokio::test]
async fn nodes_have_the_images_of_a_labelled_template_before_a_start_and_a_wrong_image_keeps_no_other_away()
-> anyhow::Result<()> {
    let registry = Registry::start().await?;
    let place = registry.place();
    let scratch = Scratch::new("in-advance", &["alice"]).await?;
    let (early, other) = (scratch.namespace.clone(), format!("{}-wrong", scratch.namespace));
    let image = place.public_image(&early, 1);
    let resources =
        json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}});
    let spec = json!({
        "defaultImage": image, "defaultNodeSelector": place.selected(), "defaultResources": resources,
    });
    template::make(&scratch, &spec).await?;
    // No registry has the second tag.
    let (wrong, right) = (place.public_image(&other, 2), place.public_image(&other, 1));
    let spec = json!({
        "defaultImage": wrong, "allowedImages": [wrong, right], "defaultNodeSelector": place.selected(),
    });
    template::make_named(&other, &spec).await?;
    label(&other, &json!({PRE_PULL_LABEL: "true"})).await?;
    label(&early, &json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"})).await?;

    let message = "1 of 1 nodes have the image. 1 of 1 placeholders run.";
    prepared(&early, Some("1/1"), reason::PREPARED, &[message]).await?;
    let message = format!("{wrong}: it cannot be pulled: ");
    prepared(&other, Some("1/2"), reason::PRE_PULL_FAILED, &[&message]).await?;

    // A start finds the image.
    let new = template::workspace(&scratch, "ws", &json!({}))?;
    workspace::made(&scratch, &new).await?;
    let events = scratch.api::<Event>();
    let pulled = ListParams::default().fields("reason=Pulled");
    let event = wait::until("the kubelet's Event", wait::USUAL, || async {
        let all = events.list(&pulled).await.map_err(|error| error.to_string())?;
        let texts = all.items.into_iter().filter_map(|event| event.message);
        let mut about = texts.filter(|text| text.contains(&image));
        about.next().ok_or_else(|| "none".to_owned())
    })
    .await?;
    anyhow::ensure!(event.contains("already present on machine"), "{event}");

    // Without labels or template nothing is left.
    template::forget(&other).await?;
    gone(&other).await?;
    label(&early, &json!({PRE_PULL_LABEL: null, PLACEHOLDERS_LABEL: null})).await?;
    gone(&early).await?;
    let templates = templates().await?;
    wait::until("the status to say nothing", wait::USUAL, || async {
        let template = templates.get(&early).await.map_err(|error| error.to_string())?;
        let status = template.status.unwrap_or_default();
        let is_told = condition::find(&status.conditions, PREPARED).is_some() || status.pulled.is_some();
        if is_told {
            Err(format!("{status:?}"))
        } else {
            Ok(())
        }
    })
    .await?;
    template::finish(scratch).await?;
    registry.finish().await
}

#[tokio::test]
async fn a_label_with_a_value_that_it_cannot_have_is_named_with_its_rule() -> anyhow::Result<()> {
    let scratch = Scratch::new("wrong-label", &[]).await?;
    let name = scratch.namespace.clone();
    template::make(&scratch, &json!({"defaultImage": "uv"})).await?;
    label(&name, &json!({PLACEHOLDERS_LABEL: "many"})).await?;
    let message = format!("metadata.labels[{PLACEHOLDERS_LABEL}]: \"many\" must be a number from 1 to 100");
    prepared(&name, None, reason::LABEL_INVALID, &[&message]).await?;
    template::finish(scratch).await
}

/// Gives a node so much of a resource; `None` takes it away.
async fn give(node: &str, resource: &str, amount: Option<&str>) -> anyhow::Result<()> {
    let amounts = json!({resource: amount});
    let patch = Patch::Merge(json!({"status": {"capacity": amounts, "allocatable": amounts}}));
    let nodes = Api::<Node>::all(cluster::admin().await?);
    nodes.patch_status(node, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_workspace_takes_the_room_that_a_placeholder_keeps_and_gives_it_back() -> anyhow::Result<()> {
    let scratch = Scratch::new("room", &["alice"]).await?;
    let name = scratch.namespace.clone();
    // No other pod needs this resource, of which the cluster has one.
    let room = format!("e2e.test/{name}");
    let operators = component_pods(cluster::admin().await?, "operator").await?;
    let node = operators
        .first()
        .and_then(|pod| pod.spec.as_ref()?.node_name.clone());
    let node = node.context("the operator has no node")?;
    give(&node, &room, Some("1")).await?;
    let work = async {
        let resources = json!({
            "requests": {"cpu": "10m", "memory": "64Mi", room.clone(): "1"},
            "limits": {"cpu": "1", "memory": "256Mi", room.clone(): "1"},
        });
        let spec = json!({"defaultImage": Environment::get()?.images.echo, "defaultResources": resources});
        template::make(&scratch, &spec).await?;
        label(&name, &json!({PLACEHOLDERS_LABEL: "1-with-gpu"})).await?;
        prepared(&name, None, reason::PREPARED, &["1 of 1 placeholders run."]).await?;

        let new = template::workspace(&scratch, "ws", &json!({}))?;
        let running = workspace::made(&scratch, &new).await?;
        let pod = scratch.api::<Pod>().get(&workspace::pod(&running)?).await?;
        let on = pod.spec.and_then(|spec| spec.node_name);
        anyhow::ensure!(on.as_ref() == Some(&node), "{on:?}");
        let parts = [
            "0 of 1 placeholders run. 1 pod has no node: 0/",
            &format!("Insufficient {room}"),
        ];
        prepared(&name, None, reason::PLACEHOLDERS_PENDING, &parts).await?;

        workspace::stop(&scratch.api(), "ws").await?;
        prepared(&name, None, reason::PREPARED, &[]).await?;
        template::finish(scratch).await
    };
    Box::pin(always(work, give(&node, &room, None))).await
}

/// Refuses pods of an image in the namespace of images, and waits until that is in force. Both objects have the name `name`.
async fn refuse_pods(name: &str, image: &str) -> anyhow::Result<()> {
    let (admin, namespace) = (cluster::admin().await?, images()?);
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
            }]},
            "validations": [{
                "expression": format!(
                    "(object.spec.?initContainers.orValue([]) + object.spec.containers).all(it, it.image != '{image}')"
                ),
                "message": "not on these nodes",
            }],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    }))?;
    let now = PostParams::default();
    Api::all(admin.clone()).create(&now, &policy).await?;
    Api::all(admin.clone()).create(&now, &binding).await?;
    let pod: Pod = serde_json::from_value(restricted_pod("probe", json!({"image": image}), &json!([])))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods = Api::<Pod>::namespaced(admin, &namespace);
    wait::until("pods to be refused", wait::USUAL, || async {
        match pods.create(&dry, &pod).await {
            Err(error) if error.to_string().contains("not on these nodes") => Ok(()),
            other => Err(format!("{:?}", other.map(|pod| pod.name_any()))),
        }
    })
    .await
}

#[tokio::test]
async fn pods_that_a_policy_or_the_quota_refuses_are_told_with_the_remedy() -> anyhow::Result<()> {
    let scratch = Scratch::new("no-pods", &[]).await?;
    let name = scratch.namespace.clone();
    let image = format!("127.0.0.1:1/{name}:1");
    refuse_pods(&name, &image).await?;
    // More than the quota of the local installation.
    let amounts = json!({"cpu": "10m", "memory": "2Ti"});
    let spec = json!({"defaultImage": image, "defaultResources": {"requests": amounts, "limits": amounts}});
    template::make(&scratch, &spec).await?;
    label(&name, &json!({PRE_PULL_LABEL: "true", PLACEHOLDERS_LABEL: "1"})).await?;
    let of_policy = format!("{image}: pods are refused: ValidatingAdmissionPolicy '{name}' ");
    let parts = [
        of_policy.as_str(),
        "denied request: not on these nodes: allow them in namespace ",
        "placeholders: pods are refused: exceeded quota: ",
        ": raise the quota (chart's value prePull.quota)",
    ];
    prepared(&name, Some("0/1"), reason::PRE_PULL_FAILED, &parts).await?;
    template::finish(scratch).await?;
    gone(&name).await?;
    let (admin, now) = (cluster::admin().await?, DeleteParams::default());
    Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone())
        .delete(&name, &now)
        .await?;
    Api::<ValidatingAdmissionPolicy>::all(admin)
        .delete(&name, &now)
        .await?;
    Ok(())
}

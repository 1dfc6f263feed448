//! What the operator's account may not write in the namespace of images, although its role allows it.

use anyhow::Context as _;
use e2e::{Environment, cluster};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use kube::Api;
use serde_json::{Value, json};

use crate::operator_bounds::{dry, operator, refused};

/// The image that the operator runs.
async fn own_image() -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let all = Api::<Deployment>::namespaced(cluster::admin().await?, &environment.system_namespace);
    let operator = all.get(&format!("{}-operator", environment.release)).await?;
    let pod = operator
        .spec
        .and_then(|spec| spec.template.spec)
        .context("no pod")?;
    pod.containers[0].image.clone().context("no image")
}

/// A DaemonSet as the operator plans it.
fn planned(image: &str, release: &str) -> Value {
    let security = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    let resources = json!({"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}});
    json!({
        "metadata": {"name": "pull-test"},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "pull-test"}},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": "pull-test"}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "priorityClassName": format!("{release}-pre-pull"),
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "initContainers": [{
                        "name": "image", "image": "example.com/foreign:1", "command": ["true"],
                        "resources": resources, "securityContext": security,
                    }],
                    "containers": [{
                        "name": "pause", "image": image, "args": ["pause"],
                        "resources": resources, "securityContext": security,
                    }],
                },
            },
        },
    })
}

#[tokio::test]
async fn the_operators_account_runs_nothing_but_true_of_foreign_images_and_only_in_their_namespace()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let release = &environment.release;
    let (operator, image) = (operator().await?, own_image().await?);
    let namespace = format!("{release}-images");
    let here = Api::<DaemonSet>::namespaced(operator.clone(), &namespace);
    let planned = planned(&image, release);
    let set: DaemonSet = serde_json::from_value(planned.clone())?;
    here.create(&dry(), &set).await?;
    for other in [environment.system_namespace.as_str(), "kube-system", "team-demo"] {
        let there = Api::<DaemonSet>::namespaced(operator.clone(), other);
        refused(
            there.create(&dry(), &set).await,
            "cannot create resource \"daemonsets\"",
        );
    }
    let (container, first) = ("/containers/0", "/initContainers/0");
    let root = json!({"runAsNonRoot": false, "runAsUser": 0});
    let added =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}});
    let secret =
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "registry", "key": "password"}}}]);
    let hook = json!({"postStart": {"httpGet": {"port": 80, "host": "169.254.169.254"}}});
    let (token, volumes, host, user, runs) = (
        "no service account and no token",
        "no volumes and no variables",
        "no ports, and no namespaces of their host",
        "run as user 65532",
        "and nothing else",
    );
    for (place, field, value, expected) in [
        ("", "automountServiceAccountToken", json!(true), token),
        ("", "serviceAccountName", json!("default"), token),
        (
            "",
            "volumes",
            json!([{"name": "v", "hostPath": {"path": "/"}}]),
            volumes,
        ),
        (
            "",
            "volumes",
            json!([{"name": "v", "secret": {"secretName": "registry"}}]),
            volumes,
        ),
        (first, "env", secret.clone(), volumes),
        (container, "env", secret, volumes),
        ("", "hostNetwork", json!(true), host),
        ("", "hostPID", json!(true), host),
        ("", "hostIPC", json!(true), host),
        (
            container,
            "ports",
            json!([{"containerPort": 80, "hostPort": 80}]),
            host,
        ),
        ("", "securityContext", root.clone(), user),
        (first, "securityContext", root, user),
        (first, "securityContext", added, user),
        (container, "securityContext", json!({"privileged": true}), user),
        (first, "resources", json!({}), "a limit of memory"),
        (first, "command", json!(["sh"]), runs),
        (first, "args", json!(["-c"]), runs),
        (container, "image", json!("example.com/foreign:1"), runs),
        (container, "args", json!(["apply-crds"]), runs),
        (container, "lifecycle", hook, runs),
        (
            "",
            "priorityClassName",
            json!("system-node-critical"),
            "give way to workspaces",
        ),
    ] {
        let mut wrong = planned.clone();
        let at = wrong
            .pointer_mut(&format!("/spec/template/spec{place}"))
            .context("no such place")?;
        at[field] = value;
        let wrong: DaemonSet = serde_json::from_value(wrong)?;
        refused(here.create(&dry(), &wrong).await, expected);
    }
    // The other kind is bounded as well.
    let mut deployment = planned;
    deployment["spec"]["replicas"] = json!(1);
    let deployments = Api::<Deployment>::namespaced(operator, &namespace);
    deployments
        .create(&dry(), &serde_json::from_value(deployment.clone())?)
        .await?;
    deployment["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
    let wrong: Deployment = serde_json::from_value(deployment)?;
    refused(deployments.create(&dry(), &wrong).await, host);
    Ok(())
}

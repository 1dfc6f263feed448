//! Pods -> output of commands in them, test pods, and whether they are ready (IO).

use anyhow::Context as _;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{AttachParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{Environment, wait};

/// Runs a command in the only container of a pod and returns its output.
pub async fn exec(pods: &Api<Pod>, pod: &str, command: &[&str]) -> anyhow::Result<String> {
    run(pods, pod, AttachParams::default(), command).await
}

/// Runs a command in a container of a pod and returns its output.
pub async fn exec_in(
    pods: &Api<Pod>,
    pod: &str,
    container: &str,
    command: &[&str],
) -> anyhow::Result<String> {
    run(pods, pod, AttachParams::default().container(container), command).await
}

async fn run(pods: &Api<Pod>, pod: &str, attached: AttachParams, command: &[&str]) -> anyhow::Result<String> {
    let attached = attached.stderr(true);
    let mut process = pods.exec(pod, command.to_vec(), &attached).await?;
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = process.stdout().context("no standard output")?;
    let mut stderr = process.stderr().context("no standard error")?;
    let status = process.take_status().context("no status")?;
    let (read_out, read_err) = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    read_out?;
    read_err?;
    let status = status.await.context("the command's status was lost")?;
    anyhow::ensure!(
        status.status.as_deref() == Some("Success"),
        "{command:?} in {pod}: {status:?}: {err}"
    );
    Ok(out)
}

/// Whether a pod's process can connect to an address; prints `yes` or `no`.
const CONNECT: &str = "
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
    print('yes')
except OSError:
    print('no')
";

/// Whether a process of this pod, which has Python, can connect to an address.
///
/// # Errors
/// The process cannot run.
pub async fn connects(pods: &Api<Pod>, from: &str, address: &str, port: i32) -> anyhow::Result<bool> {
    let command = ["python3", "-c", CONNECT, address, &port.to_string()];
    Ok(exec(pods, from, &command).await?.trim() == "yes")
}

/// A pod of one container that meets Pod Security `restricted`. It is as JSON, for [`serde_json::from_value`].
pub fn restricted_pod(name: &str, mut container: Value, volumes: &Value) -> Value {
    container["name"] = json!(name);
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": volumes,
        },
    })
}

/// Starts a pod of a server at port 8888, and waits until it is ready.
pub async fn run_pod(pods: &Api<Pod>, name: &str, image: &str) -> anyhow::Result<Pod> {
    let server = json!({
        "image": image,
        "imagePullPolicy": "Never",
        "ports": [{"containerPort": 8888}],
        "readinessProbe": {"tcpSocket": {"port": 8888}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    });
    let pod = restricted_pod(name, server, &json!([{"name": "tmp", "emptyDir": {}}]));
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    wait_until_ready(pods, name).await
}

/// Waits until a pod is ready.
pub async fn wait_until_ready(pods: &Api<Pod>, name: &str) -> anyhow::Result<Pod> {
    wait::until(&format!("the pod {name} to be ready"), wait::USUAL, || async {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if is_ready(&pod) {
            Ok(pod)
        } else {
            Err(format!("{:?}", pod.status))
        }
    })
    .await
}

/// Whether a pod's condition `Ready` is true and it is not being deleted.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.metadata.deletion_timestamp.is_none()
        && conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Whether all containers of a pod have ended for good. The pod is listed until it is deleted.
pub fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// The pods of one of the product's components.
pub async fn component_pods(client: Client, component: &str) -> anyhow::Result<Vec<Pod>> {
    let namespace = &Environment::get()?.system_namespace;
    let pods = Api::<Pod>::namespaced(client, namespace);
    Ok(pods.list(&of_component(component)).await?.items)
}

/// Selects the pods of one of the product's components.
pub(crate) fn of_component(component: &str) -> ListParams {
    let selector = format!("app.kubernetes.io/part-of=jupyter-k8s,app.kubernetes.io/component={component}");
    ListParams::default().labels(&selector)
}

/// Metadata with a name.
pub fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

//! A chart -> its CRDs, and operator and webhook, as files for `kubectl apply` (IO: runs `helm`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::chart::NAME;
use crate::exec::Cmd;

/// Namespace of the objects.
pub(super) const NAMESPACE: &str = "jupyter-k8s-system";
/// Values of the rendering, in the chart's folder.
const VALUES: &str = "install-values.yaml";
/// Kinds of the chart's objects that are in no namespace.
const CLUSTER_WIDE: [&str; 10] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PriorityClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// The chart's CRDs in one file.
///
/// # Errors
/// When they cannot be read.
pub(super) fn crds(chart: &Path) -> anyhow::Result<String> {
    let folder = chart.join("crds");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    files.sort();
    let texts = files.iter().map(|file| {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(format!("---\n{}\n", text.trim_end()))
    });
    texts.collect()
}

/// What a cluster needs where another gateway and proxy serve workspaces: namespace, CRDs, operator and webhook.
///
/// # Errors
/// When the packaged chart does not render.
pub(super) fn install(helm: &Path, package: &Path, chart: &Path) -> anyhow::Result<String> {
    let rendered = Cmd::new(helm)
        .args(["template", NAME])
        .arg(package)
        .args(["--namespace", NAMESPACE, "--no-hooks", "--values"])
        .arg(chart.join(VALUES))
        .output()?;
    let rendered: Vec<Value> = serde_saphyr::from_multiple(&rendered).context("what helm renders")?;
    let mut text = crds(chart)?;
    for object in std::iter::once(namespace()).chain(rendered.into_iter().filter_map(applicable)) {
        text += &format!("---\n{}\n", serde_saphyr::to_string(&object)?.trim_end());
    }
    Ok(text)
}

fn namespace() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    })
}

/// The object in its namespace. None of our own kinds: the webhook, which has to admit them, does not run before the file is applied.
fn applicable(mut object: Value) -> Option<Value> {
    let ours = object["apiVersion"]
        .as_str()?
        .starts_with("workspaces.jupyter.org/");
    let kind = object["kind"].as_str()?;
    if !CLUSTER_WIDE.contains(&kind) && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = json!(NAMESPACE);
    }
    (!ours).then_some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_get_the_namespace_that_they_lack_and_our_own_kinds_are_left_out() {
        let object =
            |api: &str, kind: &str, meta: Value| json!({"apiVersion": api, "kind": kind, "metadata": meta});
        let namespace = |object| applicable(object).map(|object| object["metadata"]["namespace"].clone());
        assert_eq!(
            namespace(object("apps/v1", "Deployment", json!({"name": "a"}))),
            Some(json!(NAMESPACE))
        );
        assert_eq!(
            namespace(object("v1", "ConfigMap", json!({"name": "a", "namespace": "b"}))),
            Some(json!("b"))
        );
        assert_eq!(
            namespace(object(
                "scheduling.k8s.io/v1",
                "PriorityClass",
                json!({"name": "a"})
            )),
            Some(Value::Null)
        );
        let ours = object(
            "workspaces.jupyter.org/v1alpha1",
            "WorkspaceManager",
            json!({"name": "a"}),
        );
        assert_eq!(applicable(ours), None);
        assert_eq!(applicable(Value::Null), None);
    }
}

//! What a cluster excludes -> `helm install` says so, and writes nothing of the release.

use std::collections::BTreeSet;

use anyhow::ensure;
use e2e::command::shell::Helm;
use serde_json::{Value, json};

use crate::{
    renderings::NAMESPACE,
    server::{Empty, chart},
};

/// A CRD of another product under a name of ours.
const FOREIGN: &str = "workspaces.workspaces.jupyter.org";
/// The annotation by which it is known.
const GENERATOR: &str = "controller-gen.kubebuilder.io/version";
/// What `helm install` says of it.
const SENTENCE: &str = r#"release: the CustomResourceDefinition "workspaces.workspaces.jupyter.org" of this cluster must be of this product"#;

/// Values of an installation.
const VALUES: &str = "--set image.registry=registry.example.com/jupyter-k8s --set routing.baseDomain=workspaces.example.org \
                      --set oidc.issuerUrl=https://id.example.com/realm --set proxy.tls.secretName=tls";
/// All objects but those that Helm writes before it renders, and those that the API server writes by itself.
const OBJECTS: &str = "kinds=$(kubectl api-resources --verbs=list -o name | grep -v \
                         -e '^customresourcedefinitions' -e '^apiservices' -e '^componentstatuses' -e '^events' -e '^leases' | paste -sd, -)
                       kubectl get \"$kinds\" -A -o name";

#[tokio::test]
async fn what_the_cluster_excludes_is_refused_by_both_helms_before_an_object_of_the_release_is_written()
-> anyhow::Result<()> {
    let empty = Empty::start("refused").await?;
    empty.shell.write("foreign.json", foreign().to_string())?;
    let cluster = format!(
        "kubectl create namespace {NAMESPACE}
         kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted
         kubectl create -f foreign.json
         kubectl wait --for=condition=Established crd/{FOREIGN} --timeout=1m"
    );
    empty.run(&cluster).await?;
    let read = format!("kubectl get crd {FOREIGN} -o jsonpath='{{.metadata.annotations}} {{.spec}}'");
    let (before, definition) = (objects(&empty).await?, empty.run(&read).await?);
    ensure!(
        before.contains(&format!("namespace/{NAMESPACE}")),
        "{before:?} lacks the namespace"
    );

    let install = format!(
        "helm install jupyter-k8s {} -n {NAMESPACE} {VALUES}",
        chart()?.display()
    );
    // Helm 4 applies CRDs before it renders, and itself refuses those that another manager wrote.
    let conflict = format!("conflict occurred while applying object /{FOREIGN}");
    for (helm, option, expected) in [
        (Helm::Three, "", SENTENCE),
        (Helm::Four, "", conflict.as_str()),
        (Helm::Four, "--skip-crds", SENTENCE),
    ] {
        let (code, _, said) = empty.outcome(helm, &format!("{install} {option}")).await?;
        ensure!(code != 0, "{helm:?} {option} installs");
        ensure!(
            said.contains(expected),
            "{helm:?} {option} does not say {expected:?}: {said}"
        );
        let after = objects(&empty).await?;
        let written: Vec<_> = after.symmetric_difference(&before).collect();
        ensure!(written.is_empty(), "{helm:?} wrote {written:?}");
        let now = empty.run(&read).await?;
        ensure!(now == definition, "{helm:?} changed {definition} to {now}");
    }

    // The control: nothing else is refused.
    let good = format!(
        "kubectl annotate crd {FOREIGN} {GENERATOR}-
         {install} --dry-run=server"
    );
    let (code, _, said) = empty.outcome(Helm::Four, &good).await?;
    ensure!(code == 0, "{said}");
    Ok(())
}

async fn objects(empty: &Empty) -> anyhow::Result<BTreeSet<String>> {
    Ok(empty.run(OBJECTS).await?.lines().map(str::to_owned).collect())
}

fn foreign() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": FOREIGN, "annotations": {GENERATOR: "v0.17.2"}},
        "spec": {
            "group": "workspaces.jupyter.org",
            "scope": "Namespaced",
            "names": {"plural": "workspaces", "singular": "workspace", "kind": "Workspace", "listKind": "WorkspaceList"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
        },
    })
}

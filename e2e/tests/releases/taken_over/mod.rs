//! Disks of the earlier jupyter-k8s, taken over by the steps that `kubectl workspace import` prints.
//!
//! The old definitions have a resource `workspaces`, which shadows this product's in `kubectl get workspaces`. So this runs alone.

use std::{fs, path::Path};

use anyhow::Context as _;
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch, exec, is_ready},
    command::{self, administered, apply, shell_by},
    objects::{template, workspace},
    test_run::finally::always,
    wait,
};
use k8s_openapi::{
    api::{
        core::v1::{PersistentVolume, PersistentVolumeClaim, Pod},
        rbac::v1::ClusterRole,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use self::printed::Steps;

mod hub;
mod printed;

const GROUP: &str = "workspace.jupyter.org";
const FINALIZER: &str = "workspace.jupyter.org/cleanup-protection";
const TEMPLATE_FINALIZER: &str = "workspace.jupyter.org/template-protection";
const NAMES: [&str; 3] = ["first", "second", "third"];
/// The Role that the steps make for who applies the workspaces.
const IMPORTER: &str = "workspace-importer";
/// Its claim's owner is not taken away, and it is deleted without the printed step.
const CONTROL: &str = "control";
/// Writes a file of random bytes once, and says its sum.
const WRITE: &str =
    "cd /home/jovyan; test -e data || { head -c 3000000 /dev/urandom > part && mv part data; }";
const SUM: &str = "python3 -c \"import hashlib; print(hashlib.sha256(open('/home/jovyan/data', 'rb').read()).hexdigest())\"";

#[tokio::test]
async fn three_disks_of_the_earlier_jupyter_k8s_are_taken_over_by_the_printed_steps_and_a_step_left_out_loses_one()
-> anyhow::Result<()> {
    let scratch = Scratch::new("taken-over", &["alice"]).await?;
    always(Box::pin(take_over(&scratch)), forget()).await?;
    template::finish(scratch).await
}

async fn take_over(scratch: &Scratch) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    apply(&definitions()).await?;
    let crds = ["workspaces", "workspacetemplates"].map(|plural| format!("crd/{plural}.{GROUP}"));
    let established = ["wait", "--for=condition=Established", "--timeout=1m"];
    administered(&[&established[..], &[&crds[0], &crds[1]]].concat(), "").await?;
    let old_template = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "WorkspaceTemplate",
        "metadata": {"name": scratch.namespace, "namespace": scratch.namespace, "finalizers": [TEMPLATE_FINALIZER]},
        "spec": {"displayName": "Template of a test", "defaultImage": environment.images.echo},
    });
    apply(&[old_template]).await?;
    let mut sums = Vec::new();
    for name in NAMES.into_iter().chain([CONTROL]) {
        old_workspace(scratch, name).await?;
        sums.push(old_sum(scratch, name).await?);
    }
    let folder = tempfile::tempdir()?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    let volumes = Api::<PersistentVolume>::all(cluster::admin().await?);

    // The control: without the step for owners the printed deletion refuses, and any other deletion takes the claim along.
    let control = import(scratch, &[CONTROL], &folder.path().join("control")).await?;
    let volume = volume_of(&claims, CONTROL).await?;
    for step in ["Keep the volumes", "Stop the old operator"] {
        control.run(step).await?;
    }
    refuses_to_delete(&control, &claims).await?;
    delete_old(scratch, CONTROL).await?;
    wait::until("the claim to be lost", wait::USUAL, || async {
        let found = claims
            .get_opt(&claim(CONTROL))
            .await
            .map_err(|error| error.to_string())?;
        found.map_or(Ok(()), |left| Err(format!("{:?}", left.metadata)))
    })
    .await?;
    assert!(
        volumes.get_opt(&volume).await?.is_some(),
        "its volume is kept all the same"
    );
    control.run("Give the volumes").await?;

    let steps = import(scratch, &NAMES, &folder.path().join("out")).await?;
    let policies = policies(&claims, &volumes).await?;
    // The last step deletes nothing while an old Workspace is left. The control is its run at the end.
    let refused = steps.run("Uninstall the old chart").await;
    assert!(
        matches!(&refused, Err(error) if format!("{error:#}").contains("so nothing is deleted")),
        "{refused:?}"
    );
    let (until_created, rest) = steps.split("Start each once")?;
    for step in until_created {
        // Each may be run again.
        for _ in 0..2 {
            steps.execute(step).await?;
        }
        if step.title.starts_with("Delete the old") {
            let phases = steps.check(step).await?;
            assert_eq!(phases.lines().collect::<Vec<_>>(), ["Bound"; 3]);
        }
    }
    let workspaces: Api<Workspace> = scratch.api();
    for (name, sum) in NAMES.into_iter().zip(&sums) {
        workspace::reached(&workspaces, name, Phase::Stopped).await?;
        administered(
            &["workspace", "start", "-n", &scratch.namespace, name, "--wait"],
            "",
        )
        .await?;
        let running = workspace::reached(&workspaces, name, Phase::Running).await?;
        let pod = workspace::pod(&running)?;
        assert_eq!(&sum_in(&scratch.api(), &pod).await?, sum, "{name}");
        workspace::stop(&workspaces, name).await?;
    }
    for step in rest {
        let printed = steps.execute(step).await?;
        if step.title.starts_with("Start each once") {
            assert_eq!(
                printed.lines().filter(|line| *line == "data").count(),
                3,
                "{printed}"
            );
        }
    }
    assert_eq!(self::policies(&claims, &volumes).await?, policies);
    for name in NAMES {
        let disk = claims.get(&claim(name)).await?;
        assert_eq!(disk.owner_references(), [], "{name}");
        assert_eq!(
            workspaces.get(name).await?.annotations()[api::names::CREATED_BY],
            "alice"
        );
    }
    let all = Api::<CustomResourceDefinition>::all(cluster::admin().await?);
    for plural in ["workspaces", "workspacetemplates"] {
        assert!(all.get_opt(&format!("{plural}.{GROUP}")).await?.is_none());
    }
    let roles = Api::<ClusterRole>::all(cluster::admin().await?);
    assert!(roles.get_opt(IMPORTER).await?.is_none());
    Ok(())
}

/// Definitions of the old group, with the mark of the program that wrote them.
fn definitions() -> Vec<Value> {
    let kinds = [
        ("Workspace", "workspace", "workspaces"),
        ("WorkspaceTemplate", "workspacetemplate", "workspacetemplates"),
    ];
    let definition = |(kind, singular, plural)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{GROUP}"),
                "annotations": {"controller-gen.kubebuilder.io/version": "v0.18.0"},
            },
            "spec": {
                "group": GROUP, "scope": "Namespaced",
                "names": {"kind": kind, "listKind": format!("{kind}List"), "singular": singular, "plural": plural},
                "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                }}}],
            },
        })
    };
    kinds.into_iter().map(definition).collect()
}

/// Deletes the old definitions, with what is left of their objects, and the Role of the steps.
async fn forget() -> anyhow::Result<()> {
    let kinds = ["workspaces", "workspacetemplates"].map(|plural| format!("{plural}.{GROUP}"));
    for objects in &kinds {
        let found = command::administer(&["get", objects, "-A", "-o", "name", "--ignore-not-found"]).await?;
        if found.code != 0 || found.stdout.is_empty() {
            continue;
        }
        // No operator removes the finalizers.
        let script = format!(
            "kubectl get {objects} -A -o jsonpath='{{range .items[*]}}{{.metadata.namespace}} {{.metadata.name}}{{\"\\n\"}}{{end}}' | while read -r \
             namespace name; do kubectl -n \"$namespace\" patch {objects} \"$name\" --type=merge -p '{{\"metadata\": {{\"finalizers\": null}}}}'; done"
        );
        shell_by(&Environment::get()?.kubeconfig, &script).await?;
    }
    let [objects, templates] = &kinds;
    administered(&["delete", "crd", objects, templates, "--ignore-not-found"], "").await?;
    let roles = "clusterrole,clusterrolebinding";
    administered(&["delete", roles, IMPORTER, "--ignore-not-found"], "")
        .await
        .map(drop)
}

fn claim(name: &str) -> String {
    format!("workspace-{name}-pvc")
}

/// An old object with a finalizer, which owns a claim and a Deployment whose pod wrote a file.
async fn old_workspace(scratch: &Scratch, name: &str) -> anyhow::Result<()> {
    let namespace = &scratch.namespace;
    let old = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Workspace",
        "metadata": {
            "name": name, "namespace": namespace, "finalizers": [FINALIZER],
            "annotations": {"workspace.jupyter.org/created-by": "alice"},
        },
        "spec": {
            "displayName": name, "image": Environment::get()?.images.echo,
            "templateRef": {"name": namespace, "namespace": namespace},
            "storage": {"size": "100Mi", "mountPath": "/home/jovyan"},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        },
    });
    apply(&[old]).await?;
    let kind = format!("workspaces.{GROUP}");
    let uid = [
        "get",
        &kind,
        name,
        "-n",
        namespace,
        "-o",
        "jsonpath={.metadata.uid}",
    ];
    let uid = administered(&uid, "").await?;
    let owner = json!([{
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Workspace", "name": name, "uid": uid, "controller": true,
        "blockOwnerDeletion": true,
    }]);
    let labels = json!({"app": "jupyter", "workspace.jupyter.org/workspace-name": name});
    let mut pod = cluster::restricted_pod(
        name,
        json!({
            "image": Environment::get()?.images.echo,
            "imagePullPolicy": "Never",
            "command": ["sh", "-c", format!("{WRITE}; exec sleep 3600")],
            "volumeMounts": [{"name": "workspace-storage", "mountPath": "/home/jovyan"}],
            "readinessProbe": {"exec": {"command": ["test", "-e", "/home/jovyan/data"]}, "periodSeconds": 1},
        }),
        &json!([{"name": "workspace-storage", "persistentVolumeClaim": {"claimName": claim(name)}}]),
    );
    let spec = pod["spec"].take();
    apply(&[
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim(name), "namespace": namespace, "ownerReferences": owner},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": format!("workspace-{name}"), "namespace": namespace, "ownerReferences": owner},
            "spec": {
                "strategy": {"type": "Recreate"}, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        }),
    ])
    .await
}

/// The printed deletion names the claim whose owner was not taken away, and deletes nothing.
async fn refuses_to_delete(control: &Steps, claims: &Api<PersistentVolumeClaim>) -> anyhow::Result<()> {
    let refused = control.run("Delete the old").await;
    let names_the_claim = |error: &anyhow::Error| format!("{error:#}").contains(&claim(CONTROL));
    assert!(
        matches!(&refused, Err(error) if names_the_claim(error)),
        "{refused:?}"
    );
    assert!(claims.get_opt(&claim(CONTROL)).await?.is_some());
    Ok(())
}

/// Deletes an old object, as who does not know the steps.
async fn delete_old(scratch: &Scratch, name: &str) -> anyhow::Result<()> {
    let old = format!("workspaces.{GROUP}/{name}");
    let finalizers = r#"{"metadata": {"finalizers": null}}"#;
    let namespace = scratch.namespace.as_str();
    administered(
        &["-n", namespace, "patch", &old, "--type=merge", "-p", finalizers],
        "",
    )
    .await?;
    administered(&["-n", namespace, "delete", &old, "--timeout=2m"], "")
        .await
        .map(drop)
}

/// Name of a pod with this label, once it is ready.
async fn ready_pod(pods: &Api<Pod>, label: &str) -> anyhow::Result<String> {
    wait::until(
        &format!("a pod with {label} to be ready"),
        wait::USUAL,
        || async {
            let found = pods.list(&ListParams::default().labels(label)).await;
            let found = found.map_err(|error| error.to_string())?.items;
            let ready = found
                .iter()
                .find(|pod| is_ready(pod))
                .map(kube::ResourceExt::name_any);
            ready.ok_or_else(|| format!("{found:?}"))
        },
    )
    .await
}

/// Sum of the file that the old pod wrote.
async fn old_sum(scratch: &Scratch, name: &str) -> anyhow::Result<String> {
    let pods = scratch.api::<Pod>();
    let label = format!("workspace.jupyter.org/workspace-name={name}");
    let pod = ready_pod(&pods, &label).await?;
    sum_in(&pods, &pod).await
}

/// Sum of the file in a pod.
async fn sum_in(pods: &Api<Pod>, pod: &str) -> anyhow::Result<String> {
    Ok(exec(pods, pod, &["sh", "-c", SUM]).await?.trim().to_owned())
}

async fn volume_of(claims: &Api<PersistentVolumeClaim>, name: &str) -> anyhow::Result<String> {
    let spec = claims.get(&claim(name)).await?.spec;
    spec.and_then(|spec| spec.volume_name)
        .context("the claim has no volume")
}

/// Reclaim policies of the volumes.
async fn policies(
    claims: &Api<PersistentVolumeClaim>,
    volumes: &Api<PersistentVolume>,
) -> anyhow::Result<Vec<Option<String>>> {
    let mut policies = Vec::new();
    for name in NAMES {
        let volume = volumes.get(&volume_of(claims, name).await?).await?;
        policies.push(volume.spec.and_then(|spec| spec.persistent_volume_reclaim_policy));
    }
    Ok(policies)
}

/// Exports these old objects, and imports them into a folder.
async fn import(scratch: &Scratch, names: &[&str], folder: &Path) -> anyhow::Result<Steps> {
    let namespace = ["-n", &scratch.namespace, "-o", "json"];
    let kind = format!("workspaces.{GROUP}");
    let objects = administered(&[&["get", &kind][..], names, &namespace].concat(), "").await?;
    let kinds = format!("workspacetemplates.{GROUP},pvc");
    let others = administered(&[&["get", &kinds][..], &namespace].concat(), "").await?;
    let folder = folder.display().to_string();
    let [first, second] = ["objects", "others"].map(|name| format!("{folder}-{name}.json"));
    fs::write(&first, objects)?;
    fs::write(&second, others)?;
    let import = [
        "workspace",
        "import",
        "jupyter-k8s",
        "-f",
        &first,
        "-f",
        &second,
        "--dir",
        &folder,
    ];
    let imported = command::administer(&import).await?;
    assert_eq!(imported.code, 0, "{imported:?}");
    Steps::of(Path::new(&folder), "")
}

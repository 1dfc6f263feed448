//! Settings, volumes and secrets that reach a workspace's pod.

use api::{Workspace, WorkspaceTemplate, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::workspace,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// A workspace with this spec, made by an administrator, and its pod once that is ready.
async fn run(scratch: &Scratch, name: &str, spec: Value) -> anyhow::Result<(Workspace, Pod)> {
    let mut whole = json!(workspace::echo(name)?);
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole["spec"][key] = value.clone();
    }
    if spec.get("templateRef").is_some() {
        // The template says which.
        for key in ["image", "resources"] {
            whole["spec"][key] = spec.get(key).cloned().unwrap_or_default();
        }
    }
    let workspaces = scratch.api::<Workspace>();
    workspaces
        .create(&PostParams::default(), &serde_json::from_value(whole)?)
        .await?;
    let ws = workspace::reached(&workspaces, name, Phase::Running).await?;
    let pod = workspace::pod(&ws)?;
    Ok((ws, scratch.api::<Pod>().get(&pod).await?))
}

async fn shell(scratch: &Scratch, pod: &Pod, script: &str) -> anyhow::Result<String> {
    let out = cluster::exec(&scratch.api(), &pod.name_any(), &["sh", "-c", script]).await?;
    Ok(out.trim().to_owned())
}

/// Size in bytes of the file system at `path`.
async fn size(scratch: &Scratch, pod: &Pod, path: &str) -> anyhow::Result<String> {
    let script = format!("import os; s = os.statvfs('{path}'); print(s.f_frsize * s.f_blocks)");
    let out = cluster::exec(&scratch.api(), &pod.name_any(), &["python3", "-c", &script]).await?;
    Ok(out.trim().to_owned())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one template with all its fields")]
async fn template_values_apply_and_workspace_values_override_them() -> anyhow::Result<()> {
    let scratch = Scratch::new("template", &[]).await?;
    let echo = &Environment::get()?.images.echo;
    let template: WorkspaceTemplate = serde_json::from_value(json!({
        "apiVersion": "workspaces.jupyter.org/v1alpha1", "kind": "WorkspaceTemplate",
        "metadata": {"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
        "spec": {
            "displayName": "All of it", "defaultImage": echo,
            "defaultResources": {"requests": {"cpu": "30m", "memory": "48Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
            "primaryStorage": {"defaultSize": "64Mi", "defaultMountPath": "/work"},
            "environmentVariables": [{"name": "COLOUR", "value": "blue"}, {"name": "SHAPE", "value": "round"}],
            "defaultShmSize": "32Mi",
            "baseLabels": [{"name": "example.com/course", "value": "ml"}],
            "baseAnnotations": [
                {"name": "cluster-autoscaler.kubernetes.io/safe-to-evict", "value": "false"},
                {"name": "example.com/of", "value": "{workspace.name}"},
            ],
            "allowedPodAnnotations": ["example.com/"],
            "defaultNodeSelector": {"kubernetes.io/os": "linux"},
            "defaultTolerations": [{"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "defaultAffinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "preference": {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]}},
            ]}},
            "defaultLifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "echo started > /work/hook"]}}},
            "defaultReadinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
            "defaultPodSecurityContext": {"fsGroup": 2000, "supplementalGroups": [3000]},
            "defaultContainerSecurityContext": {"runAsUser": 1234},
            "defaultInitContainers": [
                {"name": "prepare", "image": echo, "command": ["sh", "-c", "echo $HOME $WORKSPACE_RUN_ID > $HOME/prepared"]},
            ],
        },
    }))?;
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    templates.create(&PostParams::default(), &template).await?;

    let named = json!({"templateRef": scratch.namespace});
    let (ws, pod) = run(&scratch, "plain", named.clone()).await?;
    let seen = shell(
        &scratch,
        &pod,
        "echo $COLOUR $SHAPE $HOME; id -u; id -G; cat /work/hook; cat /work/prepared",
    )
    .await?;
    let run_id = ws
        .status
        .clone()
        .and_then(|status| status.run_id)
        .unwrap_or_default();
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[..2], ["blue round /work", "1234"]);
    let groups: Vec<_> = lines[2].split(' ').collect();
    assert!(groups.contains(&"2000") && groups.contains(&"3000"), "{groups:?}");
    assert_eq!(lines[3..], ["started".to_owned(), format!("/work {run_id}")]);
    assert_eq!(
        size(&scratch, &pod, "/dev/shm").await?,
        (32 * 1024 * 1024).to_string()
    );
    assert_eq!(pod.labels()["example.com/course"], "ml");
    assert_eq!(pod.labels()[names::WORKSPACE_LABEL], "plain");
    let annotations = pod.annotations();
    assert_eq!(
        annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"],
        "false"
    );
    assert_eq!(annotations["example.com/of"], "plain");
    for user in [names::CREATED_BY, names::LAST_UPDATED_BY] {
        assert_eq!(annotations.get(user), ws.annotations().get(user), "{user}");
        assert!(annotations.contains_key(user), "{user}");
    }
    let spec = json!(pod.spec);
    let container = &spec["containers"][0];
    assert_eq!(
        container["resources"]["limits"],
        json!({"cpu": "500m", "memory": "256Mi"})
    );
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready");
    assert_eq!(spec["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    let tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    assert!(
        tolerations.contains(&json!(template.spec.default_tolerations[0])),
        "{tolerations:?}"
    );
    assert_eq!(spec["affinity"], json!(template.spec.default_affinity));
    workspace::delete(&scratch.api(), "plain").await?;

    let mut own = named;
    own["env"] = json!([{"name": "COLOUR", "value": "red"}]);
    own["shmSize"] = json!("16Mi");
    own["podAnnotations"] = json!({"example.com/of": "me", "example.com/more": "1"});
    own["resources"] = json!({"limits": {"cpu": "600m"}});
    own["storage"] = json!({"mountPath": "/elsewhere", "subPath": "alice"});
    own["lifecycle"] = json!({"postStart": {"exec": {"command": ["true"]}}});
    let (_, pod) = run(&scratch, "own", own).await?;
    let seen = shell(
        &scratch,
        &pod,
        "echo $COLOUR $SHAPE $HOME; cat /elsewhere/prepared; ls /elsewhere",
    )
    .await?;
    let lines: Vec<_> = seen.lines().collect();
    assert_eq!(lines[0], "red round /elsewhere");
    assert!(lines[1].starts_with("/elsewhere "), "{lines:?}");
    assert!(!lines.contains(&"hook"), "{lines:?}");
    assert_eq!(
        size(&scratch, &pod, "/dev/shm").await?,
        (16 * 1024 * 1024).to_string()
    );
    let limits = json!(pod.spec)["containers"][0]["resources"]["limits"].clone();
    assert_eq!(limits, json!({"cpu": "600m", "memory": "256Mi"}));
    workspace::delete(&scratch.api(), "own").await?;
    templates
        .delete(&scratch.namespace, &DeleteParams::default())
        .await?;
    scratch.finish().await
}

#[tokio::test]
async fn additional_volumes_shared_memory_and_secrets_are_mounted() -> anyhow::Result<()> {
    let scratch = Scratch::new("volumes", &[]).await?;
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }))?;
    scratch.api().create(&PostParams::default(), &claim).await?;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"key": "sesame"}}))?;
    scratch.api().create(&PostParams::default(), &secret).await?;
    let disk = |read_only: bool| json!([{"name": "data", "persistentVolumeClaimName": "data", "mountPath": "/data", "readOnly": read_only}]);
    let spec = json!({
        "volumes": disk(false),
        "shmSize": "96Mi",
        "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}],
    });
    let (_, pod) = run(&scratch, "writer", spec).await?;
    assert_eq!(
        shell(&scratch, &pod, "echo kept > /data/file; echo $KEY").await?,
        "sesame"
    );
    assert_eq!(
        size(&scratch, &pod, "/dev/shm").await?,
        (96 * 1024 * 1024).to_string()
    );
    workspace::delete(&scratch.api(), "writer").await?;
    let (_, pod) = run(&scratch, "reader", json!({"volumes": disk(true)})).await?;
    let seen = shell(
        &scratch,
        &pod,
        "cat /data/file; echo more 2>&1 > /data/file; echo $?",
    )
    .await;
    let seen = seen?;
    assert!(seen.starts_with("kept") && !seen.ends_with("\n0"), "{seen}");

    let taken =
        json!([{"name": "workspace-storage", "persistentVolumeClaimName": "data", "mountPath": "/x"}]);
    let mut refused = workspace::echo("refused")?;
    refused.spec.volumes = serde_json::from_value(taken)?;
    let workspaces = scratch.api::<Workspace>();
    let error = workspaces.create(&PostParams::default(), &refused).await;
    let error = error.map(drop).map_err(|error| error.to_string()).unwrap_err();
    assert!(
        error.contains("spec.volumes") && error.contains("workspace-storage"),
        "{error}"
    );
    scratch.finish().await
}

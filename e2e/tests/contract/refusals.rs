//! Values that no user may write, as the API server refuses them.

use api::{WorkspaceShare, WorkspaceTemplate};
use e2e::{
    cluster::{self, Scratch},
    objects::template,
};
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::rules::judged;

#[tokio::test]
async fn fields_reserved_to_templates_invalid_pod_fields_and_large_specs_are_refused_at_once()
-> anyhow::Result<()> {
    let scratch = Scratch::new("kept", &["alice"]).await?;
    // Permissions are checked before the rest.
    let claims = json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["use"]}]);
    scratch.grant("claims", "alice", &claims).await?;
    let rest = json!({"defaultImage": "uv", "allowSecondaryStorages": false});
    template::make(&scratch, &rest).await?;
    let everything = json!({
        "nodeSelector": {"a": "b"},
        "affinity": {},
        "tolerations": [{"operator": "Exists"}],
        "podSecurityContext": {"runAsUser": 0, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
        "containerSecurityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}},
        "volumes": [{"name": "v", "persistentVolumeClaimName": "workspace-judged", "mountPath": "/tmp"}],
        "initContainers": [{
            "name": "i", "image": "uv",
            "ports": [{"containerPort": 1, "hostPort": 80}],
            "volumeMounts": [{"name": "elsewhere", "mountPath": "/x"}],
        }],
        "readinessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}},
        "lifecycle": {"postStart": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}},
        "env": [{"name": "H", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
        "variables": {"owner.name": "root"},
    });
    let expected = vec![
        "spec.nodeSelector: is the template's to decide (allowCustomScheduling is false)",
        "spec.affinity: is the template's",
        "spec.tolerations: is the template's",
        "spec.podSecurityContext: is the template's",
        "spec.containerSecurityContext: is the template's",
        "spec.volumes: is the template's",
        "spec.initContainers: is the template's",
        "spec.podSecurityContext.runAsUser",
        "spec.podSecurityContext.sysctls[0].name",
        "spec.containerSecurityContext.privileged",
        "spec.containerSecurityContext.capabilities.add[0]",
        "Pod Security restricted",
        "spec.volumes[0].persistentVolumeClaimName",
        "spec.volumes[0].mountPath",
        "spec.initContainers[0].ports[0].hostPort",
        "spec.initContainers[0].volumeMounts[0].name",
        "spec.readinessProbe.httpGet.host",
        "spec.lifecycle.postStart.tcpSocket.host",
        "spec.env[0].valueFrom.fieldRef.fieldPath",
        "spec.variables[owner.name]",
    ];
    judged(&scratch, [(everything, expected)]).await?;
    let env = |bytes: usize| {
        json!({"env": [
            {"name": "A", "value": "x".repeat(bytes / 2)}, {"name": "B", "value": "x".repeat(bytes / 2)},
        ]})
    };
    judged(
        &scratch,
        [
            (env(60_000), vec![]),
            (env(65_500), vec!["more than the maximum 65536"]),
        ],
    )
    .await?;

    // A template may lower the level, and then allow more, but only as far as that level allows.
    let open = format!("{}-open", scratch.namespace);
    let rest = json!({"defaultImage": "uv", "podSecurity": "Baseline", "allowCustomSecurityContext": true});
    template::make_named(&open, &rest).await?;
    let root = json!({"templateRef": open, "podSecurityContext": {"runAsUser": 0}});
    let privileged = json!({"templateRef": open, "containerSecurityContext": {"privileged": true}});
    judged(
        &scratch,
        [
            (root, vec![]),
            (
                privileged,
                vec!["containerSecurityContext.privileged", "Pod Security baseline"],
            ),
        ],
    )
    .await?;
    template::forget(&open).await?;
    template::finish(scratch).await
}

#[tokio::test]
async fn all_contradictions_of_a_template_are_refused_at_once() -> anyhow::Result<()> {
    let templates = Api::<WorkspaceTemplate>::all(cluster::admin().await?);
    let spec = json!({
        "displayName": "x", "defaultImage": "uv",
        "envRequirements": [{"name": "A", "regex": "[a-z]+"}, {"name": "B", "regex": "(?=lookahead)"}],
        "environmentVariables": [{"name": "A", "value": "1"}, {"name": "C", "value": "{workspace.nmae}"}],
        "baseLabels": [{"name": "workspaces.jupyter.org/run-id", "value": "x"}],
        "maxShmSize": "64Mi", "defaultShmSize": "65Mi",
        "defaultPodSecurityContext": {"runAsUser": 0},
        "defaultReadinessProbe": {"httpGet": {"port": 80, "host": "elsewhere"}},
        "defaultInitContainers": [{"name": "workspace", "image": "a b"}],
        "resourceBounds": {"resources": {"not a resource": {"max": 1}}},
        "primaryStorage": {"defaultMountPath": "/dev/shm"},
    });
    let template = serde_json::from_value(json!({"metadata": {"name": "e2e-contradictory"}, "spec": spec}))?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let refused = templates.create(&dry, &template).await;
    let refusal = refused.err().map(|error| error.to_string()).unwrap_or_default();
    for field in [
        "spec.envRequirements[1].regex",
        "spec.environmentVariables[0].value",
        "spec.environmentVariables[1].value",
        "spec.baseLabels[0].name",
        "spec.defaultShmSize",
        "spec.defaultPodSecurityContext.runAsUser",
        "spec.defaultReadinessProbe.httpGet.host",
        "spec.defaultInitContainers[0].name",
        "spec.defaultInitContainers[0].image",
        "spec.resourceBounds.resources[not a resource]",
        "spec.primaryStorage.defaultMountPath",
    ] {
        assert!(refusal.contains(field), "{field} is missing in {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unsatisfiable_template_and_an_empty_share_are_refused() -> anyhow::Result<()> {
    let scratch = Scratch::new("unusable", &[]).await?;
    let client = cluster::admin().await?;
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let templates = Api::<WorkspaceTemplate>::all(client.clone());
    for (rest, expected) in [
        (
            json!({"resourceBounds": {"cpu": {"max": 0}}}),
            r#"spec.resourceBounds.cpu.max: "0" admits no workspace"#,
        ),
        (
            json!({"resourceBounds": {"memory": {"max": "1Ki"}}}),
            "spec.resourceBounds.memory.max: \"1Ki\" admits no workspace, because no container starts in less than 4Mi",
        ),
        (
            json!({"resourceBounds": {"cpu": {"min": "2"}, "resources": {"cpu": {"max": "1"}}}}),
            "spec.resourceBounds.cpu.min: \"2\" admits no workspace, because spec.resourceBounds.resources[cpu].max is 1",
        ),
        (
            json!({"primaryStorage": {"maxSize": 0}}),
            r#"spec.primaryStorage.maxSize: "0" admits no workspace"#,
        ),
    ] {
        let mut spec = rest.clone();
        spec["displayName"] = json!("Unusable");
        spec["defaultImage"] = json!("uv");
        let template: WorkspaceTemplate =
            serde_json::from_value(json!({"metadata": {"name": scratch.namespace}, "spec": spec}))?;
        let refused = templates.create(&dry, &template).await.map(drop);
        let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(expected), "{rest}: {refused}");
    }
    let shares = scratch.api::<WorkspaceShare>();
    for (name, expected) in [
        (
            "system:anonymous",
            "cannot be shared with users who are not signed in",
        ),
        (
            "bob ",
            r#"spec.subjects[0].name: "bob " has characters that cannot be seen"#,
        ),
    ] {
        let share: WorkspaceShare = serde_json::from_value(json!({
            "metadata": {"name": "unusable"},
            "spec": {"workspaceRef": "lab", "subjects": [{"kind": "User", "name": name}]},
        }))?;
        let refused = shares.create(&dry, &share).await.map(drop);
        let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains(expected), "{name}: {refused}");
    }
    scratch.finish().await
}

//! Examples of templates -> violations (tests).

use serde_json::{Value, json};

use super::*;

fn lines(mut spec: Value) -> Vec<String> {
    let settings = Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap();
    spec["displayName"] = json!("t");
    let spec: WorkspaceTemplateSpec = serde_json::from_value(spec).unwrap();
    template(&spec, &settings)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_consistent_template_passes() {
    let found = lines(json!({
        "defaultImage": "uv",
        "allowedImages": ["r/jupyter:1"],
        "defaultResources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "2"}},
        "resourceBounds": {
            "cpu": {"min": "500m", "max": "2"}, "gpu": {"max": 0}, "resources": {"amd.com/gpu": {"max": 1}},
        },
        "primaryStorage": {"defaultSize": "1Gi", "minSize": "1Gi", "maxSize": "1Gi"},
        "environmentVariables": [{"name": "TEAM", "value": "{team}-{workspace.namespace}"}, {"name": "X", "value": "a"}],
        "envRequirements": [{"name": "TEAM", "regex": "[a-z]+"}, {"name": "X", "regex": "a"}],
        "baseLabels": [{"name": "example.org/{team}", "value": "{owner.name}"}],
        "defaultVolumes": [{"name": "d", "persistentVolumeClaimName": "data-{team}", "mountPath": "/data/{team}"}],
        "defaultShmSize": "64Mi", "maxShmSize": "64Mi",
        "podSecurity": "Baseline", "defaultPodSecurityContext": {"runAsUser": 0},
        "defaultInitContainers": [
            {"name": "a", "image": "other:{workspace.namespace}", "resources": {"limits": {"cpu": "{cpus}"}}},
        ],
        "defaultReadinessProbe": {"httpGet": {"port": "{service.port}"}},
    }));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_init_container_mounts_shared_memory_without_a_size_too_and_no_volume_that_the_pod_lacks() {
    let mounts = |name| {
        lines(json!({"defaultImage": "uv", "defaultInitContainers": [
            {"name": "a", "image": "i", "volumeMounts": [{"name": name, "mountPath": "/dev/shm"}]},
        ]}))
    };
    assert_eq!(mounts("shm"), Vec::<String>::new());
    let found = mounts("jupyter-k8s-secret-0").join("\n");
    let expected = "must be a volume of the pod: workspace-storage, shm, ";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn every_invalid_part_of_a_template_is_reported() {
    let found = lines(json!({
        "defaultImage": "{team}:1",
        "environmentVariables": [{"name": "X", "value": "ab"}, {"name": "Y", "value": "{workspace.nmae}"}],
        "envRequirements": [{"name": "X", "regex": "a"}, {"name": "Z", "regex": "("}],
        "resourceBounds": {"memory": {"max": "1Gi"}, "resources": {"cpus": {"max": 1}, "a.org/b": {"min": 1}}},
        "baseLabels": [{"name": "workspaces.jupyter.org/x", "value": "y"}],
        "defaultVolumes": [{"name": "data", "persistentVolumeClaimName": "c", "mountPath": "/home/jovyan"}],
        "primaryStorage": {"defaultSize": "10"},
        "defaultShmSize": "2Gi", "maxShmSize": "1Gi",
        "defaultContainerSecurityContext": {"privileged": true},
        "defaultLifecycle": {"preStop": {"httpGet": {"port": 1, "host": "h"}}},
        "defaultInitContainers": [
            {"name": "a", "image": "i", "resources": {"limits": {"memory": "2Gi"}}, "volumeMounts": [{"name": "x", "mountPath": "/x"}]},
        ],
    }));
    for field in [
        "spec.defaultImage",
        "spec.envRequirements[1].regex",
        "spec.environmentVariables[0].value",
        "spec.environmentVariables[1].value",
        "spec.resourceBounds.resources[cpus]",
        "spec.baseLabels[0].name",
        "spec.defaultVolumes[0].mountPath",
        "spec.defaultShmSize",
        "spec.defaultContainerSecurityContext.privileged",
        "spec.defaultLifecycle.preStop.httpGet.host",
        "spec.defaultInitContainers",
        "spec.defaultInitContainers[0].volumeMounts[0].name",
        "spec.primaryStorage.defaultSize",
    ] {
        assert!(
            found.iter().any(|line| line.starts_with(&format!("{field}: "))),
            "{field}: {found:#?}"
        );
    }
}

#[test]
fn a_maximum_without_default_idle_shutdown_gives_advice() {
    let advice = |mut spec: Value| {
        spec["displayName"] = json!("t");
        spec["defaultImage"] = json!("i");
        template_advice(&serde_json::from_value(spec).unwrap())
    };
    let most = json!({"maxIdleTimeoutInMinutes": 120});
    let message = advice(json!({"idleShutdownOverrides": most})).unwrap();
    assert!(
        message.contains("120 bounds only workspaces that enable idle shutdown"),
        "{message}"
    );
    for silent in [
        json!({}),
        json!({"idleShutdownOverrides": {"minIdleTimeoutInMinutes": 5}}),
        json!({"idleShutdownOverrides": most, "defaultIdleShutdown": {"idleTimeoutInMinutes": 60}}),
    ] {
        assert_eq!(advice(silent.clone()), None, "{silent}");
    }
}

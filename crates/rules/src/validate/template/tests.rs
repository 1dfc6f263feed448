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

/// What is wrong with a template with these options.
fn wrong_options(options: Value, more: Value) -> Vec<String> {
    let mut spec = json!({"displayName": "t", "defaultImage": "uv", "options": options});
    json_patch::merge(&mut spec, &more);
    let spec = serde_json::from_value(spec).unwrap();
    let found = template(&spec, &Settings::parse("{defaultImage: uv}").unwrap());
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn conditions_name_choices_of_options_before() {
    let gpu = json!({"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "a100"}]});
    let size = |when: Value| json!({"name": "size", "when": when, "choices": [{"name": "s"}]});
    let right = json!([gpu, size(json!({"gpu": ["a100"]}))]);
    assert_eq!(wrong_options(right, json!({})), [""; 0]);
    for (options, violation) in [
        (
            json!([size(json!({"gpu": ["a100"]})), gpu]),
            r#"spec.options[0].when[gpu]: "gpu" is not an option that stands before this one: there is none, leave it out"#,
        ),
        (
            json!([gpu, size(json!({"cpu": ["a100"]}))]),
            r#"spec.options[1].when[cpu]: "cpu" is not an option that stands before this one: choose from gpu"#,
        ),
        (
            json!([gpu, size(json!({"gpu": ["none", "k80"]}))]),
            r#"spec.options[1].when[gpu][1]: "k80" is not a choice of the option "gpu": choose from none, a100"#,
        ),
        (
            json!([{"name": "gpu", "choices": [{"name": "none"}, {"name": "a100", "when": {"gpu": ["none"]}}]}]),
            r#"spec.options[0].choices[1].when[gpu]: "gpu" is not an option that stands before this one: there is none, leave it out"#,
        ),
    ] {
        assert_eq!(wrong_options(options, json!({})), [violation]);
    }
}

#[test]
fn one_default_can_be_left() {
    let with_defaults = |first: Value, second: Value| {
        let choice = |name: &str, when: Value| json!({"name": name, "default": true, "when": when});
        let gpu = json!({"name": "gpu", "choices": [{"name": "none", "default": true}, {"name": "a100"}]});
        let size = json!({"name": "size", "choices": [choice("s", first), choice("l", second)]});
        wrong_options(json!([gpu, size]), json!({}))
    };
    let (none, a100) = (json!({"gpu": ["none"]}), json!({"gpu": ["a100"]}));
    assert_eq!(with_defaults(none.clone(), a100), [""; 0]);
    let rule = r#"must not be set beside the default "s": keep one default, or give each a `when` that excludes the other"#;
    for second in [json!({}), none.clone()] {
        let expected = format!("spec.options[1].choices[1].default: \"true\" {rule}");
        assert_eq!(with_defaults(none.clone(), second), [expected]);
    }
}

#[test]
fn what_a_choice_sets_keeps_the_template_s_own_bounds() {
    let bounds = json!({
        "resourceBounds": {"cpu": {"max": "4"}, "memory": {"max": "8Gi"}, "gpu": {"max": 1}},
        "maxShmSize": "1Gi",
        "envRequirements": [{"name": "TEAM", "regex": "[a-z]+"}],
        "labelRequirements": [{"name": "team", "regex": "[a-z]+"}],
        "podTemplate": {"metadata": {"labels": {"cost": "x"}}},
        "defaultResources": {"limits": {"memory": "2Gi"}},
    });
    let fields = |set: Value| {
        let options = json!([{"name": "o", "choices": [{"name": "plain"}, {"name": "c", "set": set}]}]);
        let found = wrong_options(options, bounds.clone());
        let path = "spec.options[0].choices[1].set.";
        let field = |line: &String| {
            line.strip_prefix(path)
                .unwrap()
                .split(": ")
                .next()
                .unwrap()
                .to_owned()
        };
        found.iter().map(field).collect::<Vec<_>>()
    };
    let right = json!({
        "image": "r/{workspace.namespace}:1", "command": ["{course}"], "args": ["{workspace.name}"],
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "4", "nvidia.com/gpu": "1"}}, "shmSize": "1Gi",
        "nodeSelector": {"pool": "{course}"}, "tolerations": [{"operator": "Exists"}], "affinity": {"nodeAffinity": {}},
        "env": [{"name": "TEAM", "value": "ml"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "fixed", "key": "k"}}}],
        "podLabels": {"team": "ml", "kueue.x-k8s.io/queue-name": "gpus"}, "variables": {"course": "{ml}"},
    });
    assert_eq!(fields(right), [""; 0]);
    for (set, field) in [
        (json!({"image": "a b"}), "image"),
        (json!({"image": "r/{course}:1"}), "image"),
        (json!({"image": "r/{no.such}:1"}), "image"),
        (
            json!({"resources": {"limits": {"cpu": "5"}}}),
            "resources.limits.cpu",
        ),
        (
            json!({"resources": {"limits": {"nvidia.com/gpu": "2"}}}),
            "resources.limits[nvidia.com/gpu]",
        ),
        (
            json!({"resources": {"limits": {"gpu": "1"}}}),
            "resources.limits.gpu",
        ),
        (json!({"shmSize": "2Gi"}), "shmSize"),
        (json!({"args": ["{workspace.none}"]}), "args[0]"),
        (
            json!({"env": [{"name": "WORKSPACE_RUN_ID", "value": "x"}]}),
            "env[0].name",
        ),
        (json!({"env": [{"name": "TEAM", "value": "ML"}]}), "env[0].value"),
        (json!({"podLabels": {"team": "ML"}}), "podLabels[team]"),
        (json!({"podLabels": {"cost": "y"}}), "podLabels[cost]"),
        (
            json!({"podLabels": {"workspaces.jupyter.org/run-id": "x"}}),
            "podLabels[workspaces.jupyter.org/run-id]",
        ),
        (
            json!({"variables": {"workspace.name": "x"}}),
            "variables[workspace.name]",
        ),
    ] {
        assert_eq!(fields(set.clone()), [field], "{set}");
    }
    assert_eq!(
        fields(json!({"resources": {"limits": {"memory": "512Mi"}}, "shmSize": "1Gi"})),
        ["shmSize"]
    );
}

#[test]
fn a_choice_is_not_compared_with_memory_that_another_choice_sets() {
    let options = |with: Value| {
        json!([
            {"name": "gpu", "choices": [
                {"name": "none", "default": true}, {"name": "a100", "set": {"resources": {"limits": {"memory": "64Gi"}}}},
            ]},
            {"name": "shm", "when": {"gpu": ["a100"]}, "choices": [{"name": "large", "default": true, "set": with}]},
        ])
    };
    let more = json!({"defaultResources": {"limits": {"memory": "2Gi"}}});
    assert_eq!(
        wrong_options(options(json!({"shmSize": "16Gi"})), more.clone()),
        [""; 0]
    );
    let own = json!({"shmSize": "16Gi", "resources": {"limits": {"memory": "8Gi"}}});
    let found = wrong_options(options(own), more);
    assert!(
        found.len() == 1 && found[0].starts_with("spec.options[1].choices[0].set.shmSize: "),
        "{found:?}"
    );
}

#[test]
fn default_choices_go_together() {
    let found = |is_default: bool| {
        let options = json!([
            {"name": "size", "choices": [
                {"name": "small", "default": is_default, "set": {"resources": {"limits": {"memory": "1Gi"}}}},
                {"name": "large"},
            ]},
            {"name": "shm", "choices": [{"name": "large", "default": true, "set": {"shmSize": "2Gi"}}]},
        ]);
        wrong_options(
            options,
            json!({"defaultResources": {"limits": {"memory": "4Gi"}}}),
        )
    };
    assert_eq!(found(false), [""; 0], "one must be named");
    let both = found(true);
    let start = r#"spec.options: "size: small, shm: large" are default choices that must not be made together (spec.defaultShmSize: "2Gi" "#;
    assert!(both.len() == 1 && both[0].starts_with(start), "{both:?}");
}

//! Defaults and bounds of templates, as the API server applies them.

use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

pub(super) async fn alice(scratch: &Scratch) -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::user("alice").await?, &scratch.namespace))
}

/// The one pod of a workspace as it was created, whether it runs or not.
async fn pod(scratch: &Scratch, name: &str) -> anyhow::Result<Value> {
    let pods: Api<Pod> = scratch.api();
    let of_workspace = ListParams::default().labels(&format!("{}={name}", api::names::WORKSPACE_LABEL));
    let pod = wait::until(&format!("a pod of {name}"), wait::USUAL, || async {
        let list = pods
            .list(&of_workspace)
            .await
            .map_err(|error| error.to_string())?;
        list.items.into_iter().next().ok_or_else(|| "none".to_owned())
    })
    .await?;
    Ok(serde_json::to_value(pod)?)
}

/// Each case has the values of a workspace and the texts of its refusal; none: it would be admitted.
pub(super) async fn judged(
    scratch: &Scratch,
    cases: impl IntoIterator<Item = (Value, Vec<&str>)>,
) -> anyhow::Result<()> {
    let workspaces = alice(scratch).await?;
    for (spec, expected) in cases {
        let workspace = template::workspace(scratch, "judged", &spec)?;
        let refusal = template::refusal(&workspaces, &workspace).await;
        if expected.is_empty() {
            assert_eq!(refusal, None, "{spec}");
        }
        for part in expected {
            let message = refusal.as_deref().unwrap_or_default();
            assert!(
                message.contains(part),
                "{spec}: {part:?} is missing in {message:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_template_s_defaults_are_the_pod_s_and_what_a_workspace_sets_wins() -> anyhow::Result<()> {
    let scratch = Scratch::new("defaults-of", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    let defaults = json!({
        "defaultImage": image,
        "defaultResources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}},
        "primaryStorage": {"defaultSize": "1Gi", "defaultMountPath": "/home/template"},
        "environmentVariables": [{"name": "FROM", "value": "template"}, {"name": "ONLY", "value": "template"}],
        "defaultShmSize": "16Mi",
        "baseLabels": [{"name": "example.org/course", "value": "ml"}],
        "defaultReadinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 2},
        "defaultLifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "defaultAffinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "example.org/none", "operator": "Exists"}]}},
        ]}},
        "defaultTolerations": [{"key": "example.org/none", "operator": "Exists"}],
        "defaultPodSecurityContext": {"supplementalGroups": [4242]},
        "defaultContainerSecurityContext": {"readOnlyRootFilesystem": false},
    });
    template::make(&scratch, &defaults).await?;
    let workspaces = alice(&scratch).await?;
    let plain = template::workspace(&scratch, "plain", &json!({}))?;
    workspaces.create(&PostParams::default(), &plain).await?;
    workspace::reached(&workspaces, "plain", Phase::Running).await?;
    let made = pod(&scratch, "plain").await?;
    let (spec, container) = (&made["spec"], &made["spec"]["containers"][0]);
    assert_eq!(container["image"], json!(image));
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}})
    );
    let value = |container: &Value, name: &str| {
        let env = container["env"].as_array().cloned().unwrap_or_default();
        env.into_iter()
            .find(|it| it["name"] == name)
            .map(|it| it["value"].clone())
    };
    assert_eq!(value(container, "FROM"), Some(json!("template")));
    assert_eq!(made["metadata"]["labels"]["example.org/course"], "ml");
    assert_eq!(container["readinessProbe"]["periodSeconds"], 2);
    assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], 1);
    assert!(spec["affinity"]["nodeAffinity"].is_object(), "{spec}");
    assert_eq!(spec["securityContext"]["supplementalGroups"], json!([4242]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], false);
    let tolerations = spec["tolerations"].to_string();
    assert!(tolerations.contains("example.org/none"), "{tolerations}");
    let mounts = container["volumeMounts"].to_string();
    assert!(
        mounts.contains("/home/template") && mounts.contains("/dev/shm"),
        "{mounts}"
    );

    let own = json!({
        "env": [{"name": "FROM", "value": "workspace"}],
        "resources": {"limits": {"cpu": "300m"}},
        "storage": {"mountPath": "/home/own"},
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 3},
    });
    let own = template::workspace(&scratch, "own", &own)?;
    workspaces.create(&PostParams::default(), &own).await?;
    let made = pod(&scratch, "own").await?;
    let container = &made["spec"]["containers"][0];
    assert_eq!(value(container, "FROM"), Some(json!("workspace")));
    assert_eq!(value(container, "ONLY"), Some(json!("template")));
    assert_eq!(
        container["resources"],
        json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "300m", "memory": "128Mi"}})
    );
    assert_eq!(container["readinessProbe"]["periodSeconds"], 3);
    assert!(
        container["volumeMounts"].to_string().contains("/home/own"),
        "{container}"
    );
    template::finish(scratch).await
}

#[tokio::test]
async fn only_images_that_the_template_lists_are_admitted_by_name_or_alias() -> anyhow::Result<()> {
    let scratch = Scratch::new("images", &["alice"]).await?;
    let rest = json!({"defaultImage": "uv", "allowedImages": ["uv", "registry.example/a:1"], "allowCustomInitContainers": true});
    template::make(&scratch, &rest).await?;
    let init = |image: &str| json!({"initContainers": [{"name": "i", "image": image}]});
    judged(
        &scratch,
        [
            (json!({}), vec![]),
            (json!({"image": "uv"}), vec![]),
            (json!({"image": "registry.example/a:1"}), vec![]),
            (
                json!({"image": "registry.example/a:11"}),
                vec![
                    "spec.image",
                    "registry.example/a:11",
                    "choose one of uv, registry.example/a:1",
                ],
            ),
            (
                json!({"image": "x/registry.example/a:1"}),
                vec!["spec.image", "x/registry.example/a:1"],
            ),
            (init("registry.example/a:1"), vec![]),
            (
                init("registry.example/b:1"),
                vec!["spec.initContainers[0].image", "registry.example/b:1"],
            ),
        ],
    )
    .await?;
    // Another template allows all images, besides those that it lists.
    let open = format!("{}-open", scratch.namespace);
    let opening = json!({"defaultImage": "uv", "allowedImages": ["uv"], "allowCustomImages": true});
    template::make_named(&open, &opening).await?;
    let other = json!({"templateRef": open, "image": "registry.example/b:1"});
    judged(&scratch, [(other, vec![])]).await?;
    template::forget(&open).await?;
    template::finish(scratch).await
}

#[tokio::test]
async fn each_resource_and_the_whole_pod_are_bounded() -> anyhow::Result<()> {
    let scratch = Scratch::new("resources", &["alice"]).await?;
    let bounds = json!({
        "defaultImage": "uv",
        "maxShmSize": "64Mi",
        "resourceBounds": {
            "cpu": {"min": "100m", "max": "2"},
            "memory": {"max": "2Gi"},
            "gpu": {"max": 1},
            "resources": {"example.org/fpga": {"max": 2}, "memory": {"max": "1Gi"}},
        },
        "allowCustomInitContainers": true,
    });
    template::make(&scratch, &bounds).await?;
    let both = |name: &str, amount: Value| json!({"resources": {"requests": {name: amount}, "limits": {name: amount}}});
    let init = |cpu: &str, stays: bool| {
        let mut init =
            json!({"name": "i", "image": "uv", "resources": {"limits": {"cpu": cpu, "memory": "64Mi"}}});
        if stays {
            init["restartPolicy"] = json!("Always");
        }
        json!({"resources": {"limits": {"cpu": "1", "memory": "512Mi"}}, "initContainers": [init]})
    };
    judged(
        &scratch,
        [
            (both("example.org/fpga", json!(2)), vec![]),
            (
                both("example.org/fpga", json!(3)),
                vec!["spec.resources.limits[example.org/fpga]", "\"3\"", "maximum 2"],
            ),
            (both("nvidia.com/mig-1g.5gb", json!(1)), vec![]),
            (
                both("nvidia.com/mig-1g.5gb", json!(2)),
                vec!["spec.resources.limits[nvidia.com/mig-1g.5gb]", "maximum 1"],
            ),
            (both("memory", json!("1Gi")), vec![]),
            (
                both("memory", json!("1025Mi")),
                vec!["spec.resources.limits.memory", "1025Mi", "maximum 1Gi"],
            ),
            (
                json!({"resources": {"requests": {"example.org/fpga": 1}, "limits": {"example.org/fpga": 2}}}),
                vec!["example.org/fpga needs both to be the same"],
            ),
            (json!({"shmSize": "64Mi"}), vec![]),
            (
                json!({"shmSize": "65Mi"}),
                vec!["spec.shmSize", "65Mi", "maximum 64Mi"],
            ),
            (
                json!({"shmSize": "48Mi", "resources": {"limits": {"memory": "32Mi"}}}),
                vec!["spec.shmSize", "48Mi", "memory limit 32Mi"],
            ),
            (init("2", false), vec![]),
            (init("1", true), vec![]),
            (
                init("2001m", false),
                vec!["spec.initContainers", "limits of cpu 2001m in all", "maximum 2"],
            ),
            (
                init("1001m", true),
                vec!["spec.initContainers", "limits of cpu 2001m in all", "maximum 2"],
            ),
        ],
    )
    .await?;
    template::finish(scratch).await
}

#[tokio::test]
async fn disk_sizes_are_bounded_to_the_byte_and_the_default_size_is_in_the_claim() -> anyhow::Result<()> {
    let scratch = Scratch::new("sizes", &["alice"]).await?;
    let rest = json!({
        "defaultImage": Environment::get()?.images.echo,
        "primaryStorage": {"defaultSize": "1280Mi", "minSize": "1Gi", "maxSize": "2Gi"},
    });
    template::make(&scratch, &rest).await?;
    let size = |size: &str| json!({"storage": {"size": size}});
    judged(
        &scratch,
        [
            (size("1073741824"), vec![]),
            (size("2147483648"), vec![]),
            (
                size("1073741823"),
                vec!["spec.storage.size", "1073741823", "minimum 1Gi"],
            ),
            (
                size("2147483649"),
                vec!["spec.storage.size", "2147483649", "maximum 2Gi"],
            ),
        ],
    )
    .await?;
    // A stopped workspace has its disk, too.
    let plain = template::workspace(&scratch, "plain", &json!({"desiredStatus": "Stopped"}))?;
    alice(&scratch)
        .await?
        .create(&PostParams::default(), &plain)
        .await?;
    let claims: Api<PersistentVolumeClaim> = scratch.api();
    let claim = wait::until("the claim", wait::USUAL, || async {
        let claim = claims
            .get_opt("workspace-plain")
            .await
            .map_err(|error| error.to_string())?;
        claim.ok_or_else(|| "none".to_owned())
    })
    .await?;
    let requested = serde_json::to_value(claim)?["spec"]["resources"]["requests"]["storage"].clone();
    assert_eq!(requested, "1280Mi");
    template::finish(scratch).await
}

#[tokio::test]
async fn required_variables_and_labels_must_be_there_and_match_as_a_whole() -> anyhow::Result<()> {
    let scratch = Scratch::new("required", &["alice"]).await?;
    let rest = json!({
        "defaultImage": "uv",
        "allowCustomInitContainers": true,
        "envRequirements": [{"name": "TEAM", "required": true, "regex": "[a-z]+"}],
        "labelRequirements": [{"name": "example.org/cost", "required": true, "regex": "[0-9]{4}"}],
    });
    template::make(&scratch, &rest).await?;
    let workspaces = alice(&scratch).await?;
    let with = |team: Option<&str>, cost: Option<&str>| -> anyhow::Result<Workspace> {
        let env: Vec<_> = team
            .iter()
            .map(|team| json!({"name": "TEAM", "value": team}))
            .collect();
        let mut workspace = template::workspace(&scratch, "labelled", &json!({"env": env}))?;
        let labels = cost.map(|cost| [("example.org/cost".to_owned(), cost.to_owned())].into());
        workspace.metadata.labels = labels;
        Ok(workspace)
    };
    let fine = with(Some("ml"), Some("1234"))?;
    assert_eq!(template::refusal(&workspaces, &fine).await, None);
    for (team, cost, expected) in [
        (None, Some("1234"), ["spec.env", "lacks the variable TEAM"]),
        (Some("ml1"), Some("1234"), ["spec.env[0].value", "ml1"]),
        (Some("1ml"), Some("1234"), ["spec.env[0].value", "1ml"]),
        (
            Some("ml\n"),
            Some("1234"),
            [
                "spec.env[0].value",
                "is the value of TEAM and does not match /[a-z]+/",
            ],
        ),
        (
            Some("ml"),
            None,
            ["metadata.labels[example.org/cost]", "lacks the label"],
        ),
        (
            Some("ml"),
            Some("12345"),
            ["metadata.labels[example.org/cost]", "12345"],
        ),
    ] {
        let refusal = template::refusal(&workspaces, &with(team, cost)?)
            .await
            .unwrap_or_default();
        for part in expected {
            assert!(refusal.contains(part), "{part:?} is missing in {refusal:?}");
        }
    }
    let mut hidden = with(Some("ml"), Some("1234"))?;
    let init = json!([{"name": "i", "image": "uv", "env": [{"name": "TEAM", "value": "ML"}]}]);
    hidden.spec.init_containers = serde_json::from_value(init)?;
    let refusal = template::refusal(&workspaces, &hidden).await.unwrap_or_default();
    assert!(
        refusal.contains("spec.initContainers[0].env[0].value"),
        "{refusal}"
    );
    // Labels are also checked when nothing else changes.
    let mut stored = fine.clone();
    stored.spec.desired_status = DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &stored).await?;
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"example.org/cost": "12"}}}));
    let relabelled = workspaces
        .patch("labelled", &PatchParams::default(), &relabel)
        .await;
    let refusal = relabelled
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default();
    assert!(refusal.contains("metadata.labels[example.org/cost]"), "{refusal}");
    template::finish(scratch).await
}

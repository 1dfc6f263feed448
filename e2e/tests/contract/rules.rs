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
use k8s_openapi::api::core::v1::Pod;
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

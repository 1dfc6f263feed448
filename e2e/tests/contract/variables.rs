//! Variables of templates, and their values in a workspace's objects.

use api::Workspace;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    objects::template,
    wait,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::{Value, json};

#[tokio::test]
async fn variables_are_expanded_in_template_fields_alone_and_unknown_ones_are_refused_by_name()
-> anyhow::Result<()> {
    let scratch = Scratch::new("variables", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    let rest = json!({
        "defaultImage": image,
        "environmentVariables": [
            {"name": "WHO", "value": "{owner.name} of {workspace.namespace}/{workspace.name} ({workspace.uid})"},
            {"name": "COURSE", "value": "{course}"},
            {"name": "ONCE", "value": "{braces}"},
            {"name": "LITERAL", "value": "{{course}} ${course} {unknown} {\"a\": 1} $(WHO)"},
            {"name": "URL", "value": "https://{workspace.host}:{routing.port}/"},
        ],
        "defaultContainerConfig": {"args": ["--base={workspace.name}", "--port={service.port}"]},
        "baseLabels": [{"name": "example.org/{course}", "value": "{workspace.namespace}"}],
        "defaultVolumes": [
            {"name": "data", "persistentVolumeClaimName": "data-{workspace.name}", "mountPath": "/data/{course}"},
        ],
        "primaryStorage": {"defaultSize": "1Gi", "defaultMountPath": "/home/{course}"},
        "defaultInitContainers": [{
            "name": "prepare", "image": image, "args": ["{pvcs.home}", "{pvcs.data}"],
            "resources": {"limits": {"cpu": "{cpus}", "memory": "64Mi"}},
        }],
        "defaultReadinessProbe": {"tcpSocket": {"port": "{service.port}"}},
    });
    template::make(&scratch, &rest).await?;
    let own = json!({
        "variables": {"course": "ml", "braces": "{workspace.name}", "cpus": "50m"},
        "env": [{"name": "OWN", "value": "{workspace.name} {course} {no.such}"}],
        "port": 9999,
    });
    // The workspace's name selects the claim, so its author needs permission for it.
    let rules = json!([
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "resourceNames": ["data-lab"], "verbs": ["use"]},
    ]);
    scratch.grant("data", "alice", &rules).await?;
    let workspaces: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let lab = template::workspace(&scratch, "lab", &own)?;
    let lab = workspaces.create(&PostParams::default(), &lab).await?;
    // The pod waits for an absent disk.
    let claims: Api<PersistentVolumeClaim> = scratch.api();
    let claim = json!({
        "metadata": {"name": "data-lab"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    claims
        .create(&PostParams::default(), &serde_json::from_value(claim)?)
        .await?;
    let pods: Api<Pod> = scratch.api();
    let made = wait::until("the pod", wait::USUAL, || async {
        let made = pods
            .get_opt("workspace-lab")
            .await
            .map_err(|error| error.to_string())?;
        made.ok_or_else(|| "none".to_owned())
    })
    .await?;
    let made = serde_json::to_value(made)?;
    let (spec, container) = (&made["spec"], &made["spec"]["containers"][0]);
    let env = |name: &str| {
        let all = container["env"].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|it| it["name"] == name);
        found.map(|it| it["value"].clone()).unwrap_or_default()
    };
    let (namespace, uid) = (&scratch.namespace, lab.uid().unwrap_or_default());
    let owner = lab.annotations()[api::names::CREATED_BY].clone();
    assert_eq!(env("WHO"), json!(format!("{owner} of {namespace}/lab ({uid})")));
    assert_eq!(env("COURSE"), "ml");
    assert_eq!(env("ONCE"), "{workspace.name}", "values are not expanded again");
    assert_eq!(env("LITERAL"), "{course} ${course} {unknown} {\"a\": 1} $(WHO)");
    assert_eq!(env("OWN"), "{workspace.name} {course} {no.such}");
    let url = env("URL").as_str().unwrap_or_default().to_owned();
    assert!(url.starts_with("https://lab-"), "{url}");
    assert_eq!(container["args"], json!(["--base=lab", "--port=9999"]));
    assert_eq!(made["metadata"]["labels"]["example.org/ml"], json!(namespace));
    let volumes = spec["volumes"].to_string();
    assert!(volumes.contains(r#""claimName":"data-lab""#), "{volumes}");
    let mounts = container["volumeMounts"].to_string();
    assert!(
        mounts.contains("/data/ml") && mounts.contains("/home/ml"),
        "{mounts}"
    );
    assert_eq!(
        spec["initContainers"][0]["args"],
        json!(["workspace-lab", "data-lab"])
    );
    assert_eq!(spec["initContainers"][0]["resources"]["limits"]["cpu"], "50m");
    assert_eq!(container["readinessProbe"]["tcpSocket"]["port"], json!(9999));
    unknown_variables_and_illegal_values_are_refused_by_name(&scratch, &workspaces).await?;
    template::finish(scratch).await
}

async fn unknown_variables_and_illegal_values_are_refused_by_name(
    scratch: &Scratch,
    workspaces: &Api<Workspace>,
) -> anyhow::Result<()> {
    let wrong = format!("{}-wrong", scratch.namespace);
    let rest = json!({
        "defaultImage": "uv",
        "environmentVariables": [{"name": "A", "value": "{team.name}"}],
        "defaultVolumes": [{"name": "course", "persistentVolumeClaimName": "course", "mountPath": "/data/{course}"}],
    });
    template::make_named(&wrong, &rest).await?;
    let refusal = async |variables: Value| {
        let spec = json!({"templateRef": wrong, "variables": variables});
        let judged = template::workspace(scratch, "judged", &spec)?;
        anyhow::Ok(template::refusal(workspaces, &judged).await.unwrap_or_default())
    };
    let unknown = refusal(json!({"course": "ml"})).await?;
    for part in [
        "spec.environmentVariables[0].value",
        "{team.name}",
        "spec.variables",
    ] {
        assert!(unknown.contains(part), "{part:?} is missing in {unknown:?}");
    }
    let illegal = refusal(json!({"course": "..", "team.name": "a"})).await?;
    for part in ["spec.defaultVolumes[0].mountPath", "/data/..", "spec.variables"] {
        assert!(illegal.contains(part), "{part:?} is missing in {illegal:?}");
    }
    assert_eq!(refusal(json!({"course": "ml", "team.name": "a"})).await?, "");
    template::forget(&wrong).await
}

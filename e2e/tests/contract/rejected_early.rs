//! Values that would fail later in the pod -> refusals with field, value and remedy, or the status.

use api::{Workspace, WorkspaceExecutionProfile, names};
use e2e::{
    cluster::Scratch,
    objects::{template, workspace},
    wait,
};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::rules::alice;

#[tokio::test]
async fn what_no_workspace_can_run_with_is_refused_and_an_invalid_pod_is_said_in_the_status()
-> anyhow::Result<()> {
    let scratch = Scratch::new("later", &["alice"]).await?;
    // Permissions are checked before the rest.
    let claims = json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["use"]}]);
    scratch.grant("claims", "alice", &claims).await?;
    let workspaces = alice(&scratch).await?;
    an_invalid_pod(&workspaces).await?;
    pod_fields_that_no_workspace_can_run_with(&workspaces).await?;
    a_text_that_no_container_can_have(&scratch).await?;
    a_restart_is_requested_by_a_time(&workspaces).await?;
    template::finish(scratch).await
}

#[tokio::test]
async fn secrets_out_of_reach_and_disks_of_other_workspaces_are_refused_when_they_are_named()
-> anyhow::Result<()> {
    let scratch = Scratch::new("later", &["alice"]).await?;
    the_author_of_a_profile_needs_read_access_to_its_pull_secrets(&scratch).await?;
    a_claim_that_was_the_disk_of_another_workspace(&scratch).await?;
    scratch.finish().await
}

/// The webhook takes what makes no valid pod, and the API server refuses the pod.
async fn an_invalid_pod(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let mut invalid = workspace::echo("invalid")?;
    invalid.spec.tolerations = serde_json::from_value(json!([{"key": "a", "operator": "Is"}]))?;
    let term = json!({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["b"]}]});
    let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}});
    invalid.spec.affinity = serde_json::from_value(json!({"nodeAffinity": affinity}))?;
    invalid.spec.readiness_probe = serde_json::from_value(json!({"tcpSocket": {"port": 0}}))?;
    invalid.spec.pod_security_context = serde_json::from_value(json!({"fsGroup": -1}))?;
    workspaces.create(&PostParams::default(), &invalid).await?;
    wait::until("the pod to be refused", wait::USUAL, || async {
        let now = workspaces
            .get("invalid")
            .await
            .map_err(|error| error.to_string())?;
        let message = now.status.and_then(|status| status.message).unwrap_or_default();
        let fields = [
            "tolerations[0].operator",
            "matchExpressions[0].operator",
            "readinessProbe.tcpSocket.port",
            "fsGroup",
        ];
        if fields.iter().all(|field| message.contains(field)) {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await?;
    workspace::delete(workspaces, "invalid").await
}

async fn pod_fields_that_no_workspace_can_run_with(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    for (message, expected) in [
        (
            json!({"image": "x:y:z"}),
            [
                r#"spec.image: "x:y:z" must be [registry"#,
                "[registry[:port]/]name[:tag]",
            ],
        ),
        (
            json!({"storage": {"mountPath": "/etc"}}),
            [
                r#"spec.storage.mountPath: "/etc" would hide what the image has there"#,
                "choose a folder below it",
            ],
        ),
        (
            json!({"volumes": [{"name": "v", "persistentVolumeClaimName": "c", "mountPath": "/usr/bin"}]}),
            [
                r#"spec.volumes[0].mountPath: "/usr/bin" belongs to the system of the container"#,
                "such as /data",
            ],
        ),
        (
            json!({"containerConfig": {"command": [""]}}),
            [
                "spec.containerConfig.command[0]: must not be empty",
                "leave the command out",
            ],
        ),
        (
            json!({"shmSize": "64"}),
            [
                r#"spec.shmSize: "64" is smaller than any shared memory"#,
                "at least 1Mi",
            ],
        ),
        (
            json!({"resources": {"limits": {"memory": "512"}}}),
            [
                r#"spec.resources.limits.memory: "512" is less than any container starts in"#,
                "mind the unit",
            ],
        ),
        (
            json!({"resources": {"requests": {"memory": "500m"}}}),
            [
                r#"spec.resources.requests.memory: "500m" has a fraction of a byte"#,
                "m means thousandths",
            ],
        ),
        (
            json!({"storage": {"size": "1Ei"}}),
            [
                r#"spec.storage.size: "1Ei" is larger than any disk"#,
                "at most 1Pi",
            ],
        ),
        (
            json!({"storage": {"size": "10"}}),
            [
                r#"spec.storage.size: "10" is smaller than any disk"#,
                "mind the unit",
            ],
        ),
        (
            json!({"resources": {"limits": {"cpu": "9000000000000000"}}}),
            ["spec.resources.limits.cpu", "more than any node has"],
        ),
    ] {
        let mut spec = message.clone();
        spec["displayName"] = json!("later");
        let workspace = Workspace::new("later", serde_json::from_value(spec)?);
        let refusal = template::refusal(workspaces, &workspace)
            .await
            .unwrap_or_default();
        for part in expected {
            assert!(
                refusal.contains(part),
                "{message}: {part:?} is missing in {refusal:?}"
            );
        }
    }
    Ok(())
}

async fn a_restart_is_requested_by_a_time(workspaces: &Api<Workspace>) -> anyhow::Result<()> {
    let mut stopped = workspace::echo("lab")?;
    stopped.spec.desired_status = api::workspace::DesiredStatus::Stopped;
    workspaces.create(&PostParams::default(), &stopped).await?;
    let annotate = |key: &str, value: &str| {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        let workspaces = workspaces.clone();
        async move {
            let written = workspaces.patch("lab", &PatchParams::default(), &patch).await;
            written.err().map(|error| error.to_string())
        }
    };
    let refused = annotate(names::RESTARTED_AT, "now").await.unwrap_or_default();
    assert!(
        refused.contains(r#""now" must be a time by RFC 3339"#),
        "{refused}"
    );
    assert_eq!(annotate(names::RESTARTED_AT, "2026-01-31T12:00:00Z").await, None);
    Ok(())
}

async fn the_author_of_a_profile_needs_read_access_to_its_pull_secrets(
    scratch: &Scratch,
) -> anyhow::Result<()> {
    let profiles = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaceexecutionprofiles"], "verbs": ["create"],
    }]);
    scratch.grant("profiles", "alice", &profiles).await?;
    let api: Api<WorkspaceExecutionProfile> =
        Api::namespaced(e2e::cluster::user("alice").await?, &scratch.namespace);
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": "p"}, "spec": {"imagePullSecrets": [{"name": "registry"}]}}),
    )?;
    let refused = api.create(&PostParams::default(), &profile).await;
    let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refused.contains(r#"spec.imagePullSecrets[0].name: "registry" needs a permission that you lack"#),
        "{refused}"
    );
    let secret = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["registry"]}]);
    scratch.grant("secret", "alice", &secret).await?;
    // The webhook caches answers for a short time.
    wait::until("the profile to be admitted", wait::USUAL, || async {
        let made = api.create(&PostParams::default(), &profile).await;
        made.map(|_| ()).map_err(|error| error.to_string())
    })
    .await?;
    Ok(())
}

async fn a_claim_that_was_the_disk_of_another_workspace(scratch: &Scratch) -> anyhow::Result<()> {
    let claims: Api<PersistentVolumeClaim> = scratch.api();
    for (name, annotations) in [
        ("kept", json!({names::WORKSPACE_UID: "u-9"})),
        ("data", json!({})),
    ] {
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }))?;
        claims.create(&PostParams::default(), &claim).await?;
    }
    let uses = json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["use"]}]);
    scratch.grant("claims", "alice", &uses).await?;
    let workspaces = alice(scratch).await?;
    for (claim, is_refused) in [("kept", true), ("data", false)] {
        let spec = json!({"displayName": "x", "storage": {"claimName": claim}});
        let workspace = Workspace::new("later", serde_json::from_value(spec)?);
        let refusal = template::refusal(&workspaces, &workspace).await;
        let line =
            r#"spec.storage.claimName: "kept" is or was the disk of another workspace: name another claim"#;
        let reported = refusal.as_ref().is_some_and(|refusal| refusal.contains(line));
        assert_eq!(
            (refusal.is_some(), reported),
            (is_refused, is_refused),
            "{claim}: {refusal:?}"
        );
    }
    Ok(())
}

/// The caller must remove the template that it creates.
async fn a_text_that_no_container_can_have(scratch: &Scratch) -> anyhow::Result<()> {
    template::make(
        scratch,
        &json!({"defaultImage": "uv", "allowCustomInitContainers": true, "allowedPodAnnotations": ["x"]}),
    )
    .await?;
    let reported = "holds a NUL character, which no container can have";
    let cases = [
        (
            json!({"env": [{"name": "A", "value": "a\0b"}]}),
            "spec.env[0].value",
        ),
        (
            json!({"containerConfig": {"args": ["\0"]}}),
            "spec.containerConfig.args[0]",
        ),
        (json!({"podAnnotations": {"x": "\0"}}), "spec.podAnnotations.x"),
        (json!({"variables": {"a": "\0"}}), "spec.variables.a"),
        (
            json!({"initContainers": [{"name": "i", "image": "uv", "command": ["sh", "\0"]}]}),
            "spec.initContainers[0].command[1]",
        ),
    ];
    crate::rules::judged(scratch, cases.map(|(spec, field)| (spec, vec![field, reported]))).await?;
    let profile: WorkspaceExecutionProfile = serde_json::from_value(
        json!({"metadata": {"name": "nul"}, "spec": {"env": [{"name": "A", "value": "\0"}]}}),
    )?;
    let refused = scratch
        .api()
        .create(&PostParams::default(), &profile)
        .await
        .map(drop);
    let refused = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        refused.contains("spec.env[0].value") && refused.contains(reported),
        "{refused}"
    );
    Ok(())
}

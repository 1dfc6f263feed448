//! Service accounts, tokens and secrets of pods: only by an execution profile.

use api::{Workspace, WorkspaceExecutionProfile, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use k8s_openapi::api::{
    core::v1::{Pod, Secret, ServiceAccount},
    node::v1::RuntimeClass,
    scheduling::v1::PriorityClass,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const API_VERSION: &str = "workspaces.jupyter.org/v1alpha1";
/// Prints the payload of a token.
const PAYLOAD: &str = "
import base64, sys
payload = open(sys.argv[1]).read().split('.')[1]
print(base64.urlsafe_b64decode(payload + '=' * (-len(payload) % 4)).decode())
";

async fn profile(scratch: &Scratch, spec: Value) -> anyhow::Result<()> {
    let profile = serde_json::from_value(json!({
        "apiVersion": API_VERSION, "kind": "WorkspaceExecutionProfile", "metadata": {"name": "trainer"}, "spec": spec,
    }))?;
    let profiles = scratch.api::<WorkspaceExecutionProfile>();
    profiles.create(&PostParams::default(), &profile).await?;
    Ok(())
}

/// A running workspace with the profile `trainer`, and the name of its pod.
async fn run(scratch: &Scratch) -> anyhow::Result<(Workspace, String)> {
    let mut echo = workspace::echo("ws")?;
    echo.spec.execution_profile_ref = Some("trainer".to_owned());
    let workspaces = scratch.api::<Workspace>();
    workspaces.create(&PostParams::default(), &echo).await?;
    let ws = workspace::reached(&workspaces, "ws", Phase::Running).await?;
    let pod = workspace::pod(&ws)?;
    Ok((ws, pod))
}

async fn shell(scratch: &Scratch, pod: &str, script: &str) -> anyhow::Result<String> {
    cluster::exec(&scratch.api(), pod, &["sh", "-c", script]).await
}

#[tokio::test]
async fn account_tokens_secrets_variables_and_priority_reach_the_pod_and_a_change_is_pending()
-> anyhow::Result<()> {
    let scratch = Scratch::new("profile", &[]).await?;
    let classes = Api::<PriorityClass>::all(cluster::admin().await?);
    let class = scratch.namespace.clone();
    let priority: PriorityClass =
        serde_json::from_value(json!({"metadata": {"name": class}, "value": 1234}))?;
    classes.create(&PostParams::default(), &priority).await?;
    let runtimes = Api::<RuntimeClass>::all(cluster::admin().await?);
    let runtime: RuntimeClass =
        serde_json::from_value(json!({"metadata": {"name": class}, "handler": "runc"}))?;
    runtimes.create(&PostParams::default(), &runtime).await?;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "keys"}, "stringData": {"key": "open sesame"}}))?;
    scratch.api().create(&PostParams::default(), &secret).await?;
    let annotations = json!({"example.com/role": "{workspace.namespace}-{workspace.uid}"});
    profile(
        &scratch,
        json!({
            "serviceAccount": {"perWorkspace": {"annotations": annotations}},
            "projectedTokens": [
                {"audience": "https://vault/{workspace.namespace}/{workspace.uid}", "path": "/var/run/tokens/vault", "expirationSeconds": 900},
                {"audience": "sts.example.com", "path": "/var/run/tokens/sts"},
            ],
            "env": [
                {"name": "COLOUR", "value": "blue"},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
            ],
            "secretMounts": [{"secretName": "keys", "mountPath": "/etc/keys"}],
            "imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}],
            "priorityClassName": class,
            "runtimeClassName": class,
        }),
    )
    .await?;
    let (ws, pod) = run(&scratch).await?;
    let account = has_its_own_account(&scratch, &ws, &pod).await?;
    a_change_is_pending(&scratch, &pod).await?;
    workspace::delete(&scratch.api(), "ws").await?;
    let accounts = scratch.api::<ServiceAccount>();
    wait::until("the account to be gone", wait::USUAL, || async {
        match accounts.get_opt(&account).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    let gone = DeleteParams::default();
    classes.delete(&scratch.namespace, &gone).await?;
    runtimes.delete(&scratch.namespace, &gone).await?;
    scratch.finish().await
}

/// An account of the workspace's own, and tokens for the audiences of its profile; the name of the account.
async fn has_its_own_account(scratch: &Scratch, ws: &Workspace, pod: &str) -> anyhow::Result<String> {
    let uid = ws.uid().unwrap_or_default();
    let name = format!("workspace-ws-{}", &uid[..8]);
    let accounts = scratch.api::<ServiceAccount>();
    let account = accounts.get(&name).await?;
    assert_eq!(account.owner_references()[0].uid, uid);
    assert_eq!(
        account.annotations()["example.com/role"],
        format!("{}-{uid}", scratch.namespace)
    );
    let vault = format!("https://vault/{}/{uid}", scratch.namespace);
    for (file, audience) in [("vault", vault.as_str()), ("sts", "sts.example.com")] {
        let path = format!("/var/run/tokens/{file}");
        let payload = cluster::exec(&scratch.api(), pod, &["python3", "-c", PAYLOAD, &path]).await?;
        let payload: Value = serde_json::from_str(&payload)?;
        assert_eq!(payload["aud"], json!([audience]), "{payload}");
        let subject = format!("system:serviceaccount:{}:{name}", scratch.namespace);
        assert_eq!(payload["sub"], json!(subject));
    }
    let kubernetes = shell(scratch, pod, "ls /var/run/secrets 2>&1; true").await?;
    assert!(
        kubernetes.contains("No such file"),
        "no token for the Kubernetes API: {kubernetes}"
    );
    let resolved = ws.status.clone().and_then(|status| status.resolved);
    assert_eq!(
        resolved.unwrap_or_default().execution_profile.as_deref(),
        Some("trainer")
    );
    Ok(name)
}

/// Secrets, variables and priority of the profile are in the pod. A change of them waits for the next one.
async fn a_change_is_pending(scratch: &Scratch, name: &str) -> anyhow::Result<()> {
    let seen = shell(scratch, name, "echo $COLOUR, $KEY, $(cat /etc/keys/key)").await?;
    assert_eq!(seen.trim(), "blue, open sesame, open sesame");
    let pod = scratch.api::<Pod>().get(name).await?;
    let spec = pod.spec.unwrap_or_default();
    assert_eq!(spec.priority, Some(1234));
    assert_eq!(spec.runtime_class_name.as_ref(), Some(&scratch.namespace));
    assert_eq!(
        json!(spec.image_pull_secrets),
        json!([{"name": "registry"}, {"name": "mirror"}])
    );
    assert_eq!(spec.automount_service_account_token, Some(false));

    let change = Patch::Merge(json!({"spec": {"env": [{"name": "COLOUR", "value": "red"}]}}));
    let profiles = scratch.api::<WorkspaceExecutionProfile>();
    profiles
        .patch("trainer", &PatchParams::default(), &change)
        .await?;
    let workspaces = scratch.api::<Workspace>();
    wait::until("the change to be pending", wait::USUAL, || async {
        let ws = workspaces.get("ws").await.map_err(|error| error.to_string())?;
        let found = ws.status.unwrap_or_default().pending_update;
        if found == ["executionProfile.spec.env"] {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await?;
    assert_eq!(
        scratch.api::<Pod>().get(name).await?.uid(),
        pod.metadata.uid,
        "the pod runs on"
    );
    let run = workspace::run_id(&workspaces.get("ws").await?).ok();
    workspace::set(&workspaces, "ws", json!({"updatePolicy": "Always"})).await?;
    let fresh = wait::until("the change to reach the pod", wait::USUAL, || async {
        let ws = workspaces.get("ws").await.map_err(|error| error.to_string())?;
        // The endpoint is that of the run.
        match workspace::pod(&ws) {
            Ok(fresh) if workspace::run_id(&ws).ok() != run => Ok(fresh),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    assert_eq!(shell(scratch, &fresh, "echo $COLOUR").await?.trim(), "red");
    Ok(())
}

//! What an administrator does to the defaults of the cluster: several default managers, no default storage class. Nothing else runs
//! meanwhile.

use api::{
    Workspace, WorkspaceManager,
    condition::{DEGRADED, VALID, reason},
    names,
    workspace::Phase,
};
use e2e::{
    cluster::{self, Scratch},
    command,
    finally::always,
    http::HttpSession,
    wait, workspace,
};
use k8s_openapi::api::{
    apps::v1::Deployment, core::v1::PersistentVolumeClaim, events::v1::Event, storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::json;

use super::fetch;

/// Waits until a condition of the workspace has this status and reason; its message.
async fn says(
    workspaces: &Api<Workspace>,
    name: &str,
    type_: &str,
    wanted: (&str, &str),
) -> anyhow::Result<String> {
    wait::until(&format!("{name} to be {wanted:?}"), wait::USUAL, || async {
        let found = workspaces.get(name).await.map_err(|error| error.to_string())?;
        match workspace::condition(&found, type_) {
            Some((status, why, message)) if (status.as_str(), why.as_str()) == wanted => Ok(message),
            _ => Err(format!("{:?}", found.status)),
        }
    })
    .await
}

#[tokio::test]
async fn with_several_default_managers_running_workspaces_are_served_and_new_ones_wait() -> anyhow::Result<()>
{
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("ambiguous", &["alice"]).await?;
    let workspaces = scratch.api::<Workspace>();
    let before = workspace::running(&scratch, "runs").await?;
    let url = workspace::url(&before)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;

    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let second: WorkspaceManager = serde_json::from_value(json!({
        "metadata": {
            "name": scratch.namespace, "labels": {"e2e.test/scratch": "true"},
            "annotations": {names::IS_DEFAULT: "true"},
        },
        "spec": {
            "routing": {"baseDomain": format!("{}.example.org", scratch.namespace), "traefik": {}},
            "authentication": {"gateway": {}},
        },
    }))?;
    managers.create(&PostParams::default(), &second).await?;
    let operator_down = async {
        managers
            .delete(&scratch.namespace, &DeleteParams::default())
            .await?;
        Ok(())
    };
    let meanwhile = async {
        let reported = says(&workspaces, "runs", VALID, ("False", reason::MANAGER_AMBIGUOUS)).await?;
        assert!(
            reported.contains(&scratch.namespace)
                && reported.contains(names::IS_DEFAULT)
                && reported.contains("spec.managerRef"),
            "{reported}"
        );
        let now = workspaces.get("runs").await?;
        unchanged(&before, &now)?;
        assert_eq!(fetch(&session, &url).await?, StatusCode::OK, "its route goes on");

        let mut late = json!(workspace::echo("late")?);
        late["metadata"]["namespace"] = json!(scratch.namespace);
        late["apiVersion"] = json!("workspaces.jupyter.org/v1alpha1");
        late["kind"] = json!("Workspace");
        let outcome = command::kubectl_with("alice", &["create", "-f", "-"], &late).await?;
        anyhow::ensure!(
            outcome.code == 0
                && outcome
                    .stderr
                    .contains("Warning: several WorkspaceManagers are the default"),
            "{outcome:?}"
        );
        let late = workspace::reached(&workspaces, "late", Phase::Invalid).await?;
        let status = late.status.unwrap_or_default();
        assert_eq!(status.reason.as_deref(), Some(reason::MANAGER_AMBIGUOUS));
        let pods = scratch.api::<Deployment>().get_opt("workspace-late").await?;
        assert!(pods.is_none(), "nothing of it runs");
        Ok(())
    };
    Box::pin(always(meanwhile, operator_down)).await?;
    workspace::reached(&workspaces, "late", Phase::Running).await?;
    says(&workspaces, "runs", VALID, ("True", reason::ALL_RULES_HOLD)).await?;
    unchanged(&before, &workspaces.get("runs").await?)?;
    assert_eq!(fetch(&session, &url).await?, StatusCode::OK);
    let events = scratch.api::<Event>().list(&ListParams::default()).await?;
    let reported = events.iter().filter(|event| {
        let regarding = event
            .regarding
            .as_ref()
            .and_then(|regarding| regarding.name.as_deref());
        event.reason.as_deref() == Some(reason::MANAGER_AMBIGUOUS) && regarding == Some("runs")
    });
    assert_eq!(reported.count(), 1, "it is told once");
    scratch.finish().await
}

/// Same manager, address, pod and run, and it runs.
fn unchanged(before: &Workspace, now: &Workspace) -> anyhow::Result<()> {
    let status = |workspace: &Workspace| workspace.status.clone().unwrap_or_default();
    let (was, is) = (status(before), status(now));
    assert_eq!(is.phase, Some(Phase::Running));
    assert_eq!(is.resolved, was.resolved);
    assert_eq!((is.url, is.endpoint), (was.url, was.endpoint));
    assert_eq!(is.pending_update, [""; 0]);
    assert_eq!(workspace::run_id(now)?, workspace::run_id(before)?);
    Ok(())
}

const IS_DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

#[tokio::test]
async fn a_disk_without_default_storage_class_is_reported_and_binds_later() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let scratch = Scratch::new("classless", &["alice"]).await?;
    let workspaces = scratch.api::<Workspace>();
    let classes = Api::<StorageClass>::all(cluster::admin().await?);
    let all = classes.list(&ListParams::default()).await?;
    let is_default = |class: &&StorageClass| {
        let annotation = class.annotations().get(IS_DEFAULT_CLASS);
        annotation.is_some_and(|value| value == "true")
    };
    let usual: Vec<_> = all.iter().filter(is_default).map(ResourceExt::name_any).collect();
    anyhow::ensure!(usual.len() == 1, "{usual:?}");
    let set = async |value: &str| {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {IS_DEFAULT_CLASS: value}}}));
        classes.patch(&usual[0], &PatchParams::default(), &patch).await?;
        anyhow::Ok(())
    };
    set("false").await?;
    let meanwhile = async {
        let mut wanted = workspace::echo("ws")?;
        wanted.spec.storage = serde_json::from_value(json!({"size": "100Mi"}))?;
        let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
        alice.create(&PostParams::default(), &wanted).await?;
        let missing = ("True", reason::STORAGE_CLASS_NOT_FOUND);
        let reported = says(&workspaces, "ws", DEGRADED, missing).await?;
        assert_eq!(
            reported,
            "The disk names no storage class and the cluster has no default one. Have a default made. Or delete the \
             workspace and create it anew with spec.storage.storageClassName: the disk was never made, so no files are lost."
        );
        workspace::reached(&workspaces, "ws", Phase::Failed).await?;
        Ok(())
    };
    Box::pin(always(meanwhile, set("true"))).await?;
    says(&workspaces, "ws", DEGRADED, ("False", reason::AS_EXPECTED)).await?;
    let claims = scratch.api::<PersistentVolumeClaim>();
    wait::until("the claim to have the class", wait::USUAL, || async {
        let claim = claims.get("workspace-ws").await;
        let class = claim
            .map_err(|error| error.to_string())?
            .spec
            .and_then(|spec| spec.storage_class_name);
        if class.as_ref() == usual.first() {
            Ok(())
        } else {
            Err(format!("{class:?}"))
        }
    })
    .await?;
    // The scheduler looks again after five minutes at a pod whose claim had no class; at a new pod, at once.
    workspace::stop(&workspaces, "ws").await?;
    workspace::start(&workspaces, "ws").await?;
    scratch.finish().await
}

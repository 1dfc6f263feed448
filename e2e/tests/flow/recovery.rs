//! A home whose files keep JupyterLab from starting is reached in recovery, by its owner alone, mended, and starts normally.

use api::{
    Workspace, WorkspaceSpec,
    condition::reason,
    workspace::{AccessType, DesiredStatus, Phase, Storage},
};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    jupyter::{kernel, terminal},
    objects::workspace,
    wait,
};
use kube::Api;
use reqwest::StatusCode;
use serde_json::json;

const BREAK: &str = "mkdir -p ~/.jupyter && echo \"c.ServerApp.max_body_size = 'much'\" > ~/.jupyter/jupyter_server_config.py";
const MEND: &str = "rm disk/.jupyter/jupyter_server_config.py; echo removed-$?";

#[tokio::test]
async fn a_home_that_keeps_the_server_from_starting_is_mended_in_recovery_by_its_owner() -> anyhow::Result<()>
{
    let scratch = Scratch::new("recovery", &["alice", "bob"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let spec = WorkspaceSpec {
        display_name: "lab".to_owned(),
        storage: Some(Storage::default()),
        access_type: Some(AccessType::Public),
        ..WorkspaceSpec::default()
    };
    let lab = Box::pin(workspace::made(&scratch, &Workspace::new("lab", spec))).await?;
    let url = workspace::url(&lab)?;
    let bob = HttpSession::new()?;
    bob.enter(&url, "bob").await?;
    cluster::exec(&scratch.api(), &workspace::pod(&lab)?, &["sh", "-c", BREAK]).await?;
    workspace::stop(&alice, "lab").await?;
    workspace::set(&alice, "lab", json!({"desiredStatus": DesiredStatus::Running})).await?;
    wait::until("the wrong option to be named", wait::USUAL, || async {
        let lab = alice.get("lab").await.map_err(|error| error.to_string())?;
        let status = lab.status.unwrap_or_default();
        let ends = [reason::CONTAINER_EXITED, reason::CRASH_LOOPING];
        let is_told = status
            .conditions
            .iter()
            .any(|it| ends.contains(&it.reason.as_str()) && it.message.contains("'max_body_size' trait"));
        is_told.then_some(()).ok_or_else(|| format!("{status:?}"))
    })
    .await?;

    workspace::stop(&alice, "lab").await?;
    let recovery = json!({"desiredStatus": DesiredStatus::Running, "recoveryMode": true});
    workspace::set(&alice, "lab", recovery).await?;
    let in_recovery = workspace::reached(&alice, "lab", Phase::Running).await?;
    let status = in_recovery.status.clone().unwrap_or_default();
    let message = status.message.unwrap_or_default();
    assert!(message.contains("It is in recovery"), "{message}");
    // The door answers nobody whom the gateway does not attest, as in any pod of ours.
    let ask = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://127.0.0.1:8888/api/contents",
    ];
    let answer = cluster::exec(&scratch.api(), &workspace::pod(&in_recovery)?, &ask).await?;
    assert_eq!(answer.trim(), "401");
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    terminal::types(&session, &url, MEND, "removed-0").await?;
    let refused = bob.open(&url).await?;
    assert_eq!(
        refused.status(),
        StatusCode::FORBIDDEN,
        "a public workspace in recovery is its owner's"
    );

    workspace::stop(&alice, "lab").await?;
    // Its phase is `Running` before, too.
    workspace::reached(&alice, "lab", Phase::Stopped).await?;
    let normal = json!({"desiredStatus": DesiredStatus::Running, "recoveryMode": null});
    workspace::set(&alice, "lab", normal).await?;
    workspace::reached(&alice, "lab", Phase::Running).await?;
    bob.enter(&url, "bob").await?;
    assert_eq!(kernel::compute(&session, &url, "6*7").await?, "42");
    scratch.finish().await
}

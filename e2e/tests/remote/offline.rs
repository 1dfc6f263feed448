//! A pod that reaches nobody -> the server of an editor there, started and asked by `exec` (IO).
//!
//! The server of a desktop editor cannot be had here. That of code-server, which is in the image, stands in for it. There is no ssh: the
//! gateway leads to workspaces of the installation's manager, and only a manager of its own closes this pod's network. `use.rs` has what
//! editors do by ssh.

use anyhow::{Context as _, ensure};
use api::{Workspace, WorkspaceManager, WorkspaceSpec, manager::Egress, names, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    objects::workspace,
    wait,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};

/// Port of the server on the loopback interface of the pod.
const SERVED: u16 = 8_767;

/// A manager like the installation's. Its pods may connect to nobody. The gateway serves only the installation's own.
async fn without_network(managers: &Api<WorkspaceManager>, name: &str) -> anyhow::Result<()> {
    let all = managers.list(&ListParams::default()).await?;
    let is_default = |manager: &&WorkspaceManager| {
        let annotations = manager.metadata.annotations.as_ref();
        annotations.is_some_and(|annotations| annotations.contains_key(names::IS_DEFAULT))
    };
    let mut spec = all.iter().find(is_default).context("no manager")?.spec.clone();
    spec.network_policy.get_or_insert_default().egress = Egress::None;
    let manager = WorkspaceManager::new(name, spec);
    managers.create(&PostParams::default(), &manager).await?;
    Ok(())
}

#[tokio::test]
async fn an_editor_server_from_the_image_runs_without_a_network() -> anyhow::Result<()> {
    let scratch = Scratch::new("offline", &["alice"]).await?;
    let managers = Api::<WorkspaceManager>::all(cluster::admin().await?);
    let manager = scratch.namespace.clone();
    without_network(&managers, &manager).await?;
    let spec = WorkspaceSpec {
        display_name: "Offline".to_owned(),
        template_ref: Some("code-editor".to_owned()),
        manager_ref: Some(manager.clone()),
        ..WorkspaceSpec::default()
    };
    let mut wanted = Workspace::new("lab", spec);
    wanted.metadata.annotations = Some([(names::CREATED_BY.to_owned(), "alice".to_owned())].into());
    let workspaces = scratch.api::<Workspace>();
    workspaces.create(&PostParams::default(), &wanted).await?;
    let running = workspace::reached(&workspaces, "lab", Phase::Running).await?;
    let (pods, pod) = (scratch.api(), workspace::pod(&running)?);
    ensure!(!cluster::connects(&pods, &pod, "kubernetes.default.svc", 443).await?);
    let server = format!(
        "nohup code-server --bind-addr 127.0.0.1:{SERVED} --auth none --disable-telemetry > /tmp/log 2>&1 &"
    );
    cluster::exec(&pods, &pod, &["sh", "-c", &server]).await?;
    let page = format!("http://127.0.0.1:{SERVED}/");
    wait::until("the server to answer", wait::USUAL, || async {
        match cluster::exec(&pods, &pod, &["curl", "-sSL", &page]).await {
            Ok(answer) if answer.contains("vscode-workbench-web-configuration") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    workspace::delete(&workspaces, "lab").await?;
    managers.delete(&manager, &DeleteParams::default()).await?;
    scratch.finish().await
}

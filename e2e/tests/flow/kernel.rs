//! The shortest valid manifest gives a notebook that computes.

use api::{Workspace, WorkspaceSpec, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    jupyter::{kernel, terminal},
    objects::workspace,
};
use kube::{Api, api::PostParams};

/// A template that the chart brings.
const TEMPLATE: &str = "jupyterlab";

#[tokio::test]
async fn a_workspace_with_only_a_template_and_one_with_only_a_name_run_a_kernel_and_a_terminal()
-> anyhow::Result<()> {
    let scratch = Scratch::new("least", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let session = HttpSession::new()?;
    for (name, template) in [("template-only", Some(TEMPLATE)), ("name-only", None)] {
        let spec = WorkspaceSpec {
            display_name: name.to_owned(),
            template_ref: template.map(str::to_owned),
            ..WorkspaceSpec::default()
        };
        alice
            .create(&PostParams::default(), &Workspace::new(name, spec))
            .await?;
        let url = workspace::url(&workspace::reached(&alice, name, Phase::Running).await?)?;
        session.enter(&url, "alice").await?;
        let answer = kernel::compute(&session, &url, "6*7").await?;
        assert_eq!(answer, "42", "{name}");
        // A terminal is a websocket of its own.
        terminal::types(&session, &url, "echo $((6*7))", "42").await?;
        workspace::delete(&alice, name).await?;
    }
    scratch.finish().await
}

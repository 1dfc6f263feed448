//! A terminal is a websocket of its own.

use api::{Workspace, WorkspaceSpec, workspace::Phase};
use e2e::{
    cluster::{self, Scratch},
    http::Person,
    terminal, workspace,
};
use kube::{Api, api::PostParams};

#[tokio::test]
async fn what_is_typed_into_a_terminal_is_run_in_the_workspace() -> anyhow::Result<()> {
    let scratch = Scratch::new("terminal", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let spec = WorkspaceSpec {
        display_name: "lab".to_owned(),
        ..WorkspaceSpec::default()
    };
    alice
        .create(&PostParams::default(), &Workspace::new("lab", spec))
        .await?;
    let url = workspace::url(&workspace::reached(&alice, "lab", Phase::Running).await?)?;
    let person = Person::new()?;
    person.enter(&url, "alice").await?;
    terminal::types(&person, &url, "echo $((6*7))", "42").await?;
    scratch.finish().await
}

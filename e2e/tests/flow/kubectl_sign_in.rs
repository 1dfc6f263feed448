//! A user's token of the identity provider, in kubectl's place: the API server and the gateway give the user one name.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{Workspace, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::HttpSession,
    provider, wait, workspace,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};

/// The API server reads its authentication settings again once a minute, and asks a provider that was away every ten seconds.
const TRUSTED: Duration = Duration::from_mins(3);
#[tokio::test]
async fn a_token_of_the_provider_makes_a_workspace_whose_owner_is_the_person_that_the_browser_shows()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("kubectl", &["alice"]).await?;
    let password = &environment.user("alice")?.password;
    let tokens = provider::sign_in(&HttpSession::new()?, "alice", password).await?;
    let client = cluster::with_token(tokens.id_token()?).await?;
    let workspaces = Api::<Workspace>::namespaced(client, &scratch.namespace);
    wait::until(
        "the API server to accept the provider's token",
        TRUSTED,
        || async {
            let listed = workspaces.list(&ListParams::default()).await;
            listed.map(drop).map_err(|error| error.to_string())
        },
    )
    .await?;
    let name = "by-token";
    let made = workspaces
        .create(&PostParams::default(), &workspace::echo(name)?)
        .await?;
    let owner = made.annotations().get(names::CREATED_BY).context("no owner")?;

    // The gateway lets the same person in as the owner, and shows that name.
    let running = workspace::reached(&scratch.api(), name, Phase::Running).await?;
    let browser = HttpSession::new()?;
    browser.enter(&workspace::url(&running)?, "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let page = browser.open(&format!("{auth}/")).await?.text().await?;
    let shown = [".", ","].map(|end| format!("You are {owner}{end}"));
    ensure!(shown.iter().any(|name| page.contains(name)), "{owner}: {page}");
    scratch.finish().await
}

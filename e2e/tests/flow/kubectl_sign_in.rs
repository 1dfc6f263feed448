//! kubectl with a provider's token: API server and gateway give the user the same names.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use api::{Workspace, WorkspaceShare, names, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    command::kubectl_by,
    http::{HttpSession, provider},
    objects::workspace,
    wait,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The API server reads its authentication settings again once a minute, and asks a provider that was away every ten seconds.
const TRUSTED: Duration = Duration::from_mins(3);
/// Bob's workspace, which he shares with alice's group.
const SHARED: &str = "shared";

#[tokio::test]
async fn kubectl_with_a_token_of_the_provider_and_the_browser_agree_on_a_user_s_name_and_group()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("kubectl", &["alice", "bob"]).await?;
    let bob = cluster::user("bob").await?;
    let bobs = Api::<Workspace>::namespaced(bob.clone(), &scratch.namespace);
    bobs.create(&PostParams::default(), &workspace::echo(SHARED)?)
        .await?;

    let password = &environment.user("alice")?.password;
    let tokens = provider::sign_in(&HttpSession::new()?, "alice", password).await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, cluster::kubeconfig(tokens.id_token()?)?.to_string())?;
    let whoami = ["auth", "whoami", "-o", "json"];
    let accepted = "the API server to accept the provider's token";
    let whoami = wait::until_checked_each_second(accepted, TRUSTED, || async {
        let outcome = kubectl_by(&kubeconfig, &whoami).await;
        let outcome = outcome.map_err(|error| format!("{error:#}"))?;
        if outcome.code == 0 {
            Ok(outcome.stdout)
        } else {
            Err(outcome.stderr)
        }
    })
    .await?;
    let name = "by-token";
    let create = [
        "create",
        "workspace",
        name,
        "-n",
        &scratch.namespace,
        "--image",
        &environment.images.echo,
        "--cpu",
        "100m",
        "--memory",
        "128Mi",
        "--wait",
    ];
    let created = kubectl_by(&kubeconfig, &create).await?;
    ensure!(created.code == 0, "{created:?}");
    let running = workspace::reached(&scratch.api(), name, Phase::Running).await?;
    let owner = running.annotations().get(names::CREATED_BY).context("no owner")?;

    // The gateway admits the same user as the owner, and shows that name.
    let browser = HttpSession::new()?;
    browser.enter(&workspace::url(&running)?, "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let page = browser.open(&format!("{auth}/")).await?.text().await?;
    let shown = [".", ","].map(|end| format!("You are {owner}{end}"));
    ensure!(shown.iter().any(|name| page.contains(name)), "{owner}: {page}");

    // It also admits her where the group that the API server names has access.
    let group = group(&whoami)?;
    let url = workspace::url(&workspace::reached(&bobs, SHARED, Phase::Running).await?)?;
    let refused = browser.open(&url).await?.status();
    ensure!(refused == StatusCode::FORBIDDEN, "{refused}");
    let share = json!({
        "metadata": {"name": SHARED},
        "spec": {"workspaceRef": SHARED, "subjects": [{"kind": "Group", "name": group}]},
    });
    Api::<WorkspaceShare>::namespaced(bob, &scratch.namespace)
        .create(&PostParams::default(), &serde_json::from_value(share)?)
        .await?;
    browser.enter(&url, "alice").await?;
    scratch.finish().await
}

/// The group of a user for the API server, beside those that it adds for all users.
fn group(whoami: &str) -> anyhow::Result<String> {
    let whoami: Value = serde_json::from_str(whoami)?;
    let groups = whoami["status"]["userInfo"]["groups"].as_array();
    let groups = groups.into_iter().flatten().filter_map(Value::as_str);
    let mut groups = groups.filter(|group| !group.starts_with("system:"));
    let group = groups.next().with_context(|| format!("no group: {whoami}"))?;
    Ok(group.to_owned())
}

//! The first run of docs/install.md: its values install the product, and `helm test` passes.
//!
//! Identity provider, load balancer and cert-manager are not part of the release. Settings for this machine are in [`forced`].

mod front;

use anyhow::{Context as _, ensure};
use api::{Workspace, WorkspaceSpec, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch, traefik},
    command::administered,
    http::HttpSession,
    installation::release,
    objects::workspace,
    test_run::finally::always,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use serde_json::json;

use crate::{
    certificates::cert_manager::{CertManager, text},
    one_namespace::copy_secrets,
};

/// The page with the values.
const PAGE: &str = include_str!("../../../../docs/install.md");
/// Line of the page before the values.
const VALUES: &str = "Write these lines to `values.yaml`, with your names:";
/// The user whom these values name.
const USER: &str = "alice@example.com";
/// The template of the chart.
const TEMPLATE: &str = "jupyterlab";
/// Secret with the authority of the provider.
const PROVIDER_CA: &str = "provider-ca";

/// The release, and what is outside of it.
struct Site {
    outside: Scratch,
    inside: Scratch,
    cert_manager: CertManager,
    /// Namespace of users.
    users: String,
    /// Address of the node.
    node: String,
}

#[tokio::test]
async fn the_values_of_the_first_run_install_a_release_that_passes_its_test_and_opens_a_workspace()
-> anyhow::Result<()> {
    let outside = Scratch::bare("outside", &[]).await?;
    let inside = Scratch::bare("production", &[]).await?;
    copy_secrets(&outside).await?;
    create_secrets(&outside, &inside).await?;
    front::start(&outside, &traefik::image().await?, &inside.namespace).await?;
    let site = Site {
        cert_manager: CertManager::start(&outside).await?,
        users: format!("{}-notebooks", inside.namespace),
        node: front::node_address().await?,
        outside,
        inside,
    };
    // Each step runs, also after a failed one: other tests need the release.
    let back = async {
        let closed = front::close(&site.outside).await;
        let uninstalled = release::uninstall_from(&site.inside.namespace).await;
        let delete = [
            "delete",
            "namespace",
            &site.users,
            "--ignore-not-found",
            "--timeout=120s",
        ];
        let deleted = administered(&delete, "").await.map(drop);
        let installed = release::upgrade(&[]).await;
        let stopped = site.cert_manager.stop();
        let removed = site.cert_manager.remove().await;
        [closed, uninstalled, deleted, installed, stopped, removed]
            .into_iter()
            .collect()
    };
    Box::pin(always(first_run(&site), back)).await?;
    site.inside.finish().await?;
    site.outside.finish().await
}

async fn first_run(site: &Site) -> anyhow::Result<()> {
    release::uninstall().await?;
    front::provide(&site.outside).await?;
    front::open(&site.outside, &site.node).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values(site)?)?;
    let forced = forced(site)?;
    let forced: Vec<&str> = forced.iter().map(String::as_str).collect();
    let installed = release::install_by(&file, &site.inside.namespace, &forced).await;
    installed.with_context(|| site.cert_manager.log())?;

    let lines = release::test_in(&site.inside.namespace).await?;
    // The names of this machine's hosts are known to it alone, not to pods.
    for check in ["certificate", "provider", "admission", "workspace"] {
        let beginning = format!("ok    {check:<12} ");
        let passed = lines.iter().filter(|line| line.starts_with(&beginning)).count();
        ensure!(passed == 1, "{check}: {lines:#?}");
    }

    let workspaces = Api::<Workspace>::namespaced(cluster::acting_as(USER, &[]).await?, &site.users);
    let spec = WorkspaceSpec {
        display_name: "My notebook".to_owned(),
        template_ref: Some(TEMPLATE.to_owned()),
        ..WorkspaceSpec::default()
    };
    workspaces
        .create(&PostParams::default(), &Workspace::new("my-notebook", spec))
        .await?;
    let running = workspace::reached(&workspaces, "my-notebook", Phase::Running).await?;
    let url = format!("{}lab", workspace::url(&running)?);
    let session = HttpSession::new()?.trusting(&site.cert_manager.authority)?;
    let page = session.enter(&url, "alice").await?;
    ensure!(page.url().as_str().starts_with(&url), "{}", page.url());
    let page = page.text().await?;
    ensure!(page.contains("JupyterLab"), "{page}");
    Ok(())
}

/// The values of the page, with the names of this test.
fn values(site: &Site) -> anyhow::Result<String> {
    let environment = Environment::get()?;
    let (_, rest) = PAGE.split_once(VALUES).context("docs/install.md has no values")?;
    let block = rest
        .split("```")
        .nth(1)
        .context("docs/install.md has no values")?;
    let block = block.strip_prefix("yaml\n").context("the values are not YAML")?;
    let issuer = environment.origin(&environment.identity_host) + "/realms/jupyter";
    let mut values = block.to_owned();
    for (theirs, ours) in [
        ("workspaces.example.org", environment.base_domain.as_str()),
        ("https://login.example.com", &issuer),
        ("letsencrypt-dns", &site.cert_manager.issuer),
        ("name: notebooks", &format!("name: {}", site.users)),
    ] {
        ensure!(values.contains(theirs), "no {theirs:?} in {block}");
        values = values.replace(theirs, ours);
    }
    ensure!(values.contains(USER), "no {USER:?} in {block}");
    Ok(values)
}

/// Values that a machine without registry, load balancer and public names forces.
fn forced(site: &Site) -> anyhow::Result<Vec<String>> {
    let port = Environment::get()?.port;
    let provider = format!("{}.{}.svc:{port}", front::NAME, site.outside.namespace);
    Ok(vec![
        "image.registry=\"localhost\"".to_owned(),
        "image.pullPolicy=\"Never\"".to_owned(),
        "proxy.service.type=\"ClusterIP\"".to_owned(),
        format!("routing.port={port}"),
        format!("oidc.caSecretName=\"{PROVIDER_CA}\""),
        format!("oidc.connectTo=\"{provider}\""),
    ])
}

/// The Secrets of the release: that of the client, as the page says, and the authority of the provider, which is not public.
async fn create_secrets(outside: &Scratch, inside: &Scratch) -> anyhow::Result<()> {
    let release = &Environment::get()?.release;
    let client = format!("{release}-oidc");
    let theirs = outside.api::<Secret>();
    let secret = text(&theirs.get(&client).await?, "clientSecret")?;
    let authority = text(&theirs.get(&format!("{release}-proxy-tls")).await?, "ca.crt")?;
    let secrets = inside.api::<Secret>();
    for (name, key, value) in [
        (client.as_str(), "clientSecret", secret),
        (PROVIDER_CA, "ca.crt", authority),
    ] {
        let secret = json!({"metadata": {"name": name}, "stringData": {key: value}});
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret)?)
            .await?;
    }
    Ok(())
}

//! The installation with workspaces in folders of one host (routing mode Path), and back.

mod lab;
mod paths;

use std::time::Duration;

use anyhow::ensure;
use api::{
    Workspace, names,
    workspace::{IdleShutdown, Phase},
};
use e2e::{
    Environment,
    browser::Browser,
    cluster::{self, Scratch},
    http::HttpSession,
    objects::{template, workspace},
    wait,
};
use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use reqwest::StatusCode;
use serde_json::json;

/// What running workspaces have pending after a switch.
const BASE_PATH: &str = "manager.basePath";
/// From helm's end until every address has changed, on a busy machine.
const SWITCHED: Duration = Duration::from_secs(30);

/// Workspaces of two users, and one that runs before the switch.
pub(crate) struct Folders {
    site: Site,
    before: Workspace,
}

impl Folders {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let scratch = Scratch::new("folders", &["alice", "bob"]).await?;
        let any_image = json!({"defaultImage": Environment::get()?.images.echo, "allowCustomImages": true});
        template::make(&scratch, &any_image).await?;
        let site = Site {
            alice: Api::namespaced(cluster::user("alice").await?, &scratch.namespace),
            bob: Api::namespaced(cluster::user("bob").await?, &scratch.namespace),
            scratch,
        };
        let wanted = site.templated(workspace::echo("before")?);
        site.alice.create(&PostParams::default(), &wanted).await?;
        let before = workspace::reached(&site.alice, "before", Phase::Running).await?;
        Ok(Self { site, before })
    }

    pub(crate) async fn work(&self) -> anyhow::Result<()> {
        Box::pin(in_folders(&self.site, &self.before)).await
    }

    /// The section of docs/networking.md about a switch, in the other direction.
    pub(crate) async fn on_hosts_again(&self) -> anyhow::Result<()> {
        Box::pin(on_hosts_again(&self.site, &self.before)).await
    }

    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        template::finish(self.site.scratch).await
    }
}

struct Site {
    scratch: Scratch,
    alice: Api<Workspace>,
    bob: Api<Workspace>,
}

impl Site {
    /// The same with the template that its image needs where one is required.
    fn templated(&self, mut workspace: Workspace) -> Workspace {
        workspace.spec.template_ref = Some(self.scratch.namespace.clone());
        workspace
    }

    /// Address of a workspace while it is in a folder.
    fn url(&self, name: &str) -> anyhow::Result<String> {
        let environment = Environment::get()?;
        Ok(environment.origin(&environment.base_domain) + &self.folder(name))
    }

    fn folder(&self, name: &str) -> String {
        format!("/workspaces/{}/{name}/", self.scratch.namespace)
    }

    /// Waits until a running workspace has this address, and what is pending after the switch, or nothing.
    async fn moved(
        &self,
        name: &str,
        is_there: impl Fn(&str) -> bool,
        pending: &[&str],
    ) -> anyhow::Result<()> {
        let workspaces = self.scratch.api::<Workspace>();
        wait::until(&format!("{name} to move"), SWITCHED, || async {
            let workspace = workspaces.get(name).await.map_err(|error| error.to_string())?;
            let status = workspace.status.unwrap_or_default();
            let url = status.url.clone().unwrap_or_default();
            if is_there(&url) && status.pending_update == pending && status.phase == Some(Phase::Running) {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    }
}

async fn in_folders(site: &Site, before: &Workspace) -> anyhow::Result<()> {
    let old = site.url("before")?;
    site.moved("before", |url| url == old, &[BASE_PATH]).await?;

    let mut lab = site.templated(workspace::of_image("ws1", "uv"));
    lab.spec.resources = None;
    lab.spec.idle_shutdown = Some(IdleShutdown {
        idle_timeout_in_minutes: Some(3),
        ..IdleShutdown::default()
    });
    let [ws10, bobs] = ["ws10", "bobs"].map(workspace::echo);
    let (ws10, bobs) = (site.templated(ws10?), site.templated(bobs?));
    let mut editor = site.templated(workspace::of_image("editor", "code"));
    editor.spec.resources = None;
    for wanted in [&lab, &ws10, &editor] {
        site.alice.create(&PostParams::default(), wanted).await?;
    }
    site.bob.create(&PostParams::default(), &bobs).await?;
    for name in ["ws1", "ws10", "bobs", "editor"] {
        let made = workspace::reached(&site.scratch.api(), name, Phase::Running).await?;
        assert_eq!(workspace::url(&made)?, site.url(name)?);
    }

    // Who ran before is not restarted, and is reached at the new address by who knows no path.
    let alice = HttpSession::new()?;
    let answer = alice.enter(&old, "alice").await?.text().await?;
    assert!(answer.contains(&site.folder("before")), "{answer}");
    assert_eq!(
        workspace::run_id(&site.alice.get("before").await?)?,
        workspace::run_id(before)?,
        "a switch restarts no workspace"
    );
    let bob = HttpSession::new()?;
    bob.enter(&site.url("bobs")?, "bob").await?;
    let refused = bob.open(&site.url("ws1")?).await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);

    let browser = Browser::start().await?;
    lab::works(site, &browser).await?;
    lab::vs_code_shows_files(site, &browser).await?;
    lab::cookies_reach_their_folder_alone(site, &browser).await?;
    lab::workspaces_of_other_users_are_refused(site, &browser).await?;
    browser.close().await?;
    paths::have_one_interpretation(site, &alice).await?;
    lab::reports_idle_state(site).await
}

async fn on_hosts_again(site: &Site, before: &Workspace) -> anyhow::Result<()> {
    let (old, base) = (
        workspace::url(before)?,
        format!(".{}", Environment::get()?.base_domain),
    );
    site.moved("before", |url| url == old, &[]).await?;
    let alice = HttpSession::new()?;
    alice.enter(&old, "alice").await?;
    assert_eq!(
        workspace::run_id(&site.alice.get("before").await?)?,
        workspace::run_id(before)?
    );

    // JupyterLab expects its folder until its next start.
    site.moved("ws1", |url| url.contains(&base), &[BASE_PATH]).await?;
    let restart = json!({"metadata": {"annotations": {names::RESTARTED_AT: Timestamp::now().to_string()}}});
    site.alice
        .patch("ws1", &PatchParams::default(), &Patch::Merge(restart))
        .await?;
    site.moved("ws1", |url| url.contains(&base), &[]).await?;
    let url = workspace::url(&site.alice.get("ws1").await?)?;
    let page = alice.enter(&format!("{url}lab"), "alice").await?;
    ensure!(page.url().as_str() == format!("{url}lab"), "{}", page.url());
    let text = page.text().await?;
    ensure!(
        text.contains("jupyter-config-data"),
        "{url} is no JupyterLab: {text}"
    );
    // The old address has no workspace: the domain itself leads to the portal.
    let gone = alice.open(&site.url("before")?).await?;
    assert_eq!(
        gone.url().host_str(),
        Some(Environment::get()?.portal_host().as_str())
    );
    Ok(())
}

//! Two users: alice works in JupyterLab with a kernel, bob in an application with a websocket.

use std::time::Duration;

use anyhow::ensure;
use api::{
    Workspace,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch},
    http::{
        HttpSession,
        load::{Load, Writes},
    },
    jupyter::kernel::Kernel,
    objects::workspace,
    portal, wait,
};
use kube::{Api, api::PostParams};
use reqwest::StatusCode;

use super::tab::Tab;

/// Alice's JupyterLab, and bob's echo server.
pub(crate) const WORKSPACES: [&str; 2] = ["lab", "echo"];
/// Bob's workspace that is stored under the earlier CRDs, and stopped.
const STORED: &str = "stored";
/// Forty requests a second of each of them.
const PAUSE: Duration = Duration::from_millis(25);

/// The users, and the namespace of their workspaces.
pub(crate) struct Users(Scratch);

/// What they do in the browser.
pub(crate) struct Work {
    alice: User,
    bob: User,
    kernel: Kernel,
}

/// One of them, signed in.
struct User {
    session: HttpSession,
    /// Address of the open workspace.
    url: String,
    workspaces: Api<Workspace>,
}

impl Users {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Ok(Self(Scratch::new("last-release", &["alice", "bob"]).await?))
    }

    pub(crate) fn scratch(&self) -> &Scratch {
        &self.0
    }

    /// Each creates a workspace and opens it. Alice computes something.
    pub(crate) async fn begin(&self) -> anyhow::Result<Work> {
        let (alice, bob) = tokio::try_join!(self.alice(), self.bob())?;
        let kernel = Kernel::start(&alice.session, &alice.url).await?;
        let result = kernel.compute("answer = 41\nanswer").await?;
        ensure!(result == "41", "{result}");
        Ok(Work { alice, bob, kernel })
    }

    async fn alice(&self) -> anyhow::Result<User> {
        let running = Box::pin(workspace::lab(&self.0)).await?;
        self.enter("alice", &running).await
    }

    async fn bob(&self) -> anyhow::Result<User> {
        let workspaces: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &self.0.namespace);
        let wanted = workspace::echo(WORKSPACES[1])?;
        workspaces.create(&PostParams::default(), &wanted).await?;
        let running = workspace::reached(&workspaces, WORKSPACES[1], Phase::Running).await?;
        self.enter("bob", &running).await
    }

    /// Bob creates a workspace and leaves it stopped. Without rights on pods the operator reports no status.
    pub(crate) async fn store(&self) -> anyhow::Result<()> {
        let workspaces: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &self.0.namespace);
        let mut wanted = workspace::echo(STORED)?;
        wanted.spec.desired_status = DesiredStatus::Stopped;
        workspaces.create(&PostParams::default(), &wanted).await?;
        Ok(())
    }

    async fn enter(&self, user: &str, running: &Workspace) -> anyhow::Result<User> {
        let (session, url) = (HttpSession::new()?, workspace::url(running)?);
        session.enter(&url, user).await?;
        let client = cluster::user(user).await?;
        Ok(User {
            session,
            url,
            workspaces: Api::namespaced(client, &self.0.namespace),
        })
    }

    /// Alice's session opens the portal at its host if there is one, and otherwise nothing.
    pub(crate) async fn see_a_portal(&self, work: &Work, expected: bool) -> anyhow::Result<()> {
        let host = Environment::get()?.portal_host();
        let address = portal::address(&format!("/w/{}/{}", self.0.namespace, WORKSPACES[0]))?;
        wait::until(&format!("a portal: {expected}"), wait::USUAL, || async {
            let page = work.alice.session.open(&address).await;
            let page = page.map_err(|error| format!("{error:#}"))?;
            let (status, is_there) = (page.status(), page.url().host_str() == Some(&host));
            let is_so = if expected {
                status.is_success() && is_there
            } else {
                status == StatusCode::FORBIDDEN
            };
            is_so
                .then_some(())
                .ok_or_else(|| format!("{status} at {}", page.url()))
        })
        .await
    }

    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        self.0.finish().await
    }
}

impl Work {
    /// Both users work during `step`, and afterwards with what they had. `name`: of the step.
    pub(crate) async fn goes_on_during(
        &self,
        name: &str,
        step: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        // The servers have just read the definitions of another release: the page may have to wait until they follow them again.
        let (hers, his) = (
            format!("{}api/status", self.alice.url),
            format!("{}alive", self.bob.url),
        );
        tokio::try_join!(self.alice.opens(&hers), self.bob.opens(&his))?;
        let tab = Tab::open(&self.bob.session, &self.bob.url).await?;
        let loads = [
            Load::begin(&self.alice.session, &hers, PAUSE),
            Load::begin(&self.bob.session, &his, PAUSE),
        ];
        let writes = Writes::begin(self.alice.workspaces.clone())?;
        let stepped = step.await;
        let written = writes.end().await;
        let mut reports = Vec::new();
        for (load, user) in loads.into_iter().zip(["alice", "bob"]) {
            reports.push(load.end(&format!("{name}, {user}"), Duration::ZERO).await);
        }
        stepped?;
        for report in reports {
            let report = report?;
            ensure!(report.failed == 0, "{report:?}");
        }
        written?;
        tab.close().await?;

        let result = self.kernel.compute("answer + 1").await?;
        ensure!(result == "42", "{result}");
        Ok(())
    }

    /// Alice creates a workspace and opens it. Bob starts the stored one and opens it.
    pub(crate) async fn opens_others(&self) -> anyhow::Result<()> {
        let hers = async {
            let wanted = workspace::echo("another")?;
            self.alice
                .workspaces
                .create(&PostParams::default(), &wanted)
                .await?;
            let running = workspace::reached(&self.alice.workspaces, "another", Phase::Running).await?;
            self.alice.opens(&workspace::url(&running)?).await
        };
        let his = async {
            let running = workspace::start(&self.bob.workspaces, STORED).await?;
            self.bob.opens(&workspace::url(&running)?).await
        };
        tokio::try_join!(hers, his).map(drop)
    }
}

impl User {
    /// Opens the running workspace at `url`, without a new login.
    async fn opens(&self, url: &str) -> anyhow::Result<()> {
        wait::until(&format!("{url} to open"), wait::USUAL, || async {
            let page = self.session.open(url).await;
            let page = page.map_err(|error| format!("{error:#}"))?;
            let (status, at) = (page.status(), page.url().to_string());
            if status.is_success() && at == url {
                Ok(())
            } else {
                Err(format!("{status} at {at}"))
            }
        })
        .await
    }
}

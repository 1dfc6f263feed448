//! The portal on an API server without constrained impersonation.
//!
//! It reads and shows commands, or impersonates any user if an administrator allows that.

use anyhow::ensure;
use api::{Workspace, workspace::DesiredStatus};
use e2e::{
    Environment,
    api_server::SecondApiServer,
    cluster::Scratch,
    command::{administered, kubectl},
    finally::always,
    portal::Portal,
    release, wait, workspace,
};
use kube::{Api, ResourceExt as _};

/// Why the portal changes nothing there.
const READ_ONLY: &str = "This cluster has no constrained impersonation";

/// The portal, which asks another API server than all else.
struct Site {
    scratch: Scratch,
    server: SecondApiServer,
    portal: Portal,
}

impl Site {
    fn path(&self) -> String {
        format!("/w/{}/lab", self.scratch.namespace)
    }

    async fn text(&self) -> anyhow::Result<String> {
        let (_, text) = self.portal.open(&self.path()).await?;
        Ok(text)
    }

    /// Waits until the page is of this kind: with commands, or with buttons.
    async fn is_read_only(&self, expected: bool) -> anyhow::Result<String> {
        wait::until("what the portal knows of the API server", wait::USUAL, || async {
            let text = self.text().await?;
            let is_known = text.contains("kubectl workspace ") || text.contains("/stop");
            ensure!(is_known && text.contains(READ_ONLY) == expected, "{text}");
            anyhow::Ok(text)
        })
        .await
    }

    /// Sends the form that a page with buttons has.
    async fn press(&self, action: &str) -> anyhow::Result<(u16, String)> {
        let uid = self.workspace().await?.uid().unwrap_or_default();
        let path = format!("{}/{action}", self.path());
        let answer = self.portal.post(&path, &[("uid", &uid)]).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn workspace(&self) -> anyhow::Result<Workspace> {
        let workspaces = Api::<Workspace>::namespaced(self.server.admin().await?, &self.scratch.namespace);
        Ok(workspaces.get("lab").await?)
    }

    /// Lets the portal ask the second API server, with this value of `portal.impersonation`.
    async fn set(&self, impersonation: &str) -> anyhow::Result<()> {
        let (host, port) = self.server.address()?;
        let ports = format!("networkPolicy.apiServer.ports=[443,6443,{port}]");
        let impersonation = format!("portal.impersonation=\"{impersonation}\"");
        release::upgrade_with_json(&[&ports, &impersonation]).await?;
        let (host, port) = (
            format!("KUBERNETES_SERVICE_HOST={host}"),
            format!("KUBERNETES_SERVICE_PORT={port}"),
        );
        variables(&[&host, &port]).await
    }
}

/// Sets variables of the portal's process, or removes them (`NAME-`), and waits until it has them.
async fn variables(variables: &[&str]) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let portal = format!("deployment/{}-portal", environment.release);
    let of = ["-n", environment.system_namespace.as_str(), &portal];
    let set = [&["set", "env"], &of[..], variables].concat();
    administered(&set, "").await?;
    let status = [&["rollout", "status", "--timeout=2m"], &of[..]].concat();
    administered(&status, "").await.map(drop)
}

/// Commands of the plugin that the page shows.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<_> = page
        .split("kubectl workspace ")
        .skip(1)
        .filter_map(|rest| rest.split(['<', '"']).next())
        .map(|command| command.trim().to_owned())
        .collect();
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn before_constrained_impersonation_the_portal_shows_commands_that_work_or_impersonates_anybody_if_told_to()
-> anyhow::Result<()> {
    let scratch = Scratch::new("older", &["alice"]).await?;
    workspace::running(&scratch, "lab").await?;
    let server = SecondApiServer::start(&["--feature-gates=ConstrainedImpersonation=false"]).await?;
    let site = Site {
        scratch,
        server,
        portal: Portal::enter("alice").await?,
    };
    let back = async {
        let without = variables(&["KUBERNETES_SERVICE_HOST-", "KUBERNETES_SERVICE_PORT-"]).await;
        release::upgrade(&[]).await.and(without)
    };
    always(Box::pin(on_the_older_one(&site)), back).await?;
    site.scratch.finish().await
}

async fn on_the_older_one(site: &Site) -> anyhow::Result<()> {
    site.set("Constrained").await?;
    let page = site.is_read_only(true).await?;
    // The status may change by itself.
    let state = |workspace: Workspace| {
        let metadata = workspace.metadata;
        (
            metadata.generation,
            metadata.annotations,
            metadata.deletion_timestamp,
        )
    };
    let before = state(site.workspace().await?);
    for action in ["stop", "restart", "delete"] {
        let (status, answer) = site.press(action).await?;
        ensure!(
            status == 400 && answer.contains(READ_ONLY),
            "{action}: {status} {answer}"
        );
    }
    let after = state(site.workspace().await?);
    ensure!(after == before, "{before:?} became {after:?}");
    let shown = commands(&page);
    let namespace = &site.scratch.namespace;
    let stop = format!("stop lab -n {namespace}");
    ensure!(shown.contains(&stop), "{shown:?}");
    for (command, expected) in [
        (stop, DesiredStatus::Stopped),
        (format!("start lab -n {namespace}"), DesiredStatus::Running),
    ] {
        wait::until("the command on the page", wait::USUAL, || async {
            let shown = commands(&site.text().await?);
            ensure!(shown.contains(&command), "{command}: {shown:?}");
            Ok(())
        })
        .await?;
        // Without a terminal nobody can be asked whether files may be deleted.
        let words = ["workspace"].into_iter().chain(command.split(' '));
        let is_stop = command.starts_with("stop ");
        let words: Vec<_> = words.chain(is_stop.then_some("--yes")).collect();
        let outcome = kubectl("alice", &words).await?;
        ensure!(outcome.code == 0, "{command}: {outcome:?}");
        let now = site.workspace().await?.spec.desired_status;
        ensure!(now == expected, "{command}: {now:?}");
    }
    site.set("Any").await?;
    site.is_read_only(false).await?;
    let (status, answer) = site.press("stop").await?;
    ensure!(status == 303, "{status} {answer}");
    ensure!(
        site.workspace().await?.spec.desired_status == DesiredStatus::Stopped,
        "the button did nothing"
    );
    Ok(())
}

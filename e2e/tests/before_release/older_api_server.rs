//! The portal on an API server without constrained impersonation.
//!
//! It reads and shows commands, acts with users' own tokens, or impersonates any user if an administrator allows that.

use std::fs;

use anyhow::{Context as _, anyhow, ensure};
use api::{Workspace, WorkspaceShare, names, workspace::DesiredStatus};
use e2e::{
    Environment,
    cluster::{
        Scratch,
        api_server::{SecondApiServer, trusting},
    },
    command::{administered, shell_as},
    installation::release,
    objects::{template, workspace},
    portal::Portal,
    test_run::finally::always,
    wait,
};
use jiff::{SignedDuration, Timestamp};
use kube::{Api, ResourceExt as _, api::ListParams};
use scraper::{Html, Selector};
use serde_json::json;

/// Why the portal changes nothing there.
const READ_ONLY: &str = "This cluster has no constrained impersonation";
/// The gateway's client at the identity provider.
const GATEWAY_CLIENT: &str = "jupyter-k8s";

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
        self.press_at(&self.portal, action).await
    }

    /// The same by another login.
    async fn press_at(&self, portal: &Portal, action: &str) -> anyhow::Result<(u16, String)> {
        let uid = self.workspace().await?.uid().unwrap_or_default();
        let path = format!("{}/{action}", self.path());
        let answer = portal.post(&path, &[("uid", &uid)]).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn workspace(&self) -> anyhow::Result<Workspace> {
        let workspaces = Api::<Workspace>::namespaced(self.server.admin().await?, &self.scratch.namespace);
        Ok(workspaces.get("lab").await?)
    }

    /// The command that a page shows, and that begins like this.
    async fn command(&self, path: &str, begin: &str) -> anyhow::Result<String> {
        wait::until(&format!("{begin} on {path}"), wait::USUAL, || async {
            let (_, page) = self.portal.open(path).await?;
            shown(&page, begin)
        })
        .await
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

/// Texts of the elements, or their values if they are controls.
fn texts(page: &str, selector: &str) -> anyhow::Result<Vec<String>> {
    let selector = Selector::parse(selector).map_err(|error| anyhow!("{error}"))?;
    let page = Html::parse_document(page);
    let elements = page.select(&selector);
    let text = elements.map(|element| match element.attr("value") {
        Some(value) => value.to_owned(),
        None => element.text().collect(),
    });
    Ok(text.collect())
}

/// The command on a page that begins like this.
fn shown(page: &str, begin: &str) -> anyhow::Result<String> {
    let all = texts(page, "main code")?;
    let found = all.iter().find(|text| text.starts_with(begin)).cloned();
    found.with_context(|| format!("no {begin:?} among {all:?}"))
}

/// Runs what a page shows in alice's shell.
async fn run(command: &str) -> anyhow::Result<String> {
    shell_as("alice", command).await
}

#[tokio::test]
async fn before_constrained_impersonation_the_portal_shows_commands_that_work_or_impersonates_any_user_if_configured()
-> anyhow::Result<()> {
    let scratch = Scratch::new("older", &["alice"]).await?;
    let rights = json!([
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces"], "verbs": [names::ASSIGN_OWNER_VERB]},
    ]);
    scratch.grant("logs-and-owners", "alice", &rights).await?;
    template::make(
        &scratch,
        &json!({"defaultImage": Environment::get()?.images.echo}),
    )
    .await?;
    workspace::running(&scratch, "lab").await?;
    let folder = tempfile::tempdir()?;
    let authentication = folder.path().join("authentication.json");
    fs::write(&authentication, trusting(GATEWAY_CLIENT)?.to_string())?;
    let server = SecondApiServer::start(&[
        "--feature-gates=ConstrainedImpersonation=false",
        &format!("--authentication-config={}", authentication.display()),
    ])
    .await?;
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
    template::finish(site.scratch).await
}

async fn on_the_older_one(site: &Site) -> anyhow::Result<()> {
    site.set("Constrained").await?;
    site.is_read_only(true).await?;
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
    changes_the_workspace(site).await?;
    shares_it(site).await?;
    makes_and_deletes_another(site).await?;
    let owner = format!("{}/owner", site.path());
    let hand_over = site
        .command(&owner, "kubectl annotate --overwrite workspace lab ")
        .await?;
    site.set("Any").await?;
    site.is_read_only(false).await?;
    let (status, answer) = site.press("stop").await?;
    ensure!(status == 303, "{status} {answer}");
    ensure!(
        site.workspace().await?.spec.desired_status == DesiredStatus::Stopped,
        "the button did nothing"
    );
    starts_with_her_own_token(site).await?;
    // Afterwards alice has no right to it.
    run(&hand_over.replace("=NAME", "=bob")).await?;
    let workspace = site.workspace().await?;
    let owner = names::owner(&workspace.metadata);
    ensure!(owner == Some("bob"), "{hand_over}: {owner:?}");
    Ok(())
}

/// The portal's account may impersonate nobody then.
async fn starts_with_her_own_token(site: &Site) -> anyhow::Result<()> {
    site.set("Token").await?;
    // From now on the gateway renews the tokens of logins in time.
    let portal = Portal::enter("alice").await?;
    wait::until("the API server to take her token", wait::USUAL, || async {
        let (_, text) = portal.open("/account").await?;
        ensure!(text.contains("knows you by the same name and groups"), "{text}");
        anyhow::Ok(())
    })
    .await?;
    let (status, answer) = site.press_at(&portal, "start").await?;
    ensure!(status == 303, "{status} {answer}");
    let now = site.workspace().await?.spec.desired_status;
    ensure!(now == DesiredStatus::Running, "the button did nothing");
    Ok(())
}

/// The commands for a workspace that runs. Without a terminal the plugin cannot ask whether files may be deleted: `--yes` is added.
async fn changes_the_workspace(site: &Site) -> anyhow::Result<()> {
    let at = site.path();
    let logs = site
        .command(&format!("{at}/logs"), "kubectl workspace logs lab ")
        .await?;
    let output = run(&logs).await?;
    ensure!(output.contains("listening on port"), "{logs}: {output}");

    let form = format!("{at}/edit");
    let (_, page) = site.portal.open(&form).await?;
    let hidden = |name: &str| {
        let found = texts(&page, &format!("main form input[type=hidden][name={name}]"))?;
        found
            .into_iter()
            .next()
            .with_context(|| format!("no {name}: {page}"))
    };
    let (uid, before) = (hidden("uid")?, hidden("before")?);
    let typed = [
        ("uid", &*uid),
        ("before", &before),
        ("written", "form"),
        ("do", "save"),
        ("spec.displayName", "Alice's lecture"),
    ];
    let page = site.portal.post(&form, &typed).await?.text().await?;
    let patch = shown(&page, "kubectl patch workspace lab ")?;
    run(&patch).await?;
    let name = site.workspace().await?.spec.display_name;
    ensure!(name == "Alice's lecture", "{patch}: {name}");

    let restart = site.command(&at, "kubectl workspace restart lab ").await?;
    run(&format!("{restart} --yes")).await?;
    let is_restarted = site
        .workspace()
        .await?
        .annotations()
        .contains_key(names::RESTARTED_AT);
    ensure!(is_restarted, "{restart}");
    for (verb, rest, expected) in [
        ("stop", " --yes", DesiredStatus::Stopped),
        ("start", "", DesiredStatus::Running),
    ] {
        let command = site
            .command(&at, &format!("kubectl workspace {verb} lab "))
            .await?;
        run(&format!("{command}{rest}")).await?;
        let now = site.workspace().await?.spec.desired_status;
        ensure!(now == expected, "{command}: {now:?}");
    }
    Ok(())
}

/// The commands for a new share, for another end of it, and for its end.
async fn shares_it(site: &Site) -> anyhow::Result<()> {
    let page = format!("{}/share", site.path());
    let shares = site.scratch.api::<WorkspaceShare>();
    let share = site.command(&page, "kubectl workspace share lab ").await?;
    run(&share.replace("NAME", "bob")).await?;
    let made = shares.list(&ListParams::default()).await?.items;
    let [made] = made.as_slice() else {
        anyhow::bail!("{share}: {made:?}");
    };
    ensure!(made.spec.subjects[0].name == "bob", "{share}: {made:?}");

    let name = made.name_any();
    let end = Timestamp::from_second((Timestamp::now() + SignedDuration::from_hours(2)).as_second())?;
    let prolong = format!("kubectl patch workspaceshare {name} ");
    let prolong = site.command(&page, &prolong).await?;
    run(&prolong.replace("TIME", &end.to_string())).await?;
    let until = shares.get(&name).await?.spec.expires_at.map(|time| time.0);
    ensure!(until == Some(end), "{prolong}: {until:?}");

    let delete = format!("kubectl delete workspaceshare {name} ");
    let delete = site.command(&page, &delete).await?;
    run(&delete).await?;
    ensure!(shares.get_opt(&name).await?.is_none(), "{delete}");
    Ok(())
}

/// The commands for a new workspace and for its deletion.
async fn makes_and_deletes_another(site: &Site) -> anyhow::Result<()> {
    let namespace = &site.scratch.namespace;
    let new = format!("/new?namespace={namespace}&template={namespace}");
    let apply = site.command(&new, "kubectl apply -f - <<'EOF'\n").await?;
    run(&apply).await?;
    let workspaces = site.scratch.api::<Workspace>();
    let all = workspaces.list(&ListParams::default()).await?.items;
    let made = all
        .iter()
        .find(|it| it.spec.template_ref.as_ref() == Some(namespace));
    let made = made.with_context(|| format!("{apply}: {all:?}"))?.name_any();
    let at = format!("/w/{namespace}/{made}");
    let delete = format!("kubectl workspace delete {made} ");
    let delete = site.command(&at, &delete).await?;
    run(&format!("{delete} --yes")).await?;
    let left = workspaces.get_opt(&made).await?;
    let is_left = left.is_some_and(|it| it.metadata.deletion_timestamp.is_none());
    ensure!(!is_left, "{delete}");
    Ok(())
}

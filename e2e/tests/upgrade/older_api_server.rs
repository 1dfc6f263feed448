//! The product on an API server of Kubernetes 1.34, on the cluster's etcd: the nodes stay with the cluster's own.
//!
//! The portal reads and shows commands, acts with users' own tokens, or impersonates any user if an administrator allows that.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use api::{
    Workspace, WorkspaceShare, names,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{
        self, Scratch,
        api_server::{SecondApiServer, trusting},
        audit,
    },
    command::{administered, shell_by},
    installation::release,
    objects::{template, workspace},
    portal::Portal,
    test_run::finally::always,
    wait,
};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Its version.
const VERSION: &str = "v1.34.";
/// Components that ask an API server.
const COMPONENTS: [&str; 5] = ["gateway", "operator", "portal", "proxy", "webhook"];
/// Variables that say where it is.
const HOST: &str = "KUBERNETES_SERVICE_HOST";
const PORT: &str = "KUBERNETES_SERVICE_PORT";
/// Why the portal changes nothing there.
const READ_ONLY: &str = "This cluster has no constrained impersonation";
/// The gateway's client at the identity provider.
const GATEWAY_CLIENT: &str = "jupyter-k8s";
/// A second workspace, which lives on the older API server alone.
const NEW: &str = "new";

/// The product, which asks another API server than the nodes.
struct Site {
    scratch: Scratch,
    server: SecondApiServer,
    portal: Portal,
    folder: TempDir,
}

impl Site {
    async fn new(scratch: Scratch) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = |name: &str| folder.path().join(name);
        fs::write(file("authentication.json"), trusting(GATEWAY_CLIENT)?.to_string())?;
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}],
        });
        fs::write(file("policy.json"), policy.to_string())?;
        let server = SecondApiServer::start_older(&[
            &format!(
                "--authentication-config={}",
                file("authentication.json").display()
            ),
            &format!("--audit-policy-file={}", file("policy.json").display()),
            &format!("--audit-log-path={}", file("audit.log").display()),
        ])
        .await?;
        server.write_kubeconfig_of("alice", &file("alice"))?;
        let version = server.admin().await?.apiserver_version().await?.git_version;
        ensure!(version.starts_with(VERSION), "{version}");
        Ok(Self {
            scratch,
            server,
            portal: Portal::enter("alice").await?,
            folder,
        })
    }

    /// Alice's kubeconfig for the older API server.
    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("alice")
    }

    /// Runs what a page shows in alice's shell.
    async fn run(&self, command: &str) -> anyhow::Result<String> {
        shell_by(&self.kubeconfig(), command).await
    }

    /// Whether the older API server answered such a call.
    fn has_answered(&self, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<bool> {
        let log = fs::read_to_string(self.folder.path().join("audit.log"))?;
        let mut calls = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(calls.any(|call: Value| {
            call["responseStatus"]["code"]
                .as_u64()
                .is_some_and(|code| code < 300)
                && is_it(&call)
        }))
    }

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
        // The name, because it has no disk and a stop deletes its files.
        let answer = portal.post(&path, &[("uid", &uid), ("name", "lab")]).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The workspaces as an administrator of the older API server.
    async fn workspaces(&self) -> anyhow::Result<Api<Workspace>> {
        Ok(Api::namespaced(
            self.server.admin().await?,
            &self.scratch.namespace,
        ))
    }

    async fn workspace(&self) -> anyhow::Result<Workspace> {
        Ok(self.workspaces().await?.get("lab").await?)
    }

    /// The command that a page shows, and that begins like this.
    async fn command(&self, path: &str, begin: &str) -> anyhow::Result<String> {
        wait::until(&format!("{begin} on {path}"), wait::USUAL, || async {
            let (_, page) = self.portal.open(path).await?;
            shown(&page, begin)
        })
        .await
    }

    /// Upgrades the release at the older API server, with this value of `portal.impersonation`.
    async fn set(&self, impersonation: &str) -> anyhow::Result<()> {
        let (_, port) = self.server.address()?;
        let ports = format!("networkPolicy.apiServer.ports=[443,6443,{port}]");
        let impersonation = format!("portal.impersonation=\"{impersonation}\"");
        release::upgrade_by(&self.server.kubeconfig_file(), &[&ports, &impersonation]).await
    }

    /// Lets all components ask the older API server.
    async fn move_here(&self) -> anyhow::Result<()> {
        let (host, port) = self.server.address()?;
        variables(&[&format!("{HOST}={host}"), &format!("{PORT}={port}")]).await
    }
}

/// Sets variables of all components, or removes them (`NAME-`), and waits until their pods have them.
async fn variables(variables: &[&str]) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let names = COMPONENTS.map(|component| format!("deployment/{}-{component}", environment.release));
    let of = ["-n", environment.system_namespace.as_str()];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let set = [&["set", "env"], &of[..], &names, variables].concat();
    administered(&set, "").await?;
    for name in names {
        let status = [&["rollout", "status", "--timeout=2m"], &of[..], &[name]].concat();
        administered(&status, "").await?;
    }
    Ok(())
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

#[tokio::test]
async fn on_an_older_api_server_workspaces_run_and_the_portal_shows_commands_or_acts_with_tokens_of_users()
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
    let site = Site::new(scratch).await?;
    let back = async {
        let without = variables(&[&format!("{HOST}-"), &format!("{PORT}-")]).await;
        release::upgrade(&[]).await.and(without)
    };
    always(Box::pin(on_the_older_one(&site)), back).await?;
    template::finish(site.scratch).await
}

async fn on_the_older_one(site: &Site) -> anyhow::Result<()> {
    site.set("Constrained").await?;
    site.move_here().await?;
    Box::pin(admits_and_runs(site)).await?;
    only_reads(site).await?;
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
    acts_with_her_own_token(site).await?;
    // Afterwards alice has no right to it.
    site.run(&hand_over.replace("=NAME", "=bob")).await?;
    let workspace = site.workspace().await?;
    let owner = names::owner(&workspace.metadata);
    ensure!(owner == Some("bob"), "{hand_over}: {owner:?}");
    Ok(())
}

/// Webhook, policies and operator. Each is seen in the log of the older API server.
async fn admits_and_runs(site: &Site) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(
        cluster::client(&site.kubeconfig()).await?,
        &site.scratch.namespace,
    );
    let foreign = template::workspace(&site.scratch, NEW, &json!({"image": "example.com/other:1"}))?;
    let refused = template::refusal(&alice, &foreign).await;
    let refused = refused.context("an image that the template does not allow is admitted")?;
    ensure!(
        refused.contains("admission webhook") && refused.contains("spec.image"),
        "{refused}"
    );
    let wanted = template::workspace(&site.scratch, NEW, &json!({}))?;
    let made = alice.create(&PostParams::default(), &wanted).await?;
    ensure!(names::owner(&made.metadata) == Some("alice"), "{made:?}");
    workspace::reached(&alice, NEW, Phase::Running).await?;
    // Her role allows it, and a policy does not.
    let rules = json!([{
        "apiGroups": ["workspaces.jupyter.org"], "resources": ["workspaces/status"], "verbs": ["patch"],
    }]);
    site.scratch.grant("status", "alice", &rules).await?;
    let forged = Patch::Merge(json!({"status": {"phase": "Stopped"}}));
    // The API server takes a moment to know the role.
    wait::until("a policy to refuse a forged status", wait::USUAL, || async {
        let written = alice.patch_status(NEW, &PatchParams::default(), &forged).await;
        let refused = written.err().context("the status is written")?.to_string();
        ensure!(refused.contains("ValidatingAdmissionPolicy"), "{refused}");
        anyhow::Ok(())
    })
    .await?;
    workspace::stop(&alice, NEW).await?;
    for (component, verb) in [
        ("operator", "create"),
        ("webhook", "watch"),
        ("gateway", "watch"),
        ("portal", "watch"),
    ] {
        let user = audit::user_of(component)?;
        let calls = site.has_answered(|call| call["user"]["username"] == user && call["verb"] == verb)?;
        ensure!(calls, "{component} does not {verb} here");
    }
    Ok(())
}

async fn only_reads(site: &Site) -> anyhow::Result<()> {
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
    makes_and_deletes_another(site).await
}

/// The portal's account may impersonate nobody then.
async fn acts_with_her_own_token(site: &Site) -> anyhow::Result<()> {
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
    let (_, list) = portal.open("/").await?;
    ensure!(list.contains(&site.path()), "{list}");
    let is_hers = |call: &Value| {
        call["verb"] == "patch"
            && call["objectRef"]["name"] == "lab"
            && call["userAgent"] == names::PORTAL
            && call["user"]["username"] == "alice"
            && call["impersonatedUser"].is_null()
    };
    ensure!(
        site.has_answered(is_hers)?,
        "the API server saw no patch by her token"
    );
    Ok(())
}

/// The commands for a workspace that runs. Without a terminal the plugin cannot ask whether files may be deleted: `--yes` is added.
async fn changes_the_workspace(site: &Site) -> anyhow::Result<()> {
    let at = site.path();
    let logs = site
        .command(&format!("{at}/logs"), "kubectl workspace logs lab ")
        .await?;
    let output = site.run(&logs).await?;
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
    let (uid, seen) = (hidden("uid")?, hidden("seen")?);
    let typed = [
        ("uid", &*uid),
        ("seen", &seen),
        ("written", "form"),
        ("do", "save"),
        ("spec.displayName", "Alice's lecture"),
    ];
    let page = site.portal.post(&form, &typed).await?.text().await?;
    let patch = shown(&page, "kubectl patch workspace lab ")?;
    site.run(&patch).await?;
    let name = site.workspace().await?.spec.display_name;
    ensure!(name == "Alice's lecture", "{patch}: {name}");

    let restart = site.command(&at, "kubectl workspace restart lab ").await?;
    site.run(&format!("{restart} --yes")).await?;
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
        site.run(&format!("{command}{rest}")).await?;
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
    site.run(&share.replace("NAME", "bob")).await?;
    let made = shares.list(&ListParams::default()).await?.items;
    let [made] = made.as_slice() else {
        anyhow::bail!("{share}: {made:?}");
    };
    ensure!(made.spec.subjects[0].name == "bob", "{share}: {made:?}");

    let name = made.name_any();
    let end = Timestamp::from_second((Timestamp::now() + SignedDuration::from_hours(2)).as_second())?;
    let prolong = format!("kubectl patch workspaceshare {name} ");
    let prolong = site.command(&page, &prolong).await?;
    site.run(&prolong.replace("TIME", &end.to_string())).await?;
    let until = shares.get(&name).await?.spec.expires_at.map(|time| time.0);
    ensure!(until == Some(end), "{prolong}: {until:?}");

    let delete = format!("kubectl delete workspaceshare {name} ");
    let delete = site.command(&page, &delete).await?;
    site.run(&delete).await?;
    ensure!(shares.get_opt(&name).await?.is_none(), "{delete}");
    Ok(())
}

/// The commands for a new workspace and for its deletion.
async fn makes_and_deletes_another(site: &Site) -> anyhow::Result<()> {
    let namespace = &site.scratch.namespace;
    let new = format!("/new?namespace={namespace}&template={namespace}");
    let apply = site.command(&new, "kubectl apply -f - <<'EOF'\n").await?;
    site.run(&apply).await?;
    let workspaces = site.scratch.api::<Workspace>();
    let all = workspaces.list(&ListParams::default()).await?.items;
    let made = all
        .iter()
        .find(|it| it.spec.template_ref.as_ref() == Some(namespace));
    let made = made.with_context(|| format!("{apply}: {all:?}"))?.name_any();
    let at = format!("/w/{namespace}/{made}");
    let delete = format!("kubectl workspace delete {made} ");
    let delete = site.command(&at, &delete).await?;
    site.run(&format!("{delete} --yes")).await?;
    let left = workspaces.get_opt(&made).await?;
    let is_left = left.is_some_and(|it| it.metadata.deletion_timestamp.is_none());
    ensure!(!is_left, "{delete}");
    Ok(())
}

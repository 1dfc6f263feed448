//! Each way to end a permission -> the time until a shell and further connections of ssh end.
//!
//! It is measured at ssh itself, on the user's machine, and at websockets, as the plugin opens them for ssh. No other test runs meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use api::{
    Workspace, WorkspaceShare, WorkspaceSpec,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment, cluster,
    http::{HttpSession, socket::Socket},
    objects::workspace,
    remote::{
        Machine,
        door::{self, TICKET},
        machine::{self, Shell},
        program::Program,
    },
    wait,
};
use futures::StreamExt as _;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use super::Lab;

/// Maximum time until an open shell ends: that of websockets.
const SHELLS: Duration = Duration::from_secs(2);
/// The same with the delay of roles (the suite `revocation` has the parts).
const ROLES: Duration = Duration::from_secs(3);
/// Connections that each way must end, the shell among them. One guest may have eight.
const CONNECTIONS: usize = 6;
/// Name of the share.
const SHARE: &str = "s";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_ends_with_the_right_to_it() -> anyhow::Result<()> {
    let lab = Lab::new("ssh-ends", &["alice", "bob"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &lab.scratch.namespace);
    let spec = WorkspaceSpec {
        display_name: "gone".to_owned(),
        ..WorkspaceSpec::default()
    };
    alice
        .create(&PostParams::default(), &Workspace::new("gone", spec))
        .await?;

    share_removed(&lab).await?;
    role_taken_away(&lab).await?;
    signed_out_by_a_program(&lab).await?;
    signed_out_in_the_browser(&lab).await?;
    signed_out_at_the_provider(&lab).await?;

    let inside = Inside::enter(&lab.machine, &lab.browser, "alice", &lab.workspace).await?;
    let stopped = json!({"desiredStatus": DesiredStatus::Stopped});
    workspace::set(&alice, "lab", stopped).await?;
    workspace::reached(&alice, "lab", Phase::Stopped).await?;
    ends("stopped", inside, SHELLS).await?;

    let gone = workspace::reached(&alice, "gone", Phase::Running).await?;
    let inside = Inside::enter(&lab.machine, &lab.browser, "alice", &gone).await?;
    alice.delete("gone", &DeleteParams::default()).await?;
    ends("deleted", inside, SHELLS).await?;
    lab.scratch.finish().await
}

/// Open connections to a workspace.
struct Inside {
    shell: Shell,
    /// Further ones, which return when they have ended.
    others: Vec<JoinHandle<Instant>>,
}

impl Inside {
    /// A shell of this machine, and websockets to ssh servers by a program that has signed in with the same browser.
    async fn enter(
        machine: &Machine,
        browser: &HttpSession,
        user: &str,
        workspace: &Workspace,
    ) -> anyhow::Result<Self> {
        let url = workspace::url(workspace)?;
        let program = Program::admitted(browser, user).await?;
        let ticket = program.ticket(workspace).await?;
        let open = async || {
            let opened = door::connect(&url, &[(TICKET, &ticket)]).await?;
            let mut socket = opened.map_err(|status| anyhow!("refused with {status}"))?;
            door::greeted(&mut socket).await?;
            anyhow::Ok(socket)
        };
        let mut others = Vec::new();
        for _ in 1..CONNECTIONS {
            others.push(tokio::spawn(closed(open().await?)));
        }
        let namespace = workspace.namespace().unwrap_or_default();
        let host = machine::host(&namespace, &workspace.name_any());
        let mut shell = machine.enter(&host).await?;
        // The control: they stay open as long as nothing ends.
        shell.repeats("still open").await?;
        ensure!(!others.iter().any(JoinHandle::is_finished), "one has ended");
        Ok(Self { shell, others })
    }
}

/// Waits until a websocket ends, and returns the time.
async fn closed(mut socket: Socket) -> Instant {
    while let Some(Ok(message)) = socket.next().await {
        if matches!(message, Message::Close(_)) {
            break;
        }
    }
    Instant::now()
}

/// The permission has just ended: so do all connections, in time.
async fn ends(what: &str, inside: Inside, within: Duration) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut last = inside.shell.ended().await.with_context(|| what.to_owned())?;
    for other in inside.others {
        let ended = timeout(wait::USUAL, other).await;
        let ended = ended.with_context(|| format!("{what}: a connection is still open"))??;
        last = last.max(ended);
    }
    let took = last.saturating_duration_since(since);
    println!("{what}: {took:?} until the last of {CONNECTIONS}");
    ensure!(took <= within, "{what}: the last one ended after {took:?}");
    Ok(())
}

/// A browser of this user, and a machine that has signed in with it and has connections.
async fn inside(lab: &Lab, user: &str) -> anyhow::Result<(HttpSession, Machine, Inside)> {
    let browser = HttpSession::new()?;
    let machine = Machine::signed_in(user, &browser).await?;
    let inside = Inside::enter(&machine, &browser, user, &lab.workspace).await?;
    Ok((browser, machine, inside))
}

async fn share_removed(lab: &Lab) -> anyhow::Result<()> {
    let shares: Api<WorkspaceShare> = Api::namespaced(cluster::user("alice").await?, &lab.scratch.namespace);
    let spec = json!({"workspaceRef": "lab", "subjects": [{"kind": "User", "name": "bob"}]});
    let share: Value = json!({"metadata": {"name": SHARE}, "spec": spec});
    shares
        .create(&PostParams::default(), &serde_json::from_value(share)?)
        .await?;
    // The gateway knows the share once it opens the workspace in a browser.
    HttpSession::new()?
        .enter(&workspace::url(&lab.workspace)?, "bob")
        .await?;
    let (_, machine, inside) = inside(lab, "bob").await?;
    shares.delete(SHARE, &DeleteParams::default()).await?;
    ends("share removed", inside, SHELLS).await?;
    let again = machine.ssh(&[&lab.host(), "true"])?.output().await?;
    ensure!(again.status.code() == Some(255), "{again:?}");
    Ok(())
}

async fn role_taken_away(lab: &Lab) -> anyhow::Result<()> {
    let (_, _, inside) = inside(lab, "alice").await?;
    let bindings = lab.scratch.api::<RoleBinding>();
    let before = bindings.get("workspace-users").await?;
    let set = async |subjects: Value| {
        let patch = Patch::Merge(json!({"subjects": subjects}));
        bindings
            .patch("workspace-users", &PatchParams::default(), &patch)
            .await
    };
    set(json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}])).await?;
    ends("role taken away", inside, SHELLS + ROLES).await?;
    set(json!(before.subjects)).await?;
    lab.browser
        .enter(&workspace::url(&lab.workspace)?, "alice")
        .await?;
    Ok(())
}

async fn signed_out_by_a_program(lab: &Lab) -> anyhow::Result<()> {
    let (browser, machine, inside) = inside(lab, "alice").await?;
    // Another program of the same login session.
    let program = Program::admitted(&browser, "alice").await?;
    program.sign_out().await?;
    ends("signed out by a program", inside, SHELLS).await?;
    let (status, refusal) = program.ask(&e2e::remote::program::place(&lab.workspace)?).await?;
    ensure!(
        status == StatusCode::UNAUTHORIZED && refusal["error"] == "SignInRequired",
        "{status} {refusal}"
    );
    let again = machine.ssh(&[&lab.host(), "true"])?.output().await?;
    ensure!(again.status.code() == Some(255), "{again:?}");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(said.contains("kubectl workspace login"), "{said}");
    Ok(())
}

async fn signed_out_in_the_browser(lab: &Lab) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let (browser, _machine, inside) = inside(lab, "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let form = browser
        .without_redirects()?
        .request(Method::POST, &format!("{auth}/sign-out"))
        .header(header::ORIGIN, &auth)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ensure!(form.send().await?.status() == StatusCode::SEE_OTHER);
    ends("signed out in the browser", inside, SHELLS).await
}

async fn signed_out_at_the_provider(lab: &Lab) -> anyhow::Result<()> {
    let (browser, _machine, inside) = inside(lab, "alice").await?;
    browser.sign_out_at_provider().await?;
    ends("signed out at the provider", inside, SHELLS).await
}

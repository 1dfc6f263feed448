//! Each way to end a permission -> the time until an open shell ends.
//!
//! It is measured at ssh itself, on the user's machine. No other test runs meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use api::{
    Workspace, WorkspaceShare, WorkspaceSpec,
    workspace::{DesiredStatus, Phase},
};
use e2e::{
    Environment, cluster,
    http::HttpSession,
    objects::workspace,
    remote::{
        Machine,
        machine::{self, Shell},
        program::Program,
    },
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::Lab;

/// Maximum time until an open shell ends: that of websockets.
const SHELLS: Duration = Duration::from_secs(2);
/// The same with the delay of roles (the suite `revocation` has the parts).
const ROLES: Duration = Duration::from_secs(3);
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

    let shell = lab.machine.enter(&lab.host()).await?;
    let stopped = json!({"desiredStatus": DesiredStatus::Stopped});
    workspace::set(&alice, "lab", stopped).await?;
    workspace::reached(&alice, "lab", Phase::Stopped).await?;
    ends("stopped", shell, SHELLS).await?;

    workspace::reached(&alice, "gone", Phase::Running).await?;
    let gone = machine::host(&lab.scratch.namespace, "gone");
    let shell = lab.machine.enter(&gone).await?;
    alice.delete("gone", &DeleteParams::default()).await?;
    ends("deleted", shell, SHELLS).await?;
    lab.scratch.finish().await
}

/// The permission has just ended: so does the shell, in time.
async fn ends(what: &str, shell: Shell, within: Duration) -> anyhow::Result<()> {
    let since = Instant::now();
    let ended = shell.ended().await.with_context(|| what.to_owned())?;
    let took = ended.saturating_duration_since(since);
    println!("{what}: {took:?}");
    ensure!(took <= within, "{what}: the shell ended after {took:?}");
    Ok(())
}

/// A browser of this user, and a machine that has signed in with it and has a shell.
async fn inside(lab: &Lab, user: &str) -> anyhow::Result<(HttpSession, Machine, Shell)> {
    let browser = HttpSession::new()?;
    let machine = Machine::signed_in(user, &browser).await?;
    let mut shell = machine.enter(&lab.host()).await?;
    // The control: it stays open as long as nothing ends.
    shell.repeats("still open").await?;
    Ok((browser, machine, shell))
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
    let (_, machine, shell) = inside(lab, "bob").await?;
    shares.delete(SHARE, &DeleteParams::default()).await?;
    ends("share removed", shell, SHELLS).await?;
    let again = machine.ssh(&[&lab.host(), "true"])?.output().await?;
    ensure!(again.status.code() == Some(255), "{again:?}");
    Ok(())
}

async fn role_taken_away(lab: &Lab) -> anyhow::Result<()> {
    let (_, _, shell) = inside(lab, "alice").await?;
    let bindings = lab.scratch.api::<RoleBinding>();
    let before = bindings.get("workspace-users").await?;
    let set = async |subjects: Value| {
        let patch = Patch::Merge(json!({"subjects": subjects}));
        bindings
            .patch("workspace-users", &PatchParams::default(), &patch)
            .await
    };
    set(json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}])).await?;
    ends("role taken away", shell, SHELLS + ROLES).await?;
    set(json!(before.subjects)).await?;
    lab.browser
        .enter(&workspace::url(&lab.workspace)?, "alice")
        .await?;
    Ok(())
}

async fn signed_out_by_a_program(lab: &Lab) -> anyhow::Result<()> {
    let (browser, machine, shell) = inside(lab, "alice").await?;
    // Another program of the same login session.
    let program = Program::admitted(&browser, "alice").await?;
    program.sign_out().await?;
    ends("signed out by a program", shell, SHELLS).await?;
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
    let (browser, _machine, shell) = inside(lab, "alice").await?;
    let auth = environment.origin(&environment.auth_host());
    let form = browser
        .without_redirects()?
        .request(Method::POST, &format!("{auth}/sign-out"))
        .header(header::ORIGIN, &auth)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    ensure!(form.send().await?.status() == StatusCode::SEE_OTHER);
    ends("signed out in the browser", shell, SHELLS).await
}

async fn signed_out_at_the_provider(lab: &Lab) -> anyhow::Result<()> {
    let (browser, _machine, shell) = inside(lab, "alice").await?;
    browser.sign_out_at_provider().await?;
    ends("signed out at the provider", shell, SHELLS).await
}

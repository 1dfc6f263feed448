//! The WorkspaceManager of this stage has no ssh: the gateway refuses it, and nothing offers it.

use anyhow::ensure;
use e2e::{
    cluster::Scratch,
    http::HttpSession,
    objects::workspace,
    portal::Portal,
    remote::{
        door::{self, TICKET},
        program::{self, Program},
    },
};
use reqwest::StatusCode;

#[tokio::test]
async fn a_manager_without_ssh_refuses_it_and_the_portal_offers_no_editor() -> anyhow::Result<()> {
    let scratch = Scratch::new("ssh-off", &["alice"]).await?;
    let lab = workspace::running(&scratch, "lab").await?;
    let alice = Program::admitted(&HttpSession::new()?, "alice").await?;
    let (status, given) = alice.ask(&program::place(&lab)?).await?;
    ensure!(
        status == StatusCode::OK && given["ssh"] == "Disabled",
        "{status} {}",
        given["ssh"]
    );
    let ticket = alice.ticket(&lab).await?;
    let url = workspace::url(&lab)?;
    let (status, refusal) = door::answer(&url, door::SSH, &[(TICKET, &ticket)]).await?;
    ensure!(
        status == StatusCode::FORBIDDEN && refusal["error"] == "SSHDisabled",
        "{status} {refusal}"
    );
    let message = refusal["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains("ssh is disabled by the WorkspaceManager"),
        "{refusal}"
    );
    // The control: another websocket with the same ticket.
    let (status, answer) = door::answer(&url, "ws", &[(TICKET, &ticket)]).await?;
    ensure!(status == StatusCode::SWITCHING_PROTOCOLS, "{status} {answer}");

    let portal = Portal::enter("alice").await?;
    let own = format!("/w/{}/lab", scratch.namespace);
    portal.knows(&own).await?;
    let (_, page) = portal.open(&own).await?;
    ensure!(page.contains(&url) && !page.contains("vscode:"), "{page}");
    scratch.finish().await
}

//! Only the gateway's word counts at the portal, and only its own pages change something.

use api::Workspace;
use e2e::cluster::{self, Scratch};
use e2e::{Environment, wait, workspace};
use kube::{Api, ResourceExt as _};
use reqwest::{Method, StatusCode};

use e2e::portal::Portal;

#[tokio::test]
async fn no_page_of_another_origin_changes_anything_and_no_ticket_of_a_workspace_counts() -> anyhow::Result<()>
{
    let scratch = Scratch::new("portal-hostile", &["alice"]).await?;
    let stopped = workspace::stopped(&scratch, "alice", "ws").await?;
    let portal = Portal::enter("alice").await?;
    let uid = stopped.uid().unwrap_or_default();
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let generation = alice.get("ws").await?.metadata.generation;
    portal.knows(&format!("/w/{}/ws", scratch.namespace)).await?;
    let path = format!("/w/{}/ws/start", scratch.namespace);
    let of_workspace = Environment::get()?.origin(&workspace::host(&stopped)?);
    for origin in [&*of_workspace, "https://attacker.example", "null"] {
        let answer = portal.post_from(origin, &path, &[("uid", &uid)]).await?;
        assert!(
            !answer.status().is_redirection() && !answer.status().is_success(),
            "{origin}: {}",
            answer.status()
        );
    }
    let action = ["start", "stop", "restart", "delete"];
    for action in action {
        let (status, _) = portal
            .open(&format!("/w/{}/ws/{action}", scratch.namespace))
            .await?;
        assert_eq!(status, 200, "a link only asks");
    }
    let after = alice.get("ws").await?;
    assert_eq!(after.metadata.generation, generation);
    assert!(after.metadata.deletion_timestamp.is_none());

    let url = workspace::url(&stopped)?;
    wait::until("the page of the stopped workspace", wait::USUAL, || async {
        let page = portal.http.sign_in(&url, "alice").await;
        match page.map_err(|error| format!("{error:#}"))?.status() {
            StatusCode::SERVICE_UNAVAILABLE => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await?;
    let cookies = portal.http.cookies(&url)?;
    let ticket = cookies
        .split("; ")
        .find(|cookie| cookie.starts_with("__Host-ws="))
        .unwrap_or_default()
        .to_owned();
    assert!(!ticket.is_empty(), "{cookies}");
    let forged = e2e::http::HttpSession::new()?
        .without_redirects()?
        .request(Method::GET, &portal.at("/"))
        .header("Sec-Fetch-Site", "same-origin")
        .header("Cookie", ticket)
        .send()
        .await?;
    assert_eq!(forged.status(), 401, "a workspace's ticket is worth nothing here");
    scratch.finish().await
}

#[tokio::test]
async fn headers_of_a_browser_name_nobody() -> anyhow::Result<()> {
    let portal = Portal::enter("bob").await?;
    for (name, value) in [
        ("Impersonate-User", "alice"),
        ("X-Forwarded-User", "alice"),
        ("Workspace-Assertion", "alice"),
        ("X-Remote-User", "alice"),
    ] {
        let request = portal.http.request(Method::GET, &portal.at("/account"));
        let request = request
            .header("Accept", "application/json")
            .header("Sec-Fetch-Site", "same-origin")
            .header(name, value);
        let answer = request.send().await?;
        let text = answer.text().await?;
        assert!(text.contains("\"name\":\"bob\""), "{name}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_session_there_is_only_the_sign_in() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let origin = environment.origin(&environment.portal_host());
    let stranger = e2e::http::HttpSession::new()?.without_redirects()?;
    let page = stranger.open(&format!("{origin}/")).await?;
    assert!(page.status().is_redirection(), "{}", page.status());
    let script = stranger
        .request(Method::GET, &format!("{origin}/"))
        .send()
        .await?;
    assert_eq!(script.status(), 401);
    Ok(())
}

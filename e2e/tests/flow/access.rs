//! Access to workspaces, tested without a browser.

use anyhow::Context as _;
use api::{
    Workspace,
    workspace::{AccessType, DesiredStatus, Phase},
};
use e2e::{
    Environment,
    cluster::{self, Scratch, service_account},
    http::{HttpSession, send_with_token, socket},
    objects::workspace,
    wait,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::ListParams};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

/// What an answer says without the parts of its own: each says which request it is for, and leads another account to the address that was
/// asked for, which is sealed.
async fn answer_text(answer: reqwest::Response) -> anyhow::Result<String> {
    let request = answer.headers()["x-request-id"].to_str()?.to_owned();
    let page = answer.text().await?.replace(&request, "");
    let (before, sealed) = page
        .split_once("name=\"then\" value=\"")
        .context("a way for another account")?;
    let (_, after) = sealed.split_once('"').context("a sealed address")?;
    Ok(format!("{before}{after}"))
}

/// Where tokens count is said in the suite `tokens`.
#[tokio::test]
async fn a_private_workspace_answers_as_a_missing_one_and_a_public_one_lets_connecting_users_in_but_no_tokens()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("public", &["alice", "bob"]).await?;
    let url = workspace::url(&workspace::running(&scratch, "ws").await?)?;
    let absent = environment.origin(&format!("ws-aaaaaaaaaaaaaaaa.{}", environment.base_domain));
    let bob = HttpSession::new()?;
    let refused = bob.sign_in(&url, "bob").await?;
    let nothing = bob.open(&absent).await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(nothing.status(), StatusCode::FORBIDDEN);
    assert_eq!(answer_text(refused).await?, answer_text(nothing).await?);

    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    workspace::set(&alice, "ws", json!({"accessType": AccessType::Public})).await?;
    bob.enter(&url, "bob").await?;
    service_account::make(&scratch).await?;
    let token = service_account::token(&scratch, Some(&service_account::audience()?)).await?;
    let answer = send_with_token(&url, &token).await?;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));

    workspace::set(&alice, "ws", json!({"accessType": AccessType::OwnerOnly})).await?;
    wait::until("bob to be shut out", wait::USUAL, || async {
        let status = bob
            .open(&url)
            .await
            .map_err(|error| format!("{error:#}"))?
            .status();
        if status == StatusCode::FORBIDDEN {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await?;
    scratch.finish().await
}

async fn anonymous_fetches_get_401_and_page_loads_are_redirected_to_sign_in(url: &str) -> anyhow::Result<()> {
    let without_session = HttpSession::new()?.without_redirects()?;

    let fetch = without_session
        .request(Method::GET, &format!("{url}api/status"))
        .header(header::ACCEPT, "application/json");
    let answer = fetch.send().await?;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers().get(header::LOCATION).is_none());
    let body: Value = answer.json().await?;
    assert_eq!(
        body["loginUrl"].as_str(),
        Some(url),
        "opening it in a tab signs in: {body}"
    );

    // Not even what probes ask for, nor what looks like it.
    for path in [
        "api/status",
        "livez",
        "jupyter-k8s/ready",
        "api%2fstatus",
        "api/status/..%2fx",
    ] {
        let probe = without_session.request(Method::GET, &format!("{url}{path}"));
        let answer = probe.header(header::USER_AGENT, "kube-probe/1.36").send().await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    // The gateway's own folder never leads to a pod, for any user.
    let own = without_session
        .request(Method::GET, &format!("{url}_workspace/"))
        .send()
        .await?;
    assert_eq!(own.status(), StatusCode::NOT_FOUND);

    let page = without_session.open(url).await?;
    assert_eq!(page.status(), StatusCode::FOUND);
    let location = page.headers()[header::LOCATION].to_str()?;
    assert!(
        location.starts_with(&Environment::get()?.origin(&Environment::get()?.auth_host())),
        "{location}"
    );
    Ok(())
}

#[tokio::test]
async fn anonymous_requests_are_refused_and_a_websocket_needs_ticket_and_origin_and_ends_as_it_stops()
-> anyhow::Result<()> {
    let environment = Environment::get()?;
    let scratch = Scratch::new("socket", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let (url, origin) = (workspace::url(&ws)?, environment.origin(&workspace::host(&ws)?));
    anonymous_fetches_get_401_and_page_loads_are_redirected_to_sign_in(&url).await?;
    let alice = HttpSession::new()?;
    alice.enter(&url, "alice").await?;
    let (target, cookies) = (
        format!("{}ws", url.replacen("https", "wss", 1)),
        alice.cookies(&url)?,
    );

    let mut open = socket::connect(&target, &cookies, Some(&origin))
        .await?
        .map_err(|status| anyhow::anyhow!("{status}"))?;
    let greeting = open
        .next()
        .await
        .transpose()?
        .map(|message| message.to_string())
        .unwrap_or_default();
    assert!(greeting.to_lowercase().contains("upgrade"), "{greeting}");
    assert!(!greeting.contains("__Host-"), "{greeting}");

    let sibling = environment.origin(&format!("other-aaaaaaaaaaaaaaaa.{}", environment.base_domain));
    let refusals = [
        (cookies.as_str(), Some(sibling.as_str())),
        (cookies.as_str(), Some("null")),
        ("", Some(origin.as_str())),
        ("__Host-ws=forged", Some(origin.as_str())),
    ];
    for (cookies, origin) in refusals {
        let refused = socket::connect(&target, cookies, origin).await?;
        assert!(
            matches!(refused, Err(status) if status.is_client_error()),
            "origin {origin:?} was let in"
        );
    }

    // No other door, and this one closes with the workspace.
    let services = scratch.api::<Service>().list(&ListParams::default()).await?;
    assert!(services.items.is_empty(), "{:?}", services.items);
    let workspaces: Api<Workspace> = scratch.api();
    workspace::set(
        &workspaces,
        "ws",
        json!({"desiredStatus": DesiredStatus::Stopped}),
    )
    .await?;
    tokio::time::timeout(wait::USUAL, async {
        while let Some(Ok(_)) = open.next().await {}
    })
    .await?;
    workspace::reached(&workspaces, "ws", Phase::Stopped).await?;
    let again = socket::connect(&target, &cookies, Some(&origin)).await?;
    assert!(again.is_err(), "a stopped workspace was reached");
    scratch.finish().await
}

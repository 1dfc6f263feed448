//! The proxy: credentials, forged headers and prefetches that must not reach a pod.

use anyhow::{Context as _, ensure};
use api::names;
use e2e::{cluster::Scratch, http::HttpSession, objects::workspace};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

/// Prefixes of the gateway's cookies.
const OURS: [&str; 4] = ["__host-ws", "__host-session", "__host-login", "__secure-ws-"];

#[tokio::test]
async fn a_pod_sees_no_credentials_no_forged_headers_and_no_prefetches_and_its_host_stays_https()
-> anyhow::Result<()> {
    let scratch = Scratch::new("edge", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&ws)?;
    let alice = HttpSession::new()?;
    alice.add_cookie(&url, "theme=dark; Secure; Path=/")?;
    let landing = alice.enter(&url, "alice").await?;
    ensure!(!landing.url().as_str().contains("code="), "{}", landing.url());
    let alice = alice.without_redirects()?;
    let claims = [
        "X-RStudio-Username",
        "X-Authentik-Username",
        "X-Pomerium-Claim-Email",
        "X-Vouch-User",
        "Tailscale-User-Login",
        "Remote-User",
        "X-Auth-Request-User",
    ];
    let mut request = alice
        .request(Method::GET, &format!("{url}claimed"))
        .header("Sec-Fetch-Site", "same-origin")
        .header("X-Other", "stays");
    for name in claims {
        request = request.header(name, "root");
    }
    let answer = request.send().await?;
    ensure!(answer.status() == StatusCode::OK, "{}", answer.status());
    let strict_transport = answer.headers().get("strict-transport-security").cloned();
    ensure!(strict_transport.is_some_and(|value| value == "max-age=31536000"));
    let seen: Value = answer.json().await?;
    let received: Vec<String> = seen["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|header| Some(header[0].as_str()?.to_lowercase()))
        .collect();
    ensure!(
        received.contains(&"x-other".to_owned()),
        "the control: {received:?}"
    );
    for name in claims {
        ensure!(!received.contains(&name.to_lowercase()), "{name}: {received:?}");
    }

    let ahead = alice
        .request(Method::GET, &format!("{url}stolen"))
        .header("Sec-Fetch-Site", "none")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Purpose", "prefetch");
    let status = ahead.send().await?.status();
    ensure!(status == StatusCode::FORBIDDEN, "{status}");
    let after = alice
        .request(Method::GET, &format!("{url}after"))
        .header(header::AUTHORIZATION, "Bearer stolen-token")
        .header("Sec-Fetch-Site", "same-origin")
        .send()
        .await?;
    let seen = after.text().await?;
    ensure!(
        seen.contains("theme=dark"),
        "the application's own cookies do reach it: {seen}"
    );
    let posted = alice
        .request(Method::POST, &format!("{url}posted"))
        .header(
            header::COOKIE,
            format!("{}; __HOST-WS=case; __Host-session=x", alice.cookies(&url)?),
        )
        .header("Sec-Fetch-Site", "same-origin")
        .header(header::ORIGIN, url.trim_end_matches('/'))
        .body("hello")
        .send()
        .await?;
    ensure!(posted.status() == StatusCode::OK, "{}", posted.status());

    let asked = workspace::received_requests(&scratch, &ws).await?;
    ensure!(asked.contains("/claimed") && !asked.contains("stolen"), "{asked}");
    ensure!(asked.contains("/after") && asked.contains("/posted"), "{asked}");
    let mut requests: Vec<Value> = serde_json::from_str(&asked.to_lowercase())?;
    for request in &mut requests {
        let headers = request["headers"]
            .as_array_mut()
            .context("a request without headers")?;
        // Made for this pod alone, and worth nothing anywhere else.
        headers.retain(|header| header[0] != names::ASSERTION_HEADER);
    }
    let log = json!(requests).to_string();
    for secret in OURS
        .into_iter()
        .chain(["authorization", "stolen-token", "id_token", "code=", "eyj"])
    {
        ensure!(!log.contains(secret), "{secret:?} reached the pod: {log}");
    }
    scratch.finish().await
}

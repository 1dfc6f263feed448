//! The edge of the installation: what no address has, what a browser claims, and what nobody opened.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{Environment, cluster::Scratch, http::HttpSession, raw, workspace};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Time for any answer, on a busy machine. What the proxy asks again and again is never answered.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn invalid_url_bytes_are_answered_with_400() -> anyhow::Result<()> {
    let environment = Environment::get()?;
    // Its callback is there for every name.
    let workspace = format!("nobody.{}", environment.base_domain);
    for (host, path) in [
        (environment.auth_host(), "/enter?t="),
        (environment.auth_host(), "/"),
        (workspace, "/_workspace/callback?code="),
    ] {
        for odd in [&b"?x=\""[..], b"?x=<", b"?x=>", b"?x=y z", b"?x=\xFF"] {
            let target = [path.as_bytes(), odd].concat();
            let what = format!("{host}{}", target.escape_ascii());
            let start = Instant::now();
            let status = tokio::time::timeout(SOON, raw::get(&host, &target, &[])).await;
            ensure!(
                matches!(status, Ok(Ok(StatusCode::BAD_REQUEST))),
                "{what}: {status:?}"
            );
            ensure!(start.elapsed() < SOON, "{what}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_sees_no_forged_headers_and_no_prefetches_and_its_host_stays_https() -> anyhow::Result<()> {
    let scratch = Scratch::new("edge", &["alice"]).await?;
    let ws = workspace::running(&scratch, "ws").await?;
    let url = workspace::url(&ws)?;
    let alice = HttpSession::new()?;
    alice.enter(&url, "alice").await?;
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
    let names: Vec<String> = seen["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|header| Some(header[0].as_str()?.to_lowercase()))
        .collect();
    ensure!(names.contains(&"x-other".to_owned()), "the control: {names:?}");
    for name in claims {
        ensure!(!names.contains(&name.to_lowercase()), "{name}: {names:?}");
    }

    let ahead = alice
        .request(Method::GET, &format!("{url}stolen"))
        .header("Sec-Fetch-Site", "none")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Purpose", "prefetch");
    let status = ahead.send().await?.status();
    ensure!(status == StatusCode::FORBIDDEN, "{status}");
    let asked = workspace::asked(&scratch, &ws).await?;
    ensure!(asked.contains("/claimed") && !asked.contains("stolen"), "{asked}");
    scratch.finish().await
}

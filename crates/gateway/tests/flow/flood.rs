//! Strangers by the thousand: what they send leads to no call of others, and leaves nothing behind.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};

use crate::support::browser::{NAVIGATION, headers};
use crate::support::world::{AUTH, LAB, World, origin};

/// Of each kind.
const MANY: u32 = 2_000;

/// What looks like a sealed value of ours, under another key each time.
fn forged(number: u32) -> String {
    let mut bytes = vec![1; 120];
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// How many numbers the process tells about itself.
fn numbers(world: &World) -> usize {
    let mut registry = prometheus_client::registry::Registry::default();
    world.app.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text.lines().count()
}

async fn page(world: &World, url: &str, more: &[(&str, &str)]) -> StatusCode {
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(more));
    world.page(Method::GET, url, lines, String::new()).await.status
}

/// One of each kind, none of which gets anywhere.
async fn strangers(world: &World, number: u32) {
    let value = forged(number);
    let host = format!("lab-{number}.ws.example");
    let asked = world
        .verify("GET", &format!("{}/", origin(&host)), headers(&NAVIGATION))
        .await;
    assert_eq!(
        asked.status,
        StatusCode::FOUND,
        "a host that does not exist is like any"
    );
    let elsewhere = format!("https://{number}.example.org/");
    let asked = world.verify("GET", &elsewhere, headers(&NAVIGATION)).await;
    assert_eq!(asked.status, StatusCode::MISDIRECTED_REQUEST);

    let cookie = format!("__Host-ws={value}");
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(&[("cookie", &cookie)]));
    let asked = world.verify("GET", &format!("{}/", origin(LAB)), lines).await;
    assert_eq!(asked.status, StatusCode::FOUND);

    let session = format!("__Host-session={value}");
    let login = format!("__Host-login-0={value}");
    for (url, cookie, refusal) in [
        (format!("{AUTH}/enter?t={value}"), &session, 400),
        (format!("{AUTH}/callback?state={value}&code={value}"), &login, 400),
        (format!("{AUTH}/start?host={host}"), &session, 401),
        (
            format!("{}/_workspace/callback?code={value}", origin(LAB)),
            &cookie.clone(),
            400,
        ),
    ] {
        let status = page(world, &url, &[("cookie", cookie)]).await;
        assert_eq!(status.as_u16(), refusal, "{url}");
    }
}

#[tokio::test]
async fn unknown_hosts_cookies_codes_and_keys_cost_no_call_and_leave_nothing_behind() {
    let world = World::new().await;
    strangers(&world, 0).await;
    world.server.take_calls();
    world.issuer.take_requests();
    let before = numbers(&world);
    for number in 1..MANY {
        strangers(&world, number).await;
    }
    assert_eq!(world.server.take_calls().len(), 0, "calls of the API server");
    assert_eq!(world.issuer.take_requests().len(), 0, "calls of the provider");
    assert_eq!(numbers(&world), before, "a number for each stranger");
    assert_eq!(world.app.sessions.count(), 0);
}

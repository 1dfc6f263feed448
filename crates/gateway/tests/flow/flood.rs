//! Thousands of requests without a session: they cause no calls to other servers, and store nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};

use crate::support::browser::{NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, LAB, lab, origin};

/// Of each kind.
const MANY: u32 = 2_000;

/// What looks like a sealed value of ours, under another key each time.
fn forged(number: u32) -> String {
    let mut bytes = vec![1; 120];
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Number of metrics that the process exports.
fn numbers(fixture: &Fixture) -> usize {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &fixture.app.metrics.registry()).unwrap();
    text.lines().count()
}

async fn page(fixture: &Fixture, url: &str, more: &[(&str, &str)]) -> StatusCode {
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(more));
    fixture.page(Method::GET, url, lines, String::new()).await.status
}

/// One of each kind, none of which gets anywhere.
async fn unknown_users(fixture: &Fixture, number: u32) {
    let value = forged(number);
    let host = format!("lab-{number}.ws.example");
    let asked = fixture
        .verify("GET", &format!("{}/", origin(&host)), headers(&NAVIGATION))
        .await;
    assert_eq!(
        asked.status,
        StatusCode::FOUND,
        "a host that does not exist is like any"
    );
    let elsewhere = format!("https://{number}.example.org/");
    let asked = fixture.verify("GET", &elsewhere, headers(&NAVIGATION)).await;
    assert_eq!(asked.status, StatusCode::MISDIRECTED_REQUEST);

    let cookie = format!("__Host-ws={value}");
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(&[("cookie", &cookie)]));
    let asked = fixture.verify("GET", &lab(), lines).await;
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
        let status = page(fixture, &url, &[("cookie", cookie)]).await;
        assert_eq!(status.as_u16(), refusal, "{url}");
    }
}

#[tokio::test]
async fn unknown_hosts_cookies_codes_and_keys_cost_no_call_and_leave_nothing_behind() {
    let fixture = Fixture::new().await;
    unknown_users(&fixture, 0).await;
    fixture.server.take_calls();
    fixture.issuer.take_requests();
    let before = numbers(&fixture);
    for number in 1..MANY {
        unknown_users(&fixture, number).await;
    }
    assert_eq!(fixture.server.take_calls().len(), 0, "calls of the API server");
    assert_eq!(fixture.issuer.take_requests().len(), 0, "calls of the provider");
    assert_eq!(numbers(&fixture), before, "a number for each stranger");
    assert_eq!(fixture.app.sessions.count(), 0);
}

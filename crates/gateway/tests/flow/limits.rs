//! Rate limits: a client with too many requests must wait, and others need not.

use std::sync::Arc;

use gateway::server::{Rate, Rates, Throttle};
use gateway::tokens::cookies;
use gateway::verify::AppState;
use gateway::{login, router};
use http::{Method, StatusCode};

use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, LAB, lab, origin};

/// Two at once of everything.
pub(super) const FEW: u32 = 4;

/// A fixture whose sign-in pages keep to these rates.
pub(super) async fn fixture(rates: Rates) -> Fixture {
    let mut fixture = Fixture::new().await;
    let before = Arc::clone(&fixture.app);
    let app = Arc::new(AppState {
        throttle: Arc::new(Throttle::new(rates)),
        ..(*before).clone()
    });
    let pages = (login::auth(app.clone()), login::workspace(app.clone()));
    fixture.pages = router::pages(app.clone(), pages.0, pages.1);
    fixture
}

pub(super) fn few() -> Rates {
    Rates {
        address: Rate::per_minute(FEW),
        session: Rate::per_minute(FEW),
        provider: Rate::per_minute(FEW),
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
    }
}

/// A request of a user at `address`, as the proxy forwards it.
async fn ask(fixture: &Fixture, method: Method, url: &str, address: &str, more: &[(&str, &str)]) -> Answer {
    let mut lines = headers(&NAVIGATION);
    lines.extend(headers(&[("x-forwarded-for", address)]));
    lines.extend(headers(more));
    fixture.page(method, url, lines, String::new()).await
}

#[tokio::test]
async fn an_address_that_asks_too_often_waits_and_others_do_not() {
    let fixture = fixture(few()).await;
    let pages = [
        (Method::GET, format!("{AUTH}/enter?t=x")),
        (Method::GET, format!("{AUTH}/callback?state=x")),
        (Method::GET, format!("{}/_workspace/callback?code=x", origin(LAB))),
        (Method::GET, format!("{AUTH}/start?host=x")),
        (Method::POST, format!("{AUTH}/start")),
        (Method::POST, format!("{AUTH}/sign-out")),
        (Method::POST, format!("{AUTH}/backchannel-logout")),
        (Method::GET, format!("{AUTH}/")),
    ];
    for (at, (method, url)) in pages.iter().enumerate() {
        let address = format!("203.0.113.{at}");
        // What the client itself wrote before the proxy changes nothing, nor does a proxy before ours.
        for spoofed in ["", "198.51.100.1, ", "198.51.100.2, "] {
            let answer = ask(
                &fixture,
                method.clone(),
                url,
                &format!("{spoofed}{address}, 10.1.2.3"),
                &[],
            )
            .await;
            let limited = answer.status == StatusCode::TOO_MANY_REQUESTS;
            assert_eq!(
                limited,
                spoofed.starts_with("198.51.100.2"),
                "{method} {url}: {answer:?}"
            );
            if limited {
                let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=16).contains(&wait), "{wait}");
                assert!(
                    answer.body.contains("<title>Too many requests"),
                    "{}",
                    answer.body
                );
                assert_eq!(answer.headers["cache-control"], "no-store");
            }
        }
        let other = format!("192.0.2.{at}");
        let answer = ask(&fixture, method.clone(), url, &other, &[]).await;
        assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{method} {url}");
    }
    // A client that is no browser.
    let script = headers(&[("x-forwarded-for", "203.0.113.5")]);
    let answer = fixture
        .page(Method::POST, &pages[5].1, script, String::new())
        .await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.json()["error"], "TooManyRequests");
}

#[tokio::test]
async fn signed_in_users_have_their_own_rate_limit() {
    let fixture = fixture(few()).await;
    let alice = fixture.signed_in("alice", LAB).await;
    let url = format!("{AUTH}/");
    let address = "203.0.113.7";
    while ask(&fixture, Method::GET, &url, address, &[]).await.status != StatusCode::TOO_MANY_REQUESTS {}

    let cookie = alice.cookies("auth.ws.example").unwrap();
    for limited in [false, false, true] {
        let answer = ask(&fixture, Method::GET, &url, address, &[("cookie", &cookie)]).await;
        assert_eq!(answer.status == StatusCode::TOO_MANY_REQUESTS, limited);
    }
    // A cookie of a user's own making is no session.
    let forged = format!("{}=x", cookies::SESSION);
    let answer = ask(&fixture, Method::GET, &url, address, &[("cookie", &forged)]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &fixture.app.metrics.registry()).unwrap();
    for line in [
        "jupyter_k8s_gateway_requests_limited_total{what=\"page\",by=\"session\"} 1",
        "jupyter_k8s_gateway_requests_limited_total{what=\"page\",by=\"address\"} 2",
    ] {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
}

#[tokio::test]
async fn a_stolen_code_does_not_use_up_the_rate_limit_of_its_owner() {
    let fixture = fixture(few()).await;
    let alice = fixture.browser("alice");
    let at_callback = |url: &str| url.contains("/_workspace/callback");
    let landing = alice.open_until(&lab(), at_callback).await;
    let url = landing.answer.location().unwrap().to_owned();
    let pre = alice.cookies(LAB).unwrap();
    let limited = async |address: &str, cookie: &str| {
        let answer = ask(&fixture, Method::GET, &url, address, &[("cookie", cookie)]).await;
        answer.status == StatusCode::TOO_MANY_REQUESTS
    };
    // Neither without the cookie of the browser that the code was made for, nor with one of a user's own making.
    while !limited("203.0.113.8", "x=y").await {}
    let forged = format!("{}=x", cookies::PRE);
    while !limited("203.0.113.9", &forged).await {}
    // Its owner is at the flooded address, too.
    for is_limited in [false, false, true] {
        assert_eq!(limited("203.0.113.9", &pre).await, is_limited);
    }
    fixture.pass(31);
    assert!(
        !limited("203.0.113.10", &pre).await,
        "an expired code counts for the address"
    );
    assert!(limited("203.0.113.9", &pre).await);
}

#[tokio::test]
async fn cross_origin_requests_do_not_use_up_rate_limits() {
    let fixture = fixture(few()).await;
    let alice = fixture.signed_in("alice", LAB).await;
    let cookie = alice.cookies("auth.ws.example").unwrap();
    let sibling = origin(LAB);
    let embedded = |dest| {
        headers(&[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", dest),
        ])
    };
    let form = headers(&NAVIGATION);
    let callback = format!("{sibling}/_workspace/callback?code=x");
    for signed_in in [false, true] {
        for (method, url, lines) in [
            (Method::GET, format!("{AUTH}/enter?t=x"), embedded("image")),
            (
                Method::GET,
                format!("{AUTH}/callback?state=x"),
                embedded("script"),
            ),
            (Method::GET, callback.clone(), embedded("iframe")),
            (Method::GET, format!("{AUTH}/"), embedded("empty")),
            (Method::POST, format!("{AUTH}/start"), form.clone()),
            (Method::POST, format!("{AUTH}/sign-out"), form.clone()),
            (Method::POST, format!("{AUTH}/backchannel-logout"), form.clone()),
        ] {
            for _ in 0..3 * FEW {
                let mut lines = lines.clone();
                lines.extend(headers(&[("x-forwarded-for", "203.0.113.11")]));
                if method == Method::POST {
                    lines.extend(headers(&[("origin", &sibling)]));
                }
                if signed_in {
                    lines.extend(headers(&[("cookie", &cookie)]));
                }
                let answer = fixture.page(method.clone(), &url, lines, String::new()).await;
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {url}");
            }
        }
    }
    let own = async |method, path: &str, cookie: &str| {
        let url = format!("{AUTH}{path}");
        let lines = [("cookie", cookie), ("origin", AUTH)];
        ask(&fixture, method, &url, "203.0.113.11", &lines).await.status
    };
    assert_eq!(
        own(Method::GET, "/enter?t=x", "a=b").await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(own(Method::GET, "/", &cookie).await, StatusCode::OK);
    assert_eq!(
        own(Method::POST, "/sign-out", &cookie).await,
        StatusCode::SEE_OTHER
    );
}

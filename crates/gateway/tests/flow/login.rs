//! Sign-in: from a workspace's address over the identity provider to the pod, and how long access lasts.

use gateway::tokens::cookies;
use http::StatusCode;

use super::lost_logins::{at_callback, sent};
use crate::flow::renewal::until;
use crate::support::browser::{headers, split};
use crate::support::fixture::{AUTH, Fixture, ISSUER, LAB, OPEN, lab, origin};

#[tokio::test]
async fn a_user_signs_in_once_and_lands_where_they_wanted() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    alice.set_cookie(LAB, "_xsrf", Some("2|a"));
    alice.set_cookie(LAB, "SMSESSION", Some("company"));
    let wanted = format!("{}/lab/tree/C%23%2050%25.ipynb?x=%2F&y", origin(LAB));
    let landing = alice.open(&wanted).await;
    assert!(landing.is_inside(), "{landing:#?}");
    assert_eq!(landing.url, wanted);
    // What the pod sees of the cookies.
    assert_eq!(landing.answer.headers["cookie"], "_xsrf=2|a");
    assert!(!landing.answer.headers.contains_key("authorization"));

    let hosts: Vec<&str> = landing.trail.iter().map(|url| split(url).0).collect();
    let auth = "auth.ws.example";
    assert_eq!(hosts, [LAB, auth, "identity.example", auth, auth, LAB, LAB]);
    assert!(landing.trail[2].starts_with(&format!("{ISSUER}/authorize?")));
    for url in &landing.trail {
        assert!(
            !url.contains("id_token") && !url.contains("access_token"),
            "{url}"
        );
    }
    assert_eq!(fixture.sessions().len(), 1);
    assert!(alice.cookie(auth, cookies::SESSION).is_some());
    assert!(alice.cookie(auth, "__Host-login-0").is_none());
    assert!(alice.cookie(LAB, cookies::SESSION).is_none());
}

#[tokio::test]
async fn a_login_at_one_replica_counts_at_all() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let callback = sent(&alice, &lab(), |url| url.contains("/_workspace/callback")).await;
    // The code is used at a second replica, the ticket at a third, the session at a fourth.
    let second = fixture.replica().await;
    let alice = alice.at(&second);
    assert!(alice.step(&callback).await.cookie(cookies::TICKET).is_some());
    let third = fixture.replica().await;
    let alice = alice.at(&third);
    assert_eq!(
        alice.step(&format!("{}/", origin(LAB))).await.status,
        StatusCode::OK
    );
    let fourth = fixture.replica().await;
    let landing = alice.at(&fourth).open(&format!("{}/", origin(OPEN))).await;
    assert!(landing.is_inside() && !landing.trail.iter().any(|url| url.starts_with(ISSUER)));
}

#[tokio::test]
async fn no_answer_on_the_way_may_be_stored_or_tells_where_it_came_from() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let mut url = format!("{}/lab", origin(LAB));
    for _ in 0..7 {
        let answer = alice.step(&url).await;
        if !url.starts_with(ISSUER) {
            assert_eq!(answer.headers["cache-control"], "no-store", "{url}");
            assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{url}");
        }
        match answer.location() {
            Some(next) => url = next.to_owned(),
            None => return assert_eq!(answer.status, StatusCode::OK),
        }
    }
    panic!("never arrived");
}

#[tokio::test]
async fn a_ticket_is_renewed_in_its_last_ten_minutes_and_ends_after_fifteen() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let lab = format!("{}/", origin(LAB));
    alice.open(&lab).await;
    let first = alice.cookie(LAB, cookies::TICKET).unwrap();
    fixture.pass(5 * 60);
    assert_eq!(alice.step(&lab).await.cookie(cookies::TICKET), None);
    fixture.pass(1);
    let renewed = alice.step(&lab).await;
    assert_eq!(renewed.status, StatusCode::OK);
    assert_ne!(renewed.cookie(cookies::TICKET).unwrap(), first);

    // The renewed one counts for fifteen minutes from then, the first one no longer.
    fixture.pass(10 * 60 - 1);
    alice.set_cookie(LAB, cookies::TICKET, Some(&first));
    assert_eq!(alice.step(&lab).await.status, StatusCode::FOUND);
    alice.set_cookie(LAB, cookies::TICKET, renewed.cookie(cookies::TICKET));
    assert_eq!(alice.step(&lab).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_ended_ticket_is_replaced_without_another_login_until_the_session_ends() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let lab = format!("{}/", origin(LAB));
    fixture.watch().await;
    alice.open(&lab).await;
    for _ in 0..22 {
        fixture.pass(30 * 60);
        let landing = alice.open(&lab).await;
        assert!(landing.is_inside() && !landing.trail.iter().any(|url| url.starts_with(ISSUER)));
        let asked = || fixture.issuer.take_requests().contains(&"/token".to_owned());
        until(&fixture, "a renewal", asked).await;
    }
    // A ticket never outlives its session.
    fixture.pass(50 * 60);
    assert!(alice.open(&lab).await.is_inside());
    fixture.pass(10 * 60);
    let landing = alice.open(&lab).await;
    assert!(landing.is_inside() && landing.trail.iter().any(|url| url.starts_with(ISSUER)));
    assert_eq!(fixture.sessions().len(), 2);
}

#[tokio::test]
async fn a_browser_without_cookies_gets_a_message_after_three_redirects_at_an_address_without_code() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    alice.open(&format!("{}/", origin(LAB))).await;
    // This host's cookies are blocked from now on.
    let mut url = format!("{}/", origin(LAB));
    let mut rounds = 0;
    let page = loop {
        for name in [cookies::TICKET, cookies::PRE] {
            alice.set_cookie(LAB, name, None);
        }
        rounds += i32::from(url.contains("/_workspace/callback?code="));
        let answer = alice.step(&url).await;
        match answer.location() {
            Some(next) => url = next.to_owned(),
            None => break answer,
        }
    };
    assert_eq!((page.status, rounds), (StatusCode::BAD_REQUEST, 3));
    assert!(page.body.contains("Cookies are blocked"), "{}", page.body);
    assert_eq!(url, format!("{}/_workspace/callback", origin(LAB)));
}

#[tokio::test]
async fn only_page_loads_are_redirected_and_everything_else_learns_where_to_sign_in() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let url = format!("{}/api/contents", origin(LAB));
    for (method, lines) in [
        (
            "GET",
            vec![
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-dest", "empty"),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
        (
            "POST",
            vec![
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-site", "same-origin"),
            ],
        ),
        (
            "GET",
            vec![
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
                ("sec-fetch-site", "same-site"),
            ],
        ),
        ("GET", vec![]),
        ("GET", vec![("accept", "application/json")]),
        ("POST", vec![("accept", "text/html")]),
        ("OPTIONS", vec![("accept", "text/html")]),
    ] {
        let answer = alice.send(method, &url, headers(&lines)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {lines:?}");
        let login = format!("{}/", origin(LAB));
        if answer.body.starts_with('<') {
            // A user who sent a form sees a page, and continues from there.
            assert!(
                answer.body.contains(&format!("href=\"{login}\"")),
                "{}",
                answer.body
            );
            assert_ne!(method, "GET");
        } else {
            assert_eq!(answer.json()["loginUrl"], login);
        }
        assert!(answer.location().is_none() && answer.cookie(cookies::PRE).is_none());
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control-"))
        );
    }
    let old_browser = alice
        .send("GET", &url, headers(&[("accept", "text/html,*/*;q=0.8")]))
        .await;
    assert!(
        old_browser
            .location()
            .unwrap()
            .starts_with(&format!("{AUTH}/enter?t="))
    );
}

#[tokio::test]
async fn without_an_identity_provider_sessions_go_on_and_logins_wait() {
    let fixture = Fixture::without_provider();
    let alice = fixture.browser("alice");
    let lab = format!("{}/", origin(LAB));
    let landing = alice.open(&lab).await;
    assert_eq!(landing.answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(landing.answer.headers.contains_key("retry-after"));
    fixture.find_provider().await;
    assert!(alice.open(&lab).await.is_inside());
}

#[tokio::test]
async fn one_login_asks_the_provider_once_however_often_it_comes_back() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let callback = sent(&alice, &lab(), at_callback).await;
    let (head, _) = callback.split_once("code=").unwrap();
    let rest = callback.split_once('&').unwrap().1;
    let cookies = alice.cookies("auth.ws.example").unwrap();
    fixture.issuer.take_requests();
    for number in 0..20 {
        let url = format!("{head}code=forged-{number}&{rest}");
        let lines = headers(&[("cookie", &cookies)]);
        let answer = fixture.page(http::Method::GET, &url, lines, String::new()).await;
        // The first is asked about, and ends the login.
        let refusal = if number == 0 {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::BAD_REQUEST
        };
        assert_eq!(answer.status, refusal, "{number}");
    }
    assert_eq!(fixture.issuer.take_requests(), ["/token"]);
    assert!(fixture.sessions().is_empty());
}

#[tokio::test]
async fn a_signed_in_user_can_sign_in_again_and_returns_to_the_target() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    assert!(alice.open(&format!("{}/lab", origin(LAB))).await.is_inside());
    let before = alice.cookie(LAB, "__Host-ws").unwrap();
    fixture.pass(60);
    let again = format!("{}/_workspace/sign-in?to=/jupyter-k8s/signed-in", origin(LAB));
    let landing = alice.open(&again).await;
    assert!(landing.is_inside(), "{landing:?}");
    assert_eq!(landing.url, format!("{}/jupyter-k8s/signed-in", origin(LAB)));
    assert!(
        landing.trail.iter().any(|url| url.starts_with(ISSUER)),
        "{landing:?}"
    );
    assert_ne!(alice.cookie(LAB, "__Host-ws").unwrap(), before);
    assert_eq!(fixture.sessions().len(), 2);
    // The same from a user who is not signed in, and never to another place.
    let bob = fixture.browser("alice");
    for to in [
        "",
        "?to=https://evil.example/",
        "?to=//evil.example/",
        "?to=/_workspace/callback",
        "?to=/%5Cevil",
    ] {
        let landing = bob.open(&format!("{}/_workspace/sign-in{to}", origin(LAB))).await;
        assert!(landing.is_inside(), "{to}: {landing:?}");
        assert!(
            landing.url.starts_with(&format!("{}/", origin(LAB))),
            "{landing:?}"
        );
    }
}

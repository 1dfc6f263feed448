//! Links of any length up to 8 KiB are where a sign-in ends; longer ones get a page that keeps them.

use gateway::tokens::{MAX_TARGET, cookies};
use http::{Method, StatusCode};

use super::lost_logins::at_provider;
use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, LAB, lab, origin};
use crate::support::page::check;

/// A link whose path and query have this length, as courses use them.
fn link(length: usize) -> String {
    let path = "/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgit.example%2Fcourse&urlpath=lab%2Ftree%2F";
    let path = format!("{path}{}", "x".repeat(length.saturating_sub(path.len())));
    format!("{}{}", origin(LAB), &path[..length])
}

/// The address at the identity provider, after the workspace's was opened.
async fn login_page(browser: &Browser<'_>, url: &str) -> String {
    let landing = browser.open_until(url, at_provider).await;
    landing.answer.location().unwrap().to_owned()
}

#[tokio::test]
async fn a_sign_in_arrives_at_a_link_of_any_length_up_to_8_kib() {
    let fixture = Fixture::new().await;
    for length in [1, 500, 1023, 1024, 1025, 2500, 4096, 6000, 8191, MAX_TARGET] {
        let alice = fixture.browser("alice");
        let landing = alice.open(&link(length)).await;
        assert!(landing.is_inside(), "{length}: {:?}", landing.answer);
        assert_eq!(landing.url, link(length));
        let there = landing.trail.iter().find(|url| at_provider(url)).unwrap();
        assert!(there.len() < 2048, "{length}: providers accept no longer URLs");
        let left = alice.cookies("auth.ws.example").unwrap();
        assert!(!left.contains("__Host-login"), "{left}");
        // The same for a user who is signed in, when the ticket is over.
        alice.set_cookie(LAB, cookies::TICKET, None);
        let landing = alice.open(&link(length)).await;
        assert_eq!((landing.is_inside(), landing.url), (true, link(length)));
        assert!(!landing.trail.iter().any(|url| at_provider(url)), "{length}");
    }
}

#[tokio::test]
async fn a_backslash_in_the_query_arrives_encoded() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let landing = alice
        .open(&format!(r#"{}/lab?file=a\b&say="c""#, origin(LAB)))
        .await;
    assert!(landing.is_inside(), "{landing:?}");
    assert_eq!(landing.url, format!("{}/lab?file=a%5Cb&say=%22c%22", origin(LAB)));
}

#[tokio::test]
async fn a_longer_link_gets_a_page_that_keeps_it() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let long = link(MAX_TARGET + 1);
    let page = alice.step(&long).await;
    assert_eq!(page.status, StatusCode::URI_TOO_LONG);
    assert_eq!(page.location(), None);
    check(
        &page.body,
        page.headers["content-security-policy"].to_str().unwrap(),
    );
    for to in [long.replace('&', "&#38;"), lab()] {
        assert!(page.body.contains(&format!("href=\"{to}\"")), "{}", page.body);
    }
    // As the page says: sign in elsewhere, then open the link.
    assert!(alice.open(&lab()).await.is_inside());
    let landing = alice.open(&long).await;
    assert_eq!((landing.is_inside(), landing.url), (true, long.clone()));

    // The same page where a proxy sends the browser for a sign-in.
    let path = long.strip_prefix(&origin(LAB)).unwrap();
    let enter = format!("{}/_workspace/enter?{path}", origin(LAB));
    let page = fixture
        .page(Method::GET, &enter, headers(&NAVIGATION), String::new())
        .await;
    assert_eq!(page.status, StatusCode::URI_TOO_LONG);
    // Scripts are told where to sign in, as ever.
    let fetched = fixture.verify("GET", &long, headers(&[])).await;
    assert_eq!(fetched.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn logins_with_long_links_take_no_more_room_in_the_browser_than_others() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let short = login_page(&alice, &link(100)).await;
    fixture.pass(1);
    let long = login_page(&alice, &link(MAX_TARGET)).await;
    fixture.pass(1);
    let middle = login_page(&alice, &link(1000)).await;
    // One, three and one cookie.
    let held = alice.cookies("auth.ws.example").unwrap();
    assert_eq!(held.matches("__Host-login-").count(), 5, "{held}");
    fixture.pass(1);
    // The next takes the place of the first, and another long one that of the long one.
    let next = login_page(&alice, &link(200)).await;
    fixture.pass(1);
    let longer = login_page(&alice, &link(8000)).await;
    let held = alice.cookies("auth.ws.example").unwrap();
    assert_eq!(held.matches("__Host-login-").count(), 5, "{held}");
    for (login, arrives) in [(&middle, 1000), (&next, 200), (&longer, 8000)] {
        let landing = alice.open(login).await;
        assert_eq!((landing.is_inside(), landing.url), (true, link(arrives)));
    }
    // A short one that was dropped begins anew. A long one cannot: its link is nowhere any more, and the page says so.
    let landing = alice.open(&short).await;
    assert_eq!((landing.is_inside(), landing.url), (true, link(100)));
    let landing = alice.open(&long).await;
    assert_eq!(landing.answer.status, StatusCode::BAD_REQUEST);
    assert!(landing.answer.body.contains("Open the link again"), "{landing:?}");
    assert!(landing.url.starts_with(&format!("{AUTH}/callback")));
}

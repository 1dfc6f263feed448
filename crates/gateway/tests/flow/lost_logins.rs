//! Sign-ins that end late, or without their cookies: they arrive nevertheless, begin anew once, or say what to do.

use api::GatewaySession;
use gateway::tokens::{LOGIN_LIFE, REDEEM_LIFE, cookies};
use http::{Method, StatusCode};
use kube::runtime::watcher::Event;
use testkit::api_server::Fault;

use crate::support::browser::{Browser, Landing, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, SYSTEM, lab, origin};

const AUTH_HOST: &str = "auth.ws.example";

pub(super) fn at_provider(url: &str) -> bool {
    url.starts_with(ISSUER)
}

pub(super) fn at_callback(url: &str) -> bool {
    url.starts_with(&format!("{AUTH}/callback"))
}

fn tab(number: usize) -> String {
    format!("{}/tab/{number}", origin(LAB))
}

/// Where the browser is sent before `stop`.
pub(super) async fn sent(browser: &Browser<'_>, url: &str, stop: impl Fn(&str) -> bool) -> String {
    let landing = browser.open_until(url, stop).await;
    landing.answer.location().unwrap().to_owned()
}

fn logins(landing: &Landing) -> usize {
    landing.trail.iter().filter(|url| at_provider(url)).count()
}

fn forget_logins(browser: &Browser<'_>) {
    for slot in 0..cookies::MAX_LOGINS {
        browser.set_cookie(AUTH_HOST, &cookies::login(slot), None);
    }
}

/// Whether this is the page that explains and leads on, without naming the target.
fn explains(landing: &Landing) -> bool {
    assert!(!landing.answer.body.contains("/tab/"), "{landing:?}");
    landing.answer.status == StatusCode::BAD_REQUEST
        && landing.answer.body.contains("This sign-in cannot be completed")
}

#[tokio::test]
async fn a_login_that_fails_for_a_temporary_reason_begins_anew_once_and_then_offers_to() {
    for (faults, arrives) in [(0, true), (1, true), (2, false)] {
        let fixture = Fixture::new().await;
        let create = Fault::internal(Method::POST, "gatewaysessions", faults);
        fixture.server.fail(create);
        let alice = fixture.browser("alice");
        let landing = alice.open(&tab(1)).await;
        assert_eq!(landing.is_inside(), arrives, "{faults}: {:?}", landing.trail);
        assert_eq!(logins(&landing), if faults == 0 { 1 } else { 2 }, "{faults}");
        assert_eq!(fixture.sessions().len(), usize::from(arrives), "{faults}");
        if !arrives {
            assert_eq!(landing.answer.status, StatusCode::SERVICE_UNAVAILABLE);
            let again = landing.answer.link("Try again").unwrap();
            assert!(alice.open(&again).await.is_inside());
        }
    }
}

#[tokio::test]
async fn a_sign_in_that_takes_hours_arrives() {
    let fixture = Fixture::new().await;
    for minutes in [11, 23 * 60] {
        let alice = fixture.browser("alice");
        let login_page = sent(&alice, &tab(1), at_provider).await;
        fixture.pass(minutes * 60);
        let landing = alice.open(&login_page).await;
        assert_eq!(
            (landing.is_inside(), landing.url.as_str()),
            (true, &*tab(1)),
            "{minutes}"
        );
        // The login begins anew, once.
        assert_eq!(logins(&landing), 2, "{minutes}");
        assert_eq!(fixture.sessions().len(), usize::from(minutes > 11) + 1);
    }
}

#[tokio::test]
async fn a_sign_in_that_is_late_twice_shows_how_to_begin_anew() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let callback = sent(&alice, &tab(1), at_callback).await;
    fixture.pass(REDEEM_LIFE);
    let callback = sent(&alice, &callback, at_callback).await;
    fixture.pass(REDEEM_LIFE);
    let landing = alice.open(&callback).await;
    assert!(explains(&landing) && landing.trail.len() == 1, "{landing:?}");
    let landing = alice.open(&landing.answer.link("Sign in again").unwrap()).await;
    assert_eq!((landing.is_inside(), landing.url), (true, tab(1)));
}

/// A login that mallory began in this browser, completed at the provider by herself. The address signs its user in as her.
async fn planted(fixture: &Fixture, browser: &Browser<'_>) -> String {
    let login_page = sent(browser, &format!("{}/", origin(BOBS)), at_provider).await;
    let answer = fixture.browser("mallory").step(&login_page).await;
    fixture.issuer.take_requests();
    answer.location().unwrap().to_owned()
}

/// The user as whom the browser arrives by this address.
async fn arrives(browser: &Browser<'_>, callback: &str) -> &'static str {
    let landing = browser.open(callback).await;
    match landing.answer.status {
        StatusCode::FORBIDDEN if landing.answer.body.contains("You are mallory") => "mallory",
        _ if landing.is_inside() => "bob",
        _ => panic!("{landing:?}"),
    }
}

#[tokio::test]
async fn a_login_that_was_begun_in_the_browser_long_ago_signs_its_user_in_as_nobody_else() {
    let fixture = Fixture::new().await;
    for is_signed_in in [false, true] {
        let bob = fixture.browser("bob");
        let callback = planted(&fixture, &bob).await;
        if is_signed_in {
            assert!(bob.open(&format!("{}/", origin(BOBS))).await.is_inside());
        }
        fixture.pass(REDEEM_LIFE);
        let before = fixture.sessions().len();
        let landing = bob.open_until(&callback, at_callback).await;
        assert_eq!(fixture.sessions().len(), before);
        // A session that exists is renewed meanwhile.
        let asked = fixture.issuer.take_requests();
        assert!(is_signed_in || !asked.contains(&"/token".to_owned()), "{asked:?}");
        assert_eq!(logins(&landing), usize::from(!is_signed_in));
        match landing.answer.location() {
            Some(next) => assert_eq!(arrives(&bob, next).await, "bob"),
            None => assert!(landing.is_inside(), "{landing:?}"),
        }
        // It has ended, also for who opens the address again.
        let before = fixture.sessions().len();
        bob.open(&callback).await;
        assert_eq!(fixture.sessions().len(), before);
        assert!(bob.open(&format!("{}/", origin(BOBS))).await.is_inside());
    }
    // The control: one that began just now counts.
    let shared = fixture.browser("bob");
    let callback = planted(&fixture, &shared).await;
    fixture.pass(9 * 60);
    assert_eq!(arrives(&shared, &callback).await, "mallory");
    assert!(fixture.issuer.take_requests().contains(&"/token".to_owned()));
}

#[tokio::test]
async fn no_login_that_was_begun_before_a_sign_out_signs_anybody_in() {
    let fixture = Fixture::new().await;
    for signs_out in [false, true] {
        let bob = fixture.browser("bob");
        let callback = planted(&fixture, &bob).await;
        assert!(bob.open(&format!("{}/", origin(BOBS))).await.is_inside());
        fixture.issuer.take_requests();
        if !signs_out {
            assert_eq!(arrives(&bob, &callback).await, "mallory");
            continue;
        }
        bob.send("POST", &format!("{AUTH}/sign-out"), headers(&[("origin", AUTH)]))
            .await;
        assert_eq!(bob.cookies(AUTH_HOST), None, "the session's and the logins'");
        let landing = bob.open(&callback).await;
        assert!(explains(&landing), "{landing:?}");
        assert!(fixture.issuer.take_requests().is_empty());
    }
}

#[tokio::test]
async fn the_first_page_ends_the_logins_of_a_browser_whose_session_ended_elsewhere_and_of_no_other() {
    let fixture = Fixture::new().await;
    let home = format!("{AUTH}/");
    let bob = fixture.browser("bob");
    planted(&fixture, &bob).await;
    let before = bob.cookies(AUTH_HOST).unwrap();
    bob.open(&home).await;
    assert_eq!(bob.cookies(AUTH_HOST), Some(before), "never signed in");

    assert!(bob.open(&format!("{}/", origin(BOBS))).await.is_inside());
    let before = bob.cookies(AUTH_HOST).unwrap();
    bob.open(&home).await;
    assert_eq!(bob.cookies(AUTH_HOST), Some(before), "signed in");

    let session = fixture.sessions().remove(0);
    let name = session.metadata.name.clone().unwrap();
    fixture.server.remove::<GatewaySession>(Some(SYSTEM), &name);
    fixture.app.sessions.apply(Event::Delete(session)).await;
    let page = bob.open(&home).await.answer;
    assert!(page.body.contains("You are signed out"), "{page:?}");
    let after = bob.cookies(AUTH_HOST).unwrap();
    assert!(!after.contains(cookies::LOGIN), "{after}");
}

#[tokio::test]
async fn after_a_day_a_sign_in_shows_how_to_begin_anew() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let login_page = sent(&alice, &tab(1), at_provider).await;
    fixture.pass(LOGIN_LIFE);
    let landing = alice.open(&login_page).await;
    assert!(explains(&landing), "{landing:?}");
    let again = landing.answer.link("Sign in again").unwrap();
    let landing = alice.open(&again).await;
    assert_eq!((landing.is_inside(), landing.url), (true, tab(1)));
    // A link to the auth host that lay about leads back to the workspace, and in again.
    let bob = fixture.browser("alice");
    let link = sent(&bob, &tab(2), |url| url.starts_with(AUTH)).await;
    fixture.pass(LOGIN_LIFE);
    assert!(bob.open(&link).await.is_inside());
}

#[tokio::test]
async fn of_six_tabs_all_arrive_in_whatever_order_their_sign_ins_end() {
    let fixture = Fixture::new().await;
    for first in [0, 5] {
        let alice = fixture.browser("alice");
        let mut waiting = Vec::new();
        for number in 0..6 {
            waiting.push((number, sent(&alice, &tab(number), at_provider).await));
            fixture.pass(1);
        }
        let held = alice.cookies(AUTH_HOST).unwrap();
        assert_eq!(held.matches("__Host-login-").count(), 5);
        waiting.rotate_left(first);
        for (number, login_page) in waiting {
            let landing = alice.open(&login_page).await;
            assert!(landing.is_inside(), "{number}: {landing:?}");
            assert_eq!(landing.url, tab(number));
        }
    }
}

#[tokio::test]
async fn a_tab_whose_sign_in_another_one_replaced_goes_on_once_its_user_is_signed_in() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    // Both begin before either's cookie is there, so the second one's takes the place of the first one's.
    let replaced = sent(&alice, &tab(0), at_callback).await;
    forget_logins(&alice);
    assert!(alice.open(&tab(1)).await.is_inside());
    fixture.issuer.take_requests();
    let landing = alice.open(&replaced).await;
    assert_eq!(
        (landing.is_inside(), landing.url.as_str()),
        (true, &*tab(0)),
        "{:?}",
        landing.trail
    );
    assert!(
        fixture.issuer.take_requests().is_empty(),
        "nobody redeems the code"
    );
    assert_eq!(fixture.sessions().len(), 1);
}

#[tokio::test]
async fn a_lost_sign_in_leads_on_also_while_nothing_tells_whether_its_user_is_signed_in() {
    for is_silent in [false, true] {
        let fixture = Fixture::new().await;
        let alice = fixture.browser("alice");
        let replaced = sent(&alice, &tab(0), at_callback).await;
        forget_logins(&alice);
        assert!(alice.open(&tab(1)).await.is_inside());
        // It has not heard of the session yet, and asks.
        let other = fixture.replica().await;
        let alice = alice.at(&other);
        let times = usize::from(is_silent);
        fixture
            .server
            .fail(Fault::internal(Method::GET, "gatewaysessions/", times));
        let landing = alice.open(&replaced).await;
        assert_eq!(landing.is_inside(), !is_silent, "{landing:?}");
        if is_silent {
            assert!(explains(&landing), "{landing:?}");
            let landing = alice.open(&landing.answer.link("Sign in again").unwrap()).await;
            assert_eq!((landing.is_inside(), landing.url), (true, tab(0)));
        }
    }
}

#[tokio::test]
async fn a_sign_in_whose_cookie_is_lost_begins_anew_once() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let callback = sent(&alice, &tab(1), at_callback).await;
    forget_logins(&alice);
    let landing = alice.open(&callback).await;
    assert!(
        explains(&landing),
        "nothing tells that this browser began it: {landing:?}"
    );

    assert!(alice.open(&lab()).await.is_inside());
    let again = format!("{}/_workspace/sign-in?to=/tab/2", origin(LAB));
    let callback = sent(&alice, &again, at_callback).await;
    forget_logins(&alice);
    fixture.issuer.take_requests();
    let landing = alice.open_until(&callback, at_callback).await;
    assert_eq!(logins(&landing), 1, "{landing:?}");
    assert!(!fixture.issuer.take_requests().contains(&"/token".to_owned()));
    // Lost once more: the page leads on, and nothing goes round in circles.
    let callback = landing.answer.location().unwrap().to_owned();
    forget_logins(&alice);
    let landing = alice.open(&callback).await;
    assert!(explains(&landing) && landing.trail.len() == 1, "{landing:?}");
    let landing = alice.open(&landing.answer.link("Sign in again").unwrap()).await;
    assert_eq!((landing.is_inside(), landing.url), (true, tab(2)));
}

#[tokio::test]
async fn another_browser_s_sign_in_gives_its_user_nothing_and_begins_nothing_by_itself() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    let callback = sent(&mallory, &tab(1), at_callback).await;
    // One who is signed in, one who is about to, and one whose browser is new.
    let (inside, about, fresh) = (
        fixture.browser("bob"),
        fixture.browser("bob"),
        fixture.browser("bob"),
    );
    assert!(inside.open(&format!("{}/", origin(BOBS))).await.is_inside());
    sent(&about, &format!("{}/", origin(BOBS)), at_provider).await;
    fixture.issuer.take_requests();
    for bob in [&about, &fresh] {
        let before = bob.cookies(AUTH_HOST);
        let landing = bob.open(&callback).await;
        assert!(explains(&landing) && landing.trail.len() == 1, "{landing:?}");
        assert_eq!(bob.cookies(AUTH_HOST), before);
    }
    // It leads who is signed in to that workspace, as a link would.
    let landing = inside.open(&callback).await;
    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN);
    assert!(
        landing.answer.body.contains("You are bob") && logins(&landing) == 0,
        "{landing:?}"
    );
    assert!(
        fixture.issuer.take_requests().is_empty(),
        "nobody redeems the code"
    );
    assert_eq!(fixture.sessions().len(), 1);
    // The link leads on as the user who follows it, who may not open that workspace.
    let link = fresh.open(&callback).await.answer.link("Sign in again").unwrap();
    let landing = fresh.open(&link).await;
    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN);
    assert!(landing.answer.body.contains("You are bob"), "{landing:?}");
    // The control: the browser that began it.
    let landing = mallory.open(&callback).await;
    assert_eq!(landing.answer.status, StatusCode::FORBIDDEN);
    assert!(landing.answer.body.contains("You are mallory"), "{landing:?}");
}

#[tokio::test]
async fn a_forged_state_gets_a_page_without_any_target() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let link = sent(&alice, &tab(1), |url| url.starts_with(AUTH)).await;
    let sealed_link = link.split_once("t=").unwrap().1.to_owned();
    let callback = sent(&alice, &tab(1), at_callback).await;
    let (head, rest) = callback.split_once("state=").unwrap();
    let state = rest.split('&').next().unwrap();
    let (random, sealed) = state.split_once('.').unwrap();
    forget_logins(&alice);
    for forged in [
        String::new(),
        "x".to_owned(),
        random.to_owned(),
        format!("{random}.{sealed_link}"),
        format!("{random}.{}", &sealed[1..]),
        format!("{random}..{sealed}"),
        format!("{random}.{sealed}.{sealed}"),
    ] {
        let landing = alice.open(&format!("{head}state={forged}")).await;
        assert!(explains(&landing), "{forged}: {landing:?}");
        assert_eq!(landing.answer.link("Sign in again"), None, "{forged}");
        assert!(
            !landing.answer.body.contains("/enter?t="),
            "{forged}: {landing:?}"
        );
    }
    // And what it seals is no link.
    let landing = alice.open(&format!("{AUTH}/enter?t={sealed}")).await;
    assert_eq!(landing.answer.status, StatusCode::BAD_REQUEST);
    // The control: the true one has a way on.
    let landing = alice.open(&format!("{head}state={state}")).await;
    assert!(landing.answer.link("Sign in again").is_some(), "{landing:?}");
}

//! Workspaces in folders of one host (routing mode Path): routes, valid cookies, and guests.

use api::manager::RoutingMode;
use api::workspace::{AccessType, Phase};
use gateway::index::{Domain, Target};
use gateway::tokens::cookies::{FOLDER_PRE, FOLDER_TICKET};
use http::{Method, StatusCode};
use rules::access::Policy;
use serde_json::json;

use crate::support::browser::{Browser, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, target};

const ORIGIN: &str = "https://ws.example:8443";
/// Alice's own.
const WS1: &str = "ws.example/workspaces/team/ws1";
/// Bob's own, and its neighbour by name.
const WS10: &str = "ws.example/workspaces/team/ws10";
/// Bob's, open to everybody where that counts.
const OPEN: &str = "ws.example/workspaces/team/open";

fn at(site: &str, owner: &str, access: AccessType) -> Target {
    Target {
        name: site.rsplit('/').next().unwrap().into(),
        ..target(site, owner, access)
    }
}

fn workspaces() -> Vec<Target> {
    vec![
        at(WS1, "alice", AccessType::OwnerOnly),
        at(WS10, "bob", AccessType::OwnerOnly),
        at(OPEN, "bob", AccessType::Public),
    ]
}

fn serve(fixture: &Fixture, targets: Vec<Target>, disables_sharing: bool) {
    let domain = Domain::new("ws.example", 8443).in_mode(RoutingMode::Path);
    let policy = Policy {
        disables_sharing,
        ..Policy::default()
    };
    fixture.serve(domain, policy, targets);
}

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    serve(&fixture, workspaces(), true);
    fixture
}

fn url(site: &str, path: &str) -> String {
    format!("{ORIGIN}{}{path}", &site["ws.example".len()..])
}

async fn signed_in<'w>(fixture: &'w Fixture, name: &'static str, site: &str) -> Browser<'w> {
    let browser = fixture.browser(name);
    assert!(browser.open(&url(site, "/")).await.is_inside());
    browser
}

#[tokio::test]
async fn a_login_leads_back_into_the_folder_with_a_ticket_for_it_alone() {
    let fixture = fixture().await;
    let alice = fixture.browser("alice");
    let page = url(WS1, "/lab/tree/C%23%2050%25.ipynb?a=%2F..%2Fb");
    let landing = alice.open(&page).await;
    assert!(landing.is_inside(), "{landing:?}");
    assert_eq!(landing.url, page);
    let callback = url(WS1, "/_workspace/callback?code=");
    assert!(
        landing.trail.iter().any(|step| step.starts_with(&callback)),
        "{:?}",
        landing.trail
    );
    assert!(alice.cookie(WS1, FOLDER_TICKET).is_some());
    let of_host = alice.cookies("ws.example").unwrap();
    assert!(
        of_host.starts_with(&format!("{FOLDER_PRE}=")) && !of_host.contains(';'),
        "{of_host}: the whole host has the browser's cookie and nothing else"
    );
    let answer = alice.send("GET", &page, headers(&[("cookie", "x=1")])).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_in_a_sibling_folder_or_at_a_workspace_made_anew() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice", WS1).await;
    let ticket = alice.cookie(WS1, FOLDER_TICKET).unwrap();
    for other in [WS10, OPEN, "ws.example/workspaces/team/none"] {
        alice.set_cookie(other, FOLDER_TICKET, Some(&ticket));
        let answer = alice.send("GET", &url(other, "/api"), headers(&[])).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{other}");
        assert_eq!(answer.json()["loginUrl"], url(other, "/"), "{other}");
    }
    // The browser itself sends it to its folder and to no other whose name begins alike.
    let unknown_user = url(WS10, "/").replace("ws10/", "ws1%30/");
    assert_eq!(alice.step(&unknown_user).await.status, StatusCode::BAD_REQUEST);
    let again = Target {
        uid: "another".into(),
        ..at(WS1, "alice", AccessType::OwnerOnly)
    };
    serve(&fixture, vec![again], true);
    let answer = alice.send("GET", &url(WS1, "/api"), headers(&[])).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(alice.open(&url(WS1, "/")).await.is_inside());
}

/// Another host under the same domain can set cookies for this one, though none that begins with `__Host-`.
fn plant(to: &Browser<'_>, site: &str, ticket: &str) {
    to.set_cookie(site, FOLDER_TICKET, Some(ticket));
    to.set_cookie(site, "__Secure-ws-pre", Some("tossed"));
    to.set_cookie(site, "__host-ws-browser", Some("tossed"));
}

/// Whether a page opens at this site, and whether a websocket does.
async fn enters(browser: &Browser<'_>, site: &str) -> (bool, bool) {
    let page = browser.send("GET", &url(site, "/"), headers(&NAVIGATION)).await;
    let cookies = ["ws.example", site].map(|place| browser.cookies(place));
    let cookies = cookies.into_iter().flatten().collect::<Vec<_>>().join("; ");
    let handshake = headers(&[("cookie", &cookies), ("origin", ORIGIN)]);
    let socket = browser.fixture.handshake(site, &handshake).await;
    (page.status == StatusCode::OK, socket.is_some())
}

#[tokio::test]
async fn a_ticket_tossed_into_another_browser_opens_nothing_and_leads_to_a_login() {
    let fixture = fixture().await;
    let bob = signed_in(&fixture, "bob", WS10).await;
    let ticket = bob.cookie(WS10, FOLDER_TICKET).unwrap();
    assert_eq!(enters(&bob, WS10).await, (true, true));

    // Who was never here has no cookie of the host, who was has another one.
    let newcomer = fixture.browser("alice");
    let alice = signed_in(&fixture, "alice", WS1).await;
    for victim in [&newcomer, &alice] {
        let before = victim.cookie("ws.example", FOLDER_PRE);
        plant(victim, WS10, &ticket);
        assert_eq!(enters(victim, WS10).await, (false, false));
        let answer = victim.send("GET", &url(WS10, "/api"), headers(&[])).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let landing = victim.open(&url(WS10, "/")).await;
        assert_eq!(landing.answer.status, StatusCode::FORBIDDEN, "{landing:?}");
        if before.is_some() {
            assert_eq!(victim.cookie("ws.example", FOLDER_PRE), before);
        }
    }
    assert_eq!(enters(&alice, WS1).await, (true, true));
}

#[tokio::test]
async fn a_code_made_for_another_browser_is_worth_nothing_whatever_is_tossed() {
    let fixture = fixture().await;
    let bob = fixture.browser("bob");
    let landing = bob
        .open_until(&url(WS10, "/"), |step| {
            step.contains("/_workspace/callback?code=")
        })
        .await;
    let callback = landing.answer.location().unwrap().to_owned();
    let own = bob.cookie("ws.example", FOLDER_PRE).unwrap();

    let alice = signed_in(&fixture, "alice", WS1).await;
    alice.set_cookie(WS10, FOLDER_PRE.trim_start_matches("__Host-"), Some(&own));
    alice.set_cookie(WS10, "__Secure-ws-pre", Some(&own));
    let answer = alice.step(&callback).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert!(
        answer
            .location()
            .unwrap()
            .starts_with(&format!("{AUTH}/enter?t="))
    );
    assert_eq!(alice.cookie(WS10, FOLDER_TICKET), None);
    // It is spent; the browser that it was made for gets another one.
    assert!(bob.open(&callback).await.is_inside());
}

#[tokio::test]
async fn a_browser_has_one_cookie_for_all_folders_and_renewed_tickets_stay_tied_to_it() {
    let fixture = Fixture::new().await;
    let second = "ws.example/workspaces/team/ws2";
    let own = [WS1, second].map(|site| at(site, "alice", AccessType::OwnerOnly));
    serve(&fixture, own.into(), true);
    let alice = signed_in(&fixture, "alice", WS1).await;
    let browser = alice.cookie("ws.example", FOLDER_PRE).unwrap();
    let first = alice.cookie(WS1, FOLDER_TICKET).unwrap();
    assert!(alice.open(&url(second, "/")).await.is_inside());
    assert_eq!(alice.cookie("ws.example", FOLDER_PRE).as_ref(), Some(&browser));

    fixture.pass(5 * 60 + 1);
    assert_eq!(alice.step(&url(WS1, "/")).await.status, StatusCode::OK);
    let renewed = alice.cookie(WS1, FOLDER_TICKET).unwrap();
    assert_ne!(renewed, first);
    assert_eq!(enters(&alice, WS1).await, (true, true));
    let other = fixture.browser("mallory");
    plant(&other, WS1, &renewed);
    assert_eq!(enters(&other, WS1).await, (false, false));

    // Without its cookie the browser needs no sign-in, and gets a new cookie with a new ticket.
    alice.set_cookie("ws.example", FOLDER_PRE, None);
    assert_eq!(enters(&alice, WS1).await, (false, false));
    assert!(alice.open(&url(WS1, "/")).await.is_inside());
    assert_ne!(alice.cookie("ws.example", FOLDER_PRE), Some(browser));
}

#[tokio::test]
async fn only_one_reading_of_a_path_leads_to_a_workspace() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice", WS1).await;
    for (path, status) in [
        ("/workspaces/team/ws1/../ws10/", StatusCode::BAD_REQUEST),
        ("/", StatusCode::NOT_FOUND),
    ] {
        let url = format!("{ORIGIN}{path}");
        let asked = fixture.verify("GET", &url, headers(&NAVIGATION)).await;
        let page = fixture
            .page(Method::GET, &url, headers(&NAVIGATION), String::new())
            .await;
        for answer in [asked, page] {
            assert_eq!((answer.status, answer.location()), (status, None), "{path}");
        }
    }
    let reserved = url(WS1, "/%5fworkspace/callback");
    let answer = fixture.verify("GET", &reserved, headers(&NAVIGATION)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let bare = alice.step(&url(WS1, "")).await;
    assert_eq!(
        (bare.status, bare.location()),
        (StatusCode::FOUND, Some(&*url(WS1, "/")))
    );
    let post = fixture.verify("POST", &url(WS1, ""), headers(&[])).await;
    assert_eq!(post.status, StatusCode::NOT_FOUND);
    // No workspace has a host of its own here.
    let host = fixture
        .verify("GET", "https://ws1.ws.example:8443/", headers(&NAVIGATION))
        .await;
    assert_eq!(host.status, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_guest_is_refused_like_a_stranger_and_the_log_says_why() {
    let fixture = fixture().await;
    let alice = fixture.browser("alice");
    let nothing = alice
        .open(&url("ws.example/workspaces/team/none", "/"))
        .await
        .answer;
    let refused = alice.open(&url(OPEN, "/")).await.answer;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.visible_answer(), nothing.visible_answer());
    let records = fixture.records("denied", 2).await;
    assert_eq!(
        (&records[0]["rule"], &records[1]["rule"]),
        (&json!("no_workspace"), &json!("one_origin"))
    );
    serve(&fixture, workspaces(), false);
    assert!(alice.open(&url(OPEN, "/")).await.is_inside());
}

#[tokio::test]
async fn a_stopped_workspace_is_started_from_its_folder() {
    let fixture = fixture().await;
    let alice = signed_in(&fixture, "alice", WS1).await;
    let stopped = Target {
        phase: Phase::Stopped,
        ..at(WS1, "alice", AccessType::OwnerOnly)
    };
    serve(&fixture, vec![stopped], true);
    let page = alice.step(&url(WS1, "/lab")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("ws1 is stopped"), "{}", page.body);
    let form = alice.step(&format!("{AUTH}/start?host={WS1}")).await;
    assert_eq!(form.status, StatusCode::OK);
    assert!(form.body.contains(WS1), "{}", form.body);
    for wrong in [
        "ws.example",
        "ws.example/workspaces/team",
        "ws.example/workspaces/team/../team/ws1",
        "ws1.ws.example",
    ] {
        let answer = alice.step(&format!("{AUTH}/start?host={wrong}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

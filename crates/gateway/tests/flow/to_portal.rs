//! `/_workspace/portal` of a workspace: whom it leads to the portal, and what all others learn.

use api::manager::RoutingMode;
use api::workspace::AccessType;
use gateway::index::{Domain, Target};
use http::StatusCode;
use rules::access::Policy;

use super::portal::ORIGIN;
use crate::support::browser::{Answer, Browser, headers};
use crate::support::fixture::{AUTH, Fixture, LAB, NONE, origin, target};

/// A mode, the address of a workspace, and one where no workspace is.
const PLACES: [(RoutingMode, &str, &str); 2] = [
    (RoutingMode::Subdomain, LAB, NONE),
    (
        RoutingMode::Path,
        "ws.example/workspaces/team/lab",
        "ws.example/workspaces/team/none",
    ),
];

fn domain(mode: RoutingMode) -> Domain {
    Domain::new("ws.example", 8443).in_mode(mode)
}

fn with_portal(mode: RoutingMode) -> Domain {
    domain(mode).with_portal(true)
}

/// Serves alice's workspace at `site`. Its address contains neither its name nor its namespace.
fn serve(fixture: &Fixture, domain: Domain, site: &str, access: AccessType) {
    let thesis = Target {
        namespace: "physics".into(),
        name: "thesis".into(),
        ..target(site, "alice", access)
    };
    fixture.serve(domain, Policy::default(), [thesis]);
}

fn url(site: &str, path: &str) -> String {
    let (host, folder) = site.split_at(site.find('/').unwrap_or(site.len()));
    format!("{}{folder}{path}", origin(host))
}

fn to_portal(site: &str) -> String {
    url(site, "/_workspace/portal")
}

async fn signed_in<'w>(fixture: &'w Fixture, name: &'static str, site: &str) -> Browser<'w> {
    let browser = fixture.browser(name);
    let landing = browser.open(&url(site, "/")).await;
    assert!(landing.is_inside(), "{landing:?}");
    browser
}

fn leads_to_portal(answer: &Answer) -> bool {
    let page = format!("{ORIGIN}/w/physics/thesis");
    answer.status == StatusCode::FOUND && answer.location() == Some(&*page)
}

fn leads_to_sign_in(answer: &Answer) -> bool {
    let enter = format!("{AUTH}/enter?t=");
    answer.status == StatusCode::FOUND && answer.location().is_some_and(|to| to.starts_with(&enter))
}

fn assert_names_nothing(answer: &Answer) {
    let whole = format!("{answer:?}");
    for hidden in ["physics", "thesis", ORIGIN] {
        assert!(!whole.contains(hidden), "{hidden}: {whole}");
    }
}

#[tokio::test]
async fn an_open_page_leads_its_owner_to_the_portal_and_guests_learn_no_name() {
    for (mode, site, _) in PLACES {
        let fixture = Fixture::new().await;
        serve(&fixture, with_portal(mode), site, AccessType::Public);
        let alice = signed_in(&fixture, "alice", site).await;
        let bob = signed_in(&fixture, "bob", site).await;
        let owner = alice.step(&to_portal(site)).await;
        assert!(leads_to_portal(&owner), "{owner:?}");
        let guest = bob.step(&to_portal(site)).await;
        assert_eq!(guest.status, StatusCode::NOT_FOUND, "{guest:?}");
        assert_names_nothing(&guest);

        serve(&fixture, domain(mode), site, AccessType::Public);
        let without = alice.step(&to_portal(site)).await;
        assert_eq!(without.status, StatusCode::NOT_FOUND, "{without:?}");
        assert!(
            without.body.contains("kubectl workspace keep"),
            "{}",
            without.body
        );
    }
}

#[tokio::test]
async fn strangers_and_users_without_access_learn_on_the_way_to_the_portal_neither_a_name_nor_what_exists() {
    for (mode, site, none) in PLACES {
        let fixture = Fixture::new().await;
        serve(&fixture, with_portal(mode), site, AccessType::Public);
        let alice = signed_in(&fixture, "alice", site).await;
        let bob = signed_in(&fixture, "bob", site).await;
        serve(&fixture, with_portal(mode), site, AccessType::OwnerOnly);
        let owner = alice.step(&to_portal(site)).await;
        assert!(leads_to_portal(&owner), "{owner:?}");

        let was_guest = bob.step(&to_portal(site)).await;
        assert_eq!(was_guest.status, StatusCode::FORBIDDEN, "{was_guest:?}");
        assert_names_nothing(&was_guest);

        let stranger = fixture.browser("stranger").step(&to_portal(site)).await;
        let nothing = fixture.browser("stranger").step(&to_portal(none)).await;
        for answer in [&stranger, &nothing] {
            assert!(leads_to_sign_in(answer), "{answer:?}");
            assert_names_nothing(answer);
        }
        let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&stranger), names(&nothing));
        assert_eq!(stranger.body, nothing.body);

        let carol = fixture.browser("carol");
        let nothing = carol.open(&to_portal(none)).await.answer;
        let refused = carol.open(&to_portal(site)).await.answer;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        assert_names_nothing(&refused);
        assert_eq!(refused.visible_answer(), nothing.visible_answer());
    }
}

#[tokio::test]
async fn a_request_of_another_origin_is_not_led_to_the_portal_with_its_users_ticket() {
    for (mode, site, _) in PLACES {
        let fixture = Fixture::new().await;
        serve(&fixture, with_portal(mode), site, AccessType::OwnerOnly);
        let alice = signed_in(&fixture, "alice", site).await;
        let own = origin(site.split('/').next().unwrap());
        let answer = alice
            .send("GET", &to_portal(site), headers(&[("origin", &own)]))
            .await;
        assert!(leads_to_portal(&answer), "{answer:?}");
        for other in ["https://other.ws.example:8443", "https://evil.example", "null"] {
            let answer = alice
                .send("GET", &to_portal(site), headers(&[("origin", other)]))
                .await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{other}: {answer:?}");
            assert_names_nothing(&answer);
        }
        // What browsers tell of a script's request, with and without a ticket.
        let of_script = [
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "no-cors"),
            ("sec-fetch-dest", "empty"),
        ];
        for browser in [&alice, &fixture.browser("stranger")] {
            let answer = browser.send("GET", &to_portal(site), headers(&of_script)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
            assert_names_nothing(&answer);
        }
    }
}

#[tokio::test]
async fn an_owner_whose_ticket_expired_signs_in_and_then_gets_to_the_portal() {
    for (mode, site, _) in PLACES {
        let fixture = Fixture::new().await;
        serve(&fixture, with_portal(mode), site, AccessType::OwnerOnly);
        let alice = signed_in(&fixture, "alice", site).await;
        assert!(leads_to_portal(&alice.step(&to_portal(site)).await));
        fixture.pass(20 * 60);
        let expired = alice.step(&to_portal(site)).await;
        assert!(leads_to_sign_in(&expired), "{expired:?}");
        let landing = alice.open(&to_portal(site)).await;
        assert!(landing.is_inside(), "{landing:?}");
        assert_eq!(landing.url, url(site, "/"));
        assert!(leads_to_portal(&alice.step(&to_portal(site)).await));
    }
}

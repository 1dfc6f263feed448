//! Users who may sign in, by e-mail domain and group: checked at the login and during the session.

use gateway::oidc::Admission;
use gateway::oidc::Registered;
use http::StatusCode;
use serde_json::{Value, json};

use crate::flow::renewal::until;
use crate::support::browser::Browser;
use crate::support::fixture::{Fixture, ISSUER, lab, mapping};

const MINUTES: i64 = 60;

/// A gateway that admits only these.
async fn fixture(domains: &[&str], groups: &[&str]) -> Fixture {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let admission = Admission::new(&owned(domains), &owned(groups)).unwrap();
    let mut only = Registered::only(ISSUER, mapping());
    only.admission = admission;
    let fixture = Fixture::with_providers(vec![only]);
    fixture.find_provider().await;
    fixture.watch().await;
    fixture
}

/// Alice, of whom the provider says this as well.
fn alice<'w>(fixture: &'w Fixture, more: &Value) -> Browser<'w> {
    let mut alice = fixture.browser("alice");
    alice.claims.extend(more.as_object().unwrap().clone());
    alice
}

/// What the provider says of alice from now on.
fn say(fixture: &Fixture, more: &Value) {
    let claims = alice(fixture, more).claims;
    fixture.issuer.change(|issuer| {
        issuer
            .claims_by_subject
            .insert("id-of-alice".into(), Some(claims));
    });
}

#[tokio::test]
async fn a_user_who_is_not_admitted_gets_a_page_with_a_link_to_another_account() {
    let outsiders = [
        (
            json!({"email": "alice@evil.example", "email_verified": true, "groups": ["staff"]}),
            "email_domain",
        ),
        (
            json!({"email": "alice@example.org", "email_verified": false, "groups": ["staff"]}),
            "no_verified_email",
        ),
        (
            json!({"email": "alice@example.org", "email_verified": true, "groups": ["others"]}),
            "group",
        ),
    ];
    for (claims, rule) in outsiders {
        let fixture = fixture(&["example.org"], &["oidc:staff"]).await;
        let email = claims["email"].as_str().unwrap();
        let outsider = alice(&fixture, &claims);
        let answer = outsider.open(&lab()).await.answer;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{claims}");
        assert!(answer.body.contains(email), "{}", answer.body);
        assert!(answer.body.contains("not admitted"), "{}", answer.body);
        for secret in ["staff", "@example.org", "domain", "group", "verified"] {
            let text = answer.body.replace(email, "");
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(fixture.sessions().is_empty());
        assert_eq!(outsider.cookie("auth.ws.example", "__Host-session"), None);
        let records = fixture.records("not_admitted", 1).await;
        assert_eq!(records[0]["user"], "alice");
        assert_eq!(records[0]["issuer"], ISSUER);
        assert_eq!(records[0]["rule"], format!("not_admitted_{rule}"));

        // The gateway requests that the provider offers a choice of account. Another account then opens the workspace directly.
        let another = answer.link("Sign in with another account").unwrap();
        let sent = outsider.step(&another).await;
        assert!(
            sent.location().unwrap().contains("&prompt=select_account"),
            "{:?}",
            sent.location()
        );
        let mut insider = alice(
            &fixture,
            &json!({"email": "a@example.org", "email_verified": true, "groups": ["staff"]}),
        );
        insider.jar = outsider.jar;
        assert!(insider.open(&another).await.is_inside());
    }
}

#[tokio::test]
async fn a_user_who_leaves_the_group_loses_access_at_the_next_renewal() {
    let fixture = fixture(&[], &["oidc:staff"]).await;
    let alice = alice(&fixture, &json!({"groups": ["staff", "users"]}));
    assert!(alice.open(&lab()).await.is_inside());
    say(&fixture, &json!({"groups": ["users"]}));
    fixture.pass(5 * MINUTES);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "the session is over", || fixture.sessions().is_empty()).await;
    let ended = fixture.records("logout", 1).await;
    assert_eq!(
        (&ended[0]["user"], &ended[0]["by"]),
        (&json!("alice"), &json!("not_admitted_group"))
    );
    // A new sign-in is refused as well.
    let landing = alice.open_until(&lab(), |url| url.starts_with(ISSUER)).await;
    assert!(!landing.is_inside());
}

#[tokio::test]
async fn an_address_is_asked_about_again_at_every_renewal_and_the_first_one_counts_where_none_is_said() {
    let fixture = fixture(&["example.org"], &[]).await;
    let good = json!({"email": "alice@example.org", "email_verified": true});
    let alice = alice(&fixture, &good);
    assert!(alice.open(&lab()).await.is_inside());
    let renewed = || fixture.issuer.take_requests().iter().any(|path| path == "/token");
    fixture.issuer.take_requests();
    // Neither an answer without address nor one without ID token says anything new, nor one with the same address alone.
    for (with_token, claims) in [
        (true, json!({})),
        (false, json!({})),
        (true, json!({"email": "alice@example.org"})),
    ] {
        say(&fixture, &claims);
        fixture
            .issuer
            .change(|issuer| issuer.renews_id_token = with_token);
        fixture.pass(5 * MINUTES);
        assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
        until(&fixture, "the question", renewed).await;
        fixture.pass(1);
        assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    }
    say(
        &fixture,
        &json!({"email": "alice@evil.example", "email_verified": true}),
    );
    fixture.issuer.change(|issuer| issuer.renews_id_token = true);
    fixture.pass(5 * MINUTES);
    alice.step(&lab()).await;
    until(&fixture, "the session is over", || fixture.sessions().is_empty()).await;
    let ended = fixture.records("logout", 1).await;
    assert_eq!(ended[0]["by"], "not_admitted_email_domain");
}

#[tokio::test]
async fn unknown_groups_at_a_renewal_keep_the_admission_for_a_while() {
    let fixture = fixture(&[], &["oidc:staff"]).await;
    let alice = alice(&fixture, &json!({"groups": ["staff"]}));
    assert!(alice.open(&lab()).await.is_inside());
    say(
        &fixture,
        &json!({"groups": null, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph.example"}}}),
    );
    fixture.issuer.take_requests();
    fixture.pass(5 * MINUTES);
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    until(&fixture, "the question", || {
        fixture.issuer.take_requests().iter().any(|path| path == "/token")
    })
    .await;
    assert_eq!(alice.step(&lab()).await.status, StatusCode::OK);
    // After the hour for which a word counts it is over, and the login says why.
    fixture.pass(61 * MINUTES);
    let landing = alice.open(&lab()).await;
    assert_eq!(
        landing.answer.status,
        StatusCode::OK,
        "the login's own token lists the group"
    );
    let mut elsewhere = fixture.browser("alice");
    elsewhere.claims.remove("groups");
    elsewhere.claims.insert("hasgroups".into(), json!("true"));
    let answer = elsewhere.open(&lab()).await.answer;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.body.contains("groups filter"), "{}", answer.body);
}

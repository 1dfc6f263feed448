//! The cookie that binds a one-time code to the browser that requested it.

use gateway::tokens::cookies;

use crate::support::browser::Browser;
use crate::support::fixture::{Fixture, LAB, lab};

fn at_callback(url: &str) -> bool {
    url.contains("/_workspace/callback")
}

#[tokio::test]
async fn a_link_made_in_another_browser_gives_that_browser_no_ticket() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    let link = mallory.step(&lab()).await.location().unwrap().to_owned();
    let alice = fixture.signed_in("alice", LAB).await;
    let landing = alice.open_until(&link, at_callback).await;
    let callback = landing.answer.location().unwrap().to_owned();
    // Alice's browser goes where it was sent, as browsers do, before anybody can see where that was.
    assert_eq!(alice.step(&callback).await.cookie(cookies::TICKET), None);
    assert_eq!(mallory.step(&callback).await.cookie(cookies::TICKET), None);
}

#[tokio::test]
async fn no_code_names_a_value_that_was_planted_in_the_pre_cookie() {
    let fixture = Fixture::new().await;
    let mallory = fixture.browser("mallory");
    mallory.step(&lab()).await;
    let planted = mallory.cookie(LAB, cookies::PRE).unwrap();
    let alice = fixture.browser("alice");
    alice.set_cookie(LAB, cookies::PRE, Some(&planted));
    let landing = alice.open_until(&lab(), at_callback).await;
    let callback = landing.answer.location().unwrap().to_owned();
    assert_eq!(mallory.step(&callback).await.cookie(cookies::TICKET), None);
    assert!(alice.open(&callback).await.is_inside());
}

#[tokio::test]
async fn a_pre_cookie_lasts_as_long_as_a_sign_in_of_its_browser_is_under_way() {
    let fixture = Fixture::new().await;
    let alice = fixture.browser("alice");
    let mut tabs = Vec::new();
    for tab in 0..3 {
        let landing = alice
            .open_until(&format!("{}tab/{tab}", lab()), at_callback)
            .await;
        tabs.push(landing.answer.location().unwrap().to_owned());
    }
    let under_way = |alice: &Browser<'_>| {
        alice
            .cookie(LAB, cookies::PRE)
            .map(|cookie| cookie.split('.').count())
    };
    for (tab, callback) in tabs.iter().enumerate() {
        assert_eq!(under_way(&alice), Some(3 - tab));
        assert!(alice.step(callback).await.cookie(cookies::TICKET).is_some());
    }
    assert_eq!(under_way(&alice), None);
    // However many begin and none ends, the cookie stays small.
    alice.set_cookie(LAB, cookies::TICKET, None);
    for _ in 0..20 {
        alice.step(&lab()).await;
    }
    assert_eq!(under_way(&alice), Some(8));
}

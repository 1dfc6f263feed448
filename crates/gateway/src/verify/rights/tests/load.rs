//! Many concurrent requests, and slow reviews.

use http::Method;
use testkit::api_server::Disruption;
use tokio::time::advance;

use super::*;

/// Makes this many reviews take `late`.
fn slow(site: &Site, questions: usize, late: f64) {
    for _ in 0..questions {
        let disruption = Disruption::Late(seconds(late));
        site.server
            .disrupt(Method::POST, "subjectaccessreviews", disruption);
    }
}

fn asks(site: &Site, session: &Arc<Session>, lab: &Arc<Target>) -> tokio::task::JoinHandle<Right> {
    let (rights, session, lab) = (site.rights.clone(), Arc::clone(session), Arc::clone(lab));
    tokio::spawn(async move { rights.ask(&session, &lab).await })
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_shared_review_count_against_their_own_limit() {
    let site = site();
    slow(&site, 1, 3.0);
    let (alice, lab) = (session(&[]), target("u"));
    let many: Vec<_> = (0..2 * MAX_CALLERS_OF_ONE_USER)
        .map(|_| asks(&site, &alice, &lab))
        .collect();
    site.settle().await;
    let refused = many.iter().filter(|ask| ask.is_finished()).count();
    assert_eq!(refused, MAX_CALLERS_OF_ONE_USER);
    for (at, ask) in many.into_iter().enumerate() {
        assert_eq!(
            ask.await.unwrap() == Right::Granted,
            at < MAX_CALLERS_OF_ONE_USER,
            "{at}"
        );
    }
    assert_eq!(site.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_keeps_the_permit_of_its_review() {
    let site = site();
    slow(&site, 1000, 3.0);
    let alice = session(&[]);
    for number in 0..500 {
        let ask = asks(&site, &alice, &target(&number.to_string()));
        tokio::task::yield_now().await;
        ask.abort();
    }
    site.settle().await;
    assert_eq!(
        site.rights.ask(&alice, &target("one more")).await,
        Right::Unanswered
    );
    advance(TIMEOUT).await;
    site.settle().await;
    assert_eq!(site.rights.ask(&alice, &target("one more")).await, Right::Granted);
}

#[tokio::test(start_paused = true)]
async fn many_reviews_of_a_user_do_not_delay_the_end_of_a_socket() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    site.rights.ask(&alice, &lab).await;
    advance(seconds(1.0)).await;
    slow(&site, MAX_REVIEWS_OF_ONE_USER, 4.0);
    site.grants(false);
    site.rights.doubt(None);
    let others: Vec<_> = (0..20)
        .map(|number| asks(&site, &alice, &target(&number.to_string())))
        .collect();
    site.settle().await;
    let same = asks(&site, &alice, &lab);
    site.settle().await;
    assert_eq!(site.rights.held(&alice, &lab, seconds(120.0)), Right::Granted);
    site.settle().await;
    assert_eq!(
        site.rights.held(&alice, &lab, seconds(120.0)),
        Right::Missing,
        "no time has passed"
    );
    drop((others, same));
}

#[tokio::test(start_paused = true)]
async fn a_review_is_not_shared_across_other_groups_or_role_changes() {
    let site = site();
    let lab = target("u");
    site.server
        .disrupt(Method::POST, "subjectaccessreviews", Disruption::NoAnswer);
    let (alice, joined) = (session(&["ml"]), session(&["ml", "new"]));
    let waits = asks(&site, &alice, &lab);
    site.settle().await;
    assert_eq!(site.rights.ask(&joined, &lab).await, Right::Granted);
    // The first review is still in flight.
    advance(seconds(0.1)).await;
    site.grants(false);
    site.rights.doubt(Some("team"));
    assert_eq!(site.rights.ask(&alice, &lab).await, Right::Missing);
    drop(waits);
}

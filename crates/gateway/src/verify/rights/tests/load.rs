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
async fn many_reviews_of_one_user_do_not_delay_other_users() {
    let site = site();
    slow(&site, 1000, 3.0);
    // Two sessions of one user.
    let hers = [
        session(&[]),
        session_of("alice", "00000000000000000000000000000002", &[]),
    ];
    let labs: Vec<_> = (0..500).map(|number| target(&number.to_string())).collect();
    let greedy: Vec<_> = labs
        .iter()
        .flat_map(|lab| hers.iter().map(|session| asks(&site, session, lab)))
        .collect();
    site.settle().await;
    let refused = greedy.iter().filter(|ask| ask.is_finished()).count();
    assert_eq!(
        refused,
        1000 - MAX_CALLERS_OF_ONE_USER,
        "the rest gets the answer to retry at once"
    );
    let bob = session_of("bob", "00000000000000000000000000000003", &[]);
    let started = Instant::now();
    assert_eq!(site.rights.ask(&bob, &labs[0]).await, Right::Granted);
    assert!(started.elapsed() < seconds(3.5), "{:?}", started.elapsed());
    for ask in greedy {
        ask.await.unwrap();
    }
    assert_eq!(site.rights.ask(&hers[0], &target("later")).await, Right::Granted);
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
async fn a_user_s_many_tabs_are_all_answered() {
    let site = site();
    slow(&site, 20, 0.5);
    let alice = session(&[]);
    let tabs: Vec<_> = (0..20)
        .map(|number| asks(&site, &alice, &target(&number.to_string())))
        .collect();
    for tab in tabs {
        assert_eq!(tab.await.unwrap(), Right::Granted);
    }
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
    let silence = || {
        site.server
            .disrupt(Method::POST, "subjectaccessreviews", Disruption::NoAnswer);
    };
    silence();
    let (alice, joined) = (session(&["ml"]), session(&["ml", "new"]));
    let waits = asks(&site, &alice, &lab);
    site.settle().await;
    assert_eq!(site.rights.ask(&joined, &lab).await, Right::Granted);
    silence();
    let waits_too = asks(&site, &alice, &lab);
    // The previous review is still in flight, about these groups. So is this one until roles change.
    site.settle().await;
    advance(seconds(0.1)).await;
    site.grants(false);
    site.rights.doubt(Some("team"));
    assert_eq!(site.rights.ask(&alice, &lab).await, Right::Missing);
    drop((waits, waits_too));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_answers_are_evicted_first() {
    let site = site();
    let alice = session(&[]);
    let answer = |granted| Answer {
        granted,
        asked: Instant::now(),
    };
    for number in 0..MAX_ENTRIES {
        if number == MAX_ENTRIES / 2 {
            advance(seconds(1.0)).await;
        }
        site.rights
            .store(&alice, &target(&number.to_string()), answer(true), false);
    }
    site.rights.store(&alice, &target("new"), answer(true), false);
    let known = |uid: &str| site.rights.known(&alice, &target(uid));
    assert_eq!(known("new"), Right::Granted);
    assert_eq!(known(&(MAX_ENTRIES - 1).to_string()), Right::Granted);
    assert_eq!(site.rights.read().count, MAX_ENTRIES - MAX_ENTRIES / 10 + 1);
}

#[tokio::test(start_paused = true)]
async fn answers_that_no_longer_count_are_forgotten_and_pin_no_session() {
    let site = site();
    for number in 0..2_000_u128 {
        let groups = ["group"; 64];
        let session = session_of("alice", &format!("{number:032x}"), &groups);
        let answer = Answer {
            granted: true,
            asked: Instant::now(),
        };
        site.rights.store(&session, &target("u"), answer, false);
        assert_eq!(Arc::strong_count(&session), 1, "whole sessions are cached");
    }
    let alice = session(&[]);
    advance(seconds(100.0)).await;
    assert_eq!(site.rights.ask(&alice, &target("v")).await, Right::Granted);
    assert_eq!(site.rights.read().count, 2_001, "an open socket could need them");
    advance(seconds(100.0)).await;
    site.settle().await;
    assert_eq!(site.rights.read().count, 1);
    advance(seconds(180.0)).await;
    site.settle().await;
    assert!(site.rights.read().answers.is_empty());
}

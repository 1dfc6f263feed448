//! Validity of an answer about a right, and its lifetime.

mod load;

use std::sync::atomic::AtomicUsize;

use http::Method;
use kit::scope::Scope;
use testkit::api_server::{ApiServer, Disruption, Fault};
use tokio::time::advance;

use super::*;
use crate::oidc::claims::Identity;
use crate::session::Credential;

struct Site {
    server: ApiServer,
    rights: Rights,
    granted: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

fn site() -> Site {
    let (server, client) = ApiServer::start();
    let (granted, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (grants, counts) = (Arc::clone(&granted), Arc::clone(&asked));
    server.review(move |_| {
        counts.fetch_add(1, Ordering::Relaxed);
        grants.load(Ordering::Relaxed)
    });
    let rights = Rights::new(client, Scope::Cluster, Metrics::default());
    Site {
        server,
        rights,
        granted,
        asked,
    }
}

impl Site {
    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::Relaxed)
    }

    fn grants(&self, on: bool) {
        self.granted.store(on, Ordering::Relaxed);
    }

    /// Lets background tasks run.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    fn assert_stale(&self, times: usize) {
        self.server
            .fail(Fault::internal(Method::POST, "subjectaccessreviews", times));
    }
}

fn session(groups: &[&str]) -> Arc<Session> {
    session_of("alice", "00000000000000000000000000000001", groups)
}

fn session_of(user: &str, id: &str, groups: &[&str]) -> Arc<Session> {
    Arc::new(Session {
        id: RandomId::try_from(id).unwrap(),
        identity: Identity {
            user_name: user.into(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        },
        end: i64::MAX,
        credential: Credential::Login,
        id_token: None,
    })
}

fn target(uid: &str) -> Arc<Target> {
    Arc::new(Target {
        uid: uid.into(),
        ..Target::lab()
    })
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_asked_for_once_and_counts_for_its_time() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    assert_eq!(site.rights.known(&alice, &lab), Right::Unknown);
    assert_eq!(site.rights.ask(&alice, &lab).await, Right::Granted);
    assert_eq!(site.rights.known(&alice, &lab), Right::Granted);
    assert_eq!(site.asked(), 1);
    advance(seconds(30.0)).await;
    assert_eq!(site.rights.known(&alice, &lab), Right::Unknown);
    site.grants(false);
    assert_eq!(site.rights.ask(&alice, &lab).await, Right::Missing);
    advance(seconds(4.9)).await;
    assert_eq!(site.rights.known(&alice, &lab), Right::Missing);
    advance(seconds(0.1)).await;
    assert_eq!(site.rights.known(&alice, &lab), Right::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_silent_api_server_times_out() {
    let site = site();
    site.server
        .disrupt(Method::POST, "subjectaccessreviews", Disruption::NoAnswer);
    assert_eq!(
        site.rights.ask(&session(&[]), &target("u")).await,
        Right::Unanswered
    );
}

#[tokio::test(start_paused = true)]
async fn a_right_of_an_open_socket_is_renewed_before_it_ends() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    let held = || site.rights.held(&alice, &lab, seconds(30.0));
    site.rights.ask(&alice, &lab).await;
    site.asked();
    for (wait, reviews) in [(19.0, 0), (6.0, 1), (19.0, 0)] {
        advance(seconds(wait)).await;
        assert_eq!(held(), Right::Granted);
        site.settle().await;
        assert_eq!(site.asked(), reviews);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_change_of_roles_answers_are_asked_for_at_once_and_after_two_and_ten_seconds() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    let known = || site.rights.known(&alice, &lab);
    site.rights.ask(&alice, &lab).await;
    advance(seconds(1.0)).await;
    site.rights.doubt(Some("other"));
    assert_eq!(known(), Right::Granted);
    site.rights.doubt(Some("team"));
    let mut past = 0.0;
    for recheck in [0.0, 2.0, 10.0] {
        if recheck > 0.0 {
            advance(seconds(recheck - past - 0.1)).await;
            assert_eq!(known(), Right::Granted, "{recheck}");
            advance(seconds(0.1)).await;
        }
        assert_eq!(known(), Right::Unknown, "{recheck}");
        advance(seconds(0.1)).await;
        assert_eq!(site.rights.ask(&alice, &lab).await, Right::Granted);
        past = recheck + 0.1;
    }
    advance(seconds(19.0)).await;
    assert_eq!(known(), Right::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_socket_outlives_silence_for_its_grace_and_ends_with_a_refusal() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    let held = || site.rights.held(&alice, &lab, seconds(120.0));
    site.rights.ask(&alice, &lab).await;
    site.assert_stale(5);
    advance(seconds(31.0)).await;
    assert_eq!(held(), Right::Granted);
    advance(seconds(89.0)).await;
    site.settle().await;
    assert_eq!(held(), Right::Unanswered);
    // A user's request gets an answer again: no.
    site.grants(false);
    for _ in 0..30 {
        if held() == Right::Missing {
            return;
        }
        site.settle().await;
        advance(seconds(1.1)).await;
    }
    panic!("the refusal never came");
}

#[tokio::test(start_paused = true)]
async fn a_socket_outlives_a_change_of_groups_until_the_answer_about_the_new_ones() {
    let site = site();
    let lab = target("u");
    let held = |groups: &[&str]| site.rights.held(&session(groups), &lab, seconds(120.0));
    site.rights.ask(&session(&["ml"]), &lab).await;
    site.asked();
    assert_eq!(held(&["ml", "new"]), Right::Granted);
    site.settle().await;
    assert_eq!(site.asked(), 1, "it is asked at once");
    assert_eq!(site.rights.known(&session(&["ml", "new"]), &lab), Right::Granted);
    site.grants(false);
    assert_eq!(held(&[]), Right::Granted);
    site.settle().await;
    assert_eq!(held(&[]), Right::Missing);
}

#[tokio::test(start_paused = true)]
async fn a_socket_whose_right_is_unknown_waits_for_the_answer_and_not_for_long() {
    let site = site();
    let (alice, lab) = (session(&[]), target("u"));
    let held = || site.rights.held(&alice, &lab, seconds(120.0));
    site.server
        .disrupt(Method::POST, "subjectaccessreviews", Disruption::NoAnswer);
    assert_eq!(held(), Right::Granted);
    assert_eq!(
        site.rights.known(&alice, &lab),
        Right::Unknown,
        "it admits no user"
    );
    advance(seconds(4.9)).await;
    assert_eq!(held(), Right::Granted);
    advance(seconds(0.1)).await;
    assert_eq!(held(), Right::Unanswered);
    let other = target("v");
    site.grants(false);
    assert_eq!(site.rights.held(&alice, &other, seconds(120.0)), Right::Granted);
    site.settle().await;
    assert_eq!(site.rights.held(&alice, &other, seconds(120.0)), Right::Missing);
}

#[tokio::test(start_paused = true)]
async fn many_sockets_in_doubt_end_at_once() {
    let site = site();
    let alice = session(&[]);
    let labs: Vec<_> = (0..400).map(|number| target(&number.to_string())).collect();
    for lab in &labs {
        site.rights.ask(&alice, lab).await;
    }
    advance(seconds(25.0)).await;
    for lab in &labs {
        site.rights.held(&alice, lab, seconds(120.0));
    }
    site.grants(false);
    site.rights.doubt(None);
    for lab in &labs {
        site.rights.held(&alice, lab, seconds(120.0));
    }
    for _ in 0..50 {
        site.settle().await;
    }
    let cut = |lab| site.rights.held(&alice, lab, seconds(120.0)) == Right::Missing;
    assert!(labs.iter().all(cut), "no time has passed");
}

//! Answers in the cache, their lifetimes, and who shares a review.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};

use super::*;

fn lasting() -> Settings {
    Settings {
        granted: Duration::from_mins(1),
        refused: Duration::from_mins(1),
        must_be_certain: false,
        of_one_user: 4,
        timeout: Duration::from_secs(10),
    }
}

fn get_of(name: usize) -> Right {
    Right {
        verb: "get",
        group: "example.org",
        version: "v1",
        resource: "things".to_owned(),
        namespace: "team".to_owned(),
        name: name.to_string(),
    }
}

/// Answers each review with `allowed` after 10 ms; counts all, and the most at the same time.
fn counting(all: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Client {
    answering(json!({"allowed": true}), all, most)
}

/// The same with this status.
fn answering(status: Value, all: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Client {
    let (all, most, open) = (all.clone(), most.clone(), Arc::new(AtomicUsize::new(0)));
    let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        all.fetch_add(1, SeqCst);
        most.fetch_max(open.fetch_add(1, SeqCst) + 1, SeqCst);
        let (open, answer) = (open.clone(), json!({"spec": {}, "status": status}).to_string());
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            open.fetch_sub(1, SeqCst);
            let body = kube::client::Body::from(answer.into_bytes());
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        }
    });
    Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn callers_who_ask_the_same_share_one_review_and_few_of_a_user_and_of_all_are_concurrent() {
    for (users, concurrent) in [(1, 4), (20, CONCURRENCY)] {
        let (all, most) = (Arc::default(), Arc::default());
        let reviews = AccessReviews::new(counting(&all, &most), Scope::Cluster, lasting());
        let callers = (0..400).map(|caller| {
            let reviews = reviews.clone();
            let user = UserInfo {
                username: Some(format!("user-{}", caller % users)),
                ..UserInfo::default()
            };
            tokio::spawn(async move { reviews.is_granted(&user, &get_of(caller % 100)).await })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert!(caller.await.unwrap().unwrap());
        }
        assert_eq!(
            (all.load(SeqCst), most.load(SeqCst)),
            (100, concurrent),
            "{users}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_review_of_a_caller_who_leaves_goes_on_is_cached_and_serves_no_later_caller() {
    let (all, most) = (Arc::default(), Arc::default());
    let reviews = AccessReviews::new(counting(&all, &most), Scope::Cluster, lasting());
    let question = question(&UserInfo::default(), &get_of(1));
    let key = digest(&question).unwrap();
    let permit = Arc::new(());
    let ask = || reviews.ask(key, question.clone(), lasting().refused, permit.clone());
    let early = timeout(Duration::from_millis(1), ask()).await;
    assert!(early.is_err());
    assert_eq!(
        Arc::strong_count(&permit),
        2,
        "a permit is held as long as its review"
    );
    let joined = ask().await.unwrap();
    assert_eq!(all.load(SeqCst), 1);
    assert_eq!(
        reviews.newest(&key).map(|answer| answer.asked),
        Some(joined.asked)
    );
    reviews.0.under_way.run_pending_tasks().await;
    assert_eq!(reviews.0.under_way.entry_count(), 0);
    assert!(ask().await.unwrap().asked > joined.asked);
    assert_eq!((all.load(SeqCst), Arc::strong_count(&permit)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_older_than_a_caller_accepts_is_reviewed_again_and_a_grant_is_not() {
    for (allowed, expected) in [(false, [1, 1, 2, 2]), (true, [1, 1, 1, 1])] {
        let (all, most) = (Arc::default(), Arc::default());
        let answer = json!({"allowed": allowed});
        let reviews = AccessReviews::new(answering(answer, &all, &most), Scope::Cluster, lasting());
        let mut asked = Vec::new();
        for (pause, refused) in [(0, 60), (40, 60), (0, 30), (10, 30)] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let answer = reviews
                .is_granted_within(&UserInfo::default(), &get_of(1), Duration::from_secs(refused))
                .await;
            assert_eq!(answer.unwrap(), allowed);
            asked.push(all.load(SeqCst));
        }
        assert_eq!(asked, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_change_of_roles_is_asked_again_at_once_and_until_all_api_servers_know() {
    for (changed, again) in [(None, true), (Some("team"), true), (Some("other"), false)] {
        let (all, most) = (Arc::default(), Arc::default());
        let answer = json!({"allowed": false});
        let reviews = AccessReviews::new(answering(answer, &all, &most), Scope::Cluster, lasting());
        let ask = async |pause: u64| {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            let (user, right) = (UserInfo::default(), get_of(1));
            let asked = reviews.is_granted_within(&user, &right, Duration::from_mins(30));
            assert!(!asked.await.unwrap());
            all.load(SeqCst)
        };
        assert_eq!((ask(0).await, ask(1).await), (1, 1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        reviews.add_role_change(changed);
        let mut asked = Vec::new();
        for pause in [0, 1, 2, 1, 7, 60, 600] {
            asked.push(ask(pause).await);
        }
        let expected = if again { [2, 2, 3, 3, 4, 4, 4] } else { [1; 7] };
        assert_eq!(asked, expected, "{changed:?}");
    }
}

#[tokio::test]
async fn each_answer_is_kept_for_its_own_time() {
    let settings = Settings {
        granted: Duration::from_secs(10),
        refused: Duration::from_secs(2),
        ..lasting()
    };
    let error = json!({"allowed": false, "evaluationError": "a webhook did not answer"});
    for (status, lifetime) in [
        (json!({"allowed": true}), 10),
        (json!({"allowed": false}), 300),
        (error, 2),
    ] {
        let (all, most) = (Arc::default(), Arc::default());
        let reviews = AccessReviews::new(answering(status.clone(), &all, &most), Scope::Cluster, settings);
        let (user, right) = (UserInfo::default(), get_of(1));
        let asked = reviews.is_granted_within(&user, &right, Duration::from_mins(5));
        asked.await.unwrap();
        let key = digest(&question(&user, &right)).unwrap();
        let answer = reviews.newest(&key).unwrap();
        assert_eq!(answer.lifetime, Duration::from_secs(lifetime), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_review_without_answer_fails_is_observed_and_is_repeated() {
    let (asked, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, failures) = (asked.clone(), failed.clone());
    let silent = tower::service_fn(move |_: http::Request<kube::client::Body>| {
        count.fetch_add(1, SeqCst);
        std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
    });
    let client = Client::new(silent, "default");
    let reviews = AccessReviews::observed(client, Scope::Cluster, lasting(), move |answer| {
        failures.fetch_add(usize::from(answer.is_err()), SeqCst);
    });
    for attempt in 1..=2 {
        let start = Instant::now();
        assert!(
            reviews
                .is_granted(&UserInfo::default(), &get_of(1))
                .await
                .is_err()
        );
        assert_eq!(
            (start.elapsed(), asked.load(SeqCst), failed.load(SeqCst)),
            (lasting().timeout, attempt, attempt)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_authorizer_is_an_error_where_answers_must_be_certain_and_a_review_after_a_change_is_not_shared()
 {
    let (all, most) = (Arc::default(), Arc::default());
    let status = json!({"allowed": false, "evaluationError": "a webhook did not answer"});
    let settings = Settings {
        must_be_certain: true,
        ..lasting()
    };
    let reviews = AccessReviews::new(answering(status, &all, &most), Scope::Cluster, settings);
    let ask = || {
        let reviews = reviews.clone();
        tokio::spawn(async move { reviews.is_granted(&UserInfo::default(), &get_of(1)).await })
    };
    let (first, same) = (ask(), ask());
    tokio::time::sleep(Duration::from_millis(5)).await;
    reviews.add_role_change(Some("team"));
    let later = ask();
    for asked in [first, same, later] {
        let error = asked.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("a webhook did not answer"), "{error}");
    }
    assert_eq!(all.load(SeqCst), 2);
}

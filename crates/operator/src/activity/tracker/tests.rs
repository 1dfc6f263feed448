//! Answers and times, recorded as a pod would give them.

use super::*;
use crate::activity::{read::Reading, subject::tests::subject};

const KEY: &str = "team-demo/demo";

fn at(second: i64) -> Timestamp {
    subject().since + jiff::SignedDuration::from_secs(second)
}

/// An answer of a pod whose clock is `skew` seconds behind. `time`: its last activity, by our clock.
#[expect(clippy::unnecessary_wraps, reason = "an answer beside those that fail")]
fn with_skew(skew: i64, time: Timestamp) -> Answered {
    let signals = vec![Signal {
        name: "server",
        last_activity: Some(time),
    }];
    Ok(Reading {
        signals,
        skew,
        out_of_memory: None,
    })
}

fn used(time: Timestamp) -> Answered {
    with_skew(0, time)
}

fn nothing() -> Answered {
    Err(Unanswered {
        name: "server",
        why: "no answer".to_owned(),
    })
}

/// Records one answer at a time of day, whenever the request is due.
fn ask(tracker: &ActivityTracker, answer: Answered, now: Timestamp) -> (ActivityReport, bool) {
    tracker
        .record_answer(&job(tracker), answer, Duration::ZERO, now)
        .unwrap()
}

/// When the first request is due.
fn next(tracker: &ActivityTracker) -> Option<Instant> {
    tracker.state.lock().due.first().map(|(due, _)| *due)
}

/// The next job, whenever it is due.
fn job(tracker: &ActivityTracker) -> Job {
    tracker.take(next(tracker).unwrap(), |_| true).unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_takes_a_whole_timeout_and_two_readings() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    assert!(!ask(&tracker, used(at(0)), at(299)).1, "the timeout is not over");
    assert!(
        !ask(&tracker, used(at(0)), at(300)).1,
        "one reading may be a mistake"
    );
    assert!(ask(&tracker, used(at(0)), at(301)).1);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_shows_use_resets_the_count() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    assert!(!ask(&tracker, used(at(0)), at(300)).1);
    assert!(!ask(&tracker, used(at(290)), at(310)).1);
    assert!(!ask(&tracker, used(at(290)), at(600)).1);
    assert!(ask(&tracker, used(at(290)), at(610)).1);
}

#[tokio::test(start_paused = true)]
async fn a_new_run_has_a_whole_timeout_by_the_clock_of_its_node() {
    let tracker = ActivityTracker::default();
    // It became ready at this moment, by a clock that is 50 min behind ours.
    tracker.follow(KEY, Some(subject()), at(3000));
    for second in [3010, 3100, 3299] {
        let (usage, stop) = ask(&tracker, with_skew(3000, at(-90_000)), at(second));
        assert_eq!((usage.last_activity, stop), (at(3000), false));
    }
    assert!(!ask(&tracker, with_skew(3000, at(0)), at(3300)).1);
    assert!(ask(&tracker, with_skew(3000, at(0)), at(3330)).1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_not_idleness_and_resets_the_count() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    ask(&tracker, used(at(0)), at(30));
    for number in 0..100 {
        let (usage, stop) = ask(&tracker, nothing(), at(1000 + number));
        assert!(!stop);
        assert_eq!(usage.failing.is_some(), number >= 2, "{number}");
    }
    assert!(!ask(&tracker, used(at(0)), at(2000)).1);
    let (usage, stop) = ask(&tracker, used(at(0)), at(2030));
    assert!(stop && usage.failing.is_none());
}

#[tokio::test(start_paused = true)]
async fn activity_that_a_pod_forgets_still_happened() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    ask(&tracker, used(at(200)), at(200));
    let (usage, stop) = ask(&tracker, used(at(100)), at(310));
    assert_eq!((usage.last_activity, stop), (at(200), false));
}

#[tokio::test(start_paused = true)]
async fn another_timeout_counts_at_once_and_another_run_anew() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    ask(&tracker, used(at(100)), at(100));
    let shorter = Subject {
        timeout: Duration::from_mins(1),
        ..subject()
    };
    assert_eq!(
        tracker
            .follow(KEY, Some(shorter.clone()), at(170))
            .unwrap()
            .last_activity,
        at(100)
    );
    assert!(
        !ask(&tracker, used(at(100)), at(170)).1,
        "the first reading under this rule"
    );
    assert!(ask(&tracker, used(at(100)), at(176)).1);
    let run = Subject {
        run_id: "run2".to_owned(),
        since: at(200),
        ..shorter
    };
    assert_eq!(
        tracker.follow(KEY, Some(run), at(205)).unwrap().last_activity,
        at(200)
    );
    assert!(!ask(&tracker, used(at(100)), at(240)).1);
}

#[tokio::test(start_paused = true)]
async fn the_next_question_comes_when_the_timeout_ends_if_that_is_sooner() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    let wait = |tracker: &ActivityTracker| next(tracker).unwrap() - Instant::now();
    assert!(wait(&tracker) <= Duration::from_secs(30));
    ask(&tracker, used(at(0)), at(10));
    assert!((27..=33).contains(&wait(&tracker).as_secs()));
    ask(&tracker, used(at(0)), at(290));
    assert_eq!(wait(&tracker), Duration::from_secs(10));
    ask(&tracker, nothing(), at(310));
    assert!((27..=33).contains(&wait(&tracker).as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_pod_is_asked_less_often_until_it_answers_fast() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    let wait_after = |seconds: u64| {
        let took = Duration::from_secs(seconds);
        tracker
            .record_answer(&job(&tracker), nothing(), took, at(1))
            .unwrap();
        (next(&tracker).unwrap() - Instant::now()).as_secs()
    };
    let bounds = [54..=66, 108..=132, 108..=132];
    for bounds in bounds {
        let wait = wait_after(3);
        assert!(bounds.contains(&wait), "{wait}, not {bounds:?}");
    }
    assert!((27..=33).contains(&wait_after(2)));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_at_its_limit_delays_no_other() {
    let tracker = ActivityTracker::default();
    for namespace in ["full", "free"] {
        let mut subject = subject();
        subject.identity.namespace = namespace.to_owned();
        tracker.follow(namespace, Some(subject), at(0));
    }
    let now = Instant::now() + Duration::from_mins(1);
    assert_eq!(tracker.next(now), None, "both are due");
    assert_eq!(tracker.take(now, |it| it != "full").unwrap().key, "free");
    assert!(tracker.take(now, |it| it != "full").is_none());
    assert_eq!(tracker.take(now, |_| true).unwrap().key, "full");
}

#[tokio::test(start_paused = true)]
async fn activity_is_written_once_a_minute_and_a_refusal_is_reported_once() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    let is_recent = || tracker.follow(KEY, Some(subject()), at(0)).unwrap().is_recent;
    assert!(!is_recent());
    tracker.status_written(KEY);
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(is_recent());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!is_recent());
    let job = job(&tracker);
    assert!(tracker.is_first_refusal(&job) && !tracker.is_first_refusal(&job));
}

/// What a door tells.
#[expect(clippy::unnecessary_wraps, reason = "an answer beside those that fail")]
fn told(user: Option<Timestamp>, presence: Timestamp, kernels: Option<Timestamp>) -> Answered {
    let signals = [("user", user), ("presence", Some(presence)), ("kernels", kernels)];
    let signal = |(name, last_activity)| Signal { name, last_activity };
    Ok(Reading {
        signals: signals.map(signal).into(),
        ..Reading::default()
    })
}

/// `subject`, whose open page counts for ten minutes.
fn with_open_tab() -> Subject {
    Subject {
        open_tab_minutes: 10,
        ..subject()
    }
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_page_keeps_a_workspace_up_for_its_time_and_one_timeout() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(with_open_tab()), at(0));
    let open = |second| told(Some(at(60)), at(second), None);
    let (usage, stop) = ask(&tracker, open(600), at(600));
    assert!(!stop);
    assert_eq!(
        (usage.last_activity, usage.open_tab_until),
        (at(600), Some(at(660)))
    );
    for second in [700, 900, 959] {
        let (usage, stop) = ask(&tracker, open(second), at(second));
        assert_eq!((usage.last_activity, stop), (at(660), false));
    }
    assert!(!ask(&tracker, open(960), at(960)).1);
    assert!(ask(&tracker, open(966), at(966)).1);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_computes_without_a_page_and_somebody_who_acts_are_use() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(with_open_tab()), at(0));
    for second in [2000, 2300] {
        let (usage, stop) = ask(&tracker, told(None, at(10), Some(at(second))), at(second));
        assert_eq!(
            (usage.last_activity, stop, usage.open_tab_until),
            (at(second), false, None)
        );
    }
    let (usage, stop) = ask(&tracker, told(Some(at(3000)), at(3000), None), at(3000));
    assert_eq!((usage.last_activity, stop), (at(3000), false));
}

#[tokio::test(start_paused = true)]
async fn a_door_that_was_heard_once_is_known_also_after_an_error_and_under_another_rule() {
    let tracker = ActivityTracker::default();
    let is_known = |subject| {
        tracker.follow(KEY, Some(subject), at(0));
        tracker.state.lock().entries[KEY].subject.has_door
    };
    assert!(!is_known(subject()));
    ask(&tracker, nothing(), at(1));
    assert!(!is_known(subject()));
    let nonsense = Unanswered {
        name: "user",
        why: "the answer is 404, not 200".to_owned(),
    };
    assert!(!ask(&tracker, Err(nonsense), at(1000)).1);
    assert!(is_known(subject()));
    assert!(is_known(with_open_tab()));
    let run = Subject {
        run_id: "run2".to_owned(),
        ..subject()
    };
    assert!(!is_known(run));
}

//! Answers and times, recorded as a pod would give them.

use super::*;
use crate::activity::{
    DiskReading, DiskUse, Reading, Signal, Unanswered,
    subject::tests::{subject, with_disk_alone, with_rule},
};

const KEY: &str = "team-demo/demo";

fn at(second: i64) -> Timestamp {
    subject().idle.unwrap().since + jiff::SignedDuration::from_secs(second)
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
        ..Reading::default()
    })
}

fn used(time: Timestamp) -> Answered {
    with_skew(0, time)
}

fn nothing() -> Answered {
    Err(Unanswered::new("server", "no answer"))
}

/// Records one answer at a time of day, whenever the request is due.
fn ask(tracker: &ActivityTracker, answer: Answered, now: Timestamp) -> (ActivityReport, bool) {
    let (report, stop) = ask_and_report(tracker, answer, now);
    (report.activity.unwrap(), stop)
}

fn ask_and_report(tracker: &ActivityTracker, answer: Answered, now: Timestamp) -> (Report, bool) {
    tracker
        .record_answer(&job(tracker), answer, Duration::ZERO, now)
        .unwrap()
}

/// The last activity that is known when a workspace is followed.
fn follow(tracker: &ActivityTracker, subject: Subject, now: Timestamp) -> Timestamp {
    let report = tracker.follow(KEY, Some(subject), now).unwrap();
    report.activity.unwrap().last_activity
}

/// When the first request is due.
fn next(tracker: &ActivityTracker) -> Option<Instant> {
    tracker.state.lock().due.first().map(|(due, _)| *due)
}

/// The next job, whenever it is due.
fn job(tracker: &ActivityTracker) -> Job {
    tracker.take(next(tracker).unwrap(), |_, _| true).unwrap()
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
    let shorter = with_rule(|rule| rule.timeout = Duration::from_mins(1));
    assert_eq!(follow(&tracker, shorter, at(170)), at(100));
    assert!(
        !ask(&tracker, used(at(100)), at(170)).1,
        "the first reading under this rule"
    );
    assert!(ask(&tracker, used(at(100)), at(176)).1);
    let run = Subject {
        run_id: "run2".to_owned(),
        ..with_rule(|rule| {
            rule.timeout = Duration::from_mins(1);
            rule.since = at(200);
        })
    };
    assert_eq!(follow(&tracker, run, at(205)), at(200));
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
async fn an_idle_reading_is_confirmed_after_ten_seconds_and_silence_is_asked_no_sooner_for_it() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    let wait = |tracker: &ActivityTracker| (next(tracker).unwrap() - Instant::now()).as_secs();
    assert!(!ask(&tracker, used(at(0)), at(300)).1);
    assert_eq!(wait(&tracker), 10);
    assert!(!ask(&tracker, nothing(), at(310)).1);
    assert!((27..=33).contains(&wait(&tracker)));
    assert!(!ask(&tracker, used(at(0)), at(340)).1);
    assert_eq!(wait(&tracker), 10);
    assert!(ask(&tracker, used(at(0)), at(350)).1);
    assert!(
        (27..=33).contains(&wait(&tracker)),
        "a stop that fails is tried as often as before"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_silent_or_unknown_to_a_new_leader_is_told_apart() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    let record = |answer: Answered, seconds: u64| {
        let took = Duration::from_secs(seconds);
        tracker
            .record_answer(&job(&tracker), answer, took, at(1))
            .unwrap();
    };
    record(used(at(0)), 4);
    assert!(!job(&tracker).is_silent, "a slow answer is one");
    tracker.follow(KEY, None, at(1));
    tracker.follow(KEY, Some(subject()), at(1));
    record(nothing(), 3);
    let now = Instant::now() + Duration::from_mins(10);
    assert!(tracker.take(now, |_, is_silent| !is_silent).is_none());
    assert!(job(&tracker).is_silent);
    tracker.follow(KEY, None, at(1));
    tracker.follow(KEY, Some(subject()), at(1));
    assert!(!job(&tracker).is_silent);
    for unknown in [with_rule(|rule| rule.had_error = true), with_disk_alone()] {
        tracker.follow(KEY, None, at(1));
        tracker.follow(KEY, Some(unknown), at(1));
        assert!(tracker.take(now, |_, is_silent| !is_silent).is_none());
        record(used(at(0)), 1);
        assert!(tracker.take(now, |_, is_silent| !is_silent).is_some());
    }
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
    assert_eq!(tracker.take(now, |it, _| it != "full").unwrap().key, "free");
    assert!(tracker.take(now, |it, _| it != "full").is_none());
    assert_eq!(tracker.take(now, |_, _| true).unwrap().key, "full");
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
    with_rule(|rule| rule.open_tab_minutes = 10)
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
    let nonsense = Unanswered::new("user", "the answer is 404, not 200");
    assert!(!ask(&tracker, Err(nonsense), at(1000)).1);
    assert!(is_known(subject()));
    assert!(is_known(with_open_tab()));
    let run = Subject {
        run_id: "run2".to_owned(),
        ..subject()
    };
    assert!(!is_known(run));
}

/// What a door tells of a disk of 10 GiB, of which this is used.
#[expect(clippy::unnecessary_wraps, reason = "an answer beside those that fail")]
fn disk(used_gib: u64) -> Answered {
    let signals = [("user", None), ("presence", Some(at(0)))];
    let signal = |(name, last_activity)| Signal { name, last_activity };
    Ok(Reading {
        signals: signals.map(signal).into(),
        disk: Some(DiskReading {
            size_bytes: 10 << 30,
            used_bytes: used_gib << 30,
            available_bytes: (10 - used_gib) << 30,
            used_inodes: 0,
            available_inodes: 0,
            full: false,
        }),
        ..Reading::default()
    })
}

fn bytes(report: &Report) -> Option<u8> {
    report.disk.unwrap().bytes
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_asked_for_each_five_minutes_and_stops_nothing() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(with_disk_alone()), at(0));
    for turn in 1..=100 {
        let (report, stop) = ask_and_report(&tracker, disk(9), at(turn * 300));
        assert_eq!((bytes(&report), stop), (Some(90), false));
        assert_eq!(report.activity, None);
        let wait = next(&tracker).unwrap() - Instant::now();
        assert!((270..=330).contains(&wait.as_secs()), "{wait:?}");
    }
    // An application that fails because its disk is full hides nothing.
    let full = Unanswered {
        disk: disk(10).unwrap().disk,
        ..Unanswered::new("kernels", "the answer is 500, not 200")
    };
    let (report, stop) = ask_and_report(&tracker, Err(full), at(39_000));
    assert_eq!((bytes(&report), stop), (Some(100), false));
    ask_and_report(&tracker, disk(9), at(39_300));
    // A pod that does not answer loses nothing that is known.
    let (report, stop) = ask_and_report(&tracker, nothing(), at(40_000));
    assert_eq!((bytes(&report), stop), (Some(90), false));
    let larger = Subject {
        capacity: Some(30 << 30),
        ..with_disk_alone()
    };
    assert_eq!(
        bytes(&tracker.follow(KEY, Some(larger), at(40_000)).unwrap()),
        Some(90)
    );
    let (report, _) = ask_and_report(&tracker, disk(9), at(40_300));
    assert_eq!(
        report.disk,
        Some(DiskUse::default()),
        "a third of the claim is not its disk"
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_door_is_asked_once_in_a_run() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(with_disk_alone()), at(0));
    ask_and_report(&tracker, nothing(), at(10));
    let (report, _) = ask_and_report(&tracker, Ok(Reading::default()), at(300));
    assert_eq!((report.disk, next(&tracker)), (None, None));
    tracker.follow(KEY, Some(with_disk_alone()), at(400));
    assert_eq!(next(&tracker), None, "the same run");
    let run = Subject {
        run_id: "run2".to_owned(),
        ..with_disk_alone()
    };
    tracker.follow(KEY, Some(run), at(500));
    assert!(next(&tracker).is_some());
    // An idle rule asks it all the same.
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(subject()), at(0));
    ask(&tracker, Ok(Reading::default()), at(10));
    assert!(next(&tracker).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_disk_stays_known_when_an_idle_rule_comes_or_goes() {
    let tracker = ActivityTracker::default();
    tracker.follow(KEY, Some(with_disk_alone()), at(0));
    ask_and_report(&tracker, disk(5), at(300));
    let report = tracker.follow(KEY, Some(subject()), at(3000)).unwrap();
    assert_eq!(bytes(&report), Some(50));
    assert_eq!(report.activity.unwrap().last_activity, at(0), "by the rule alone");
    let (report, _) = ask_and_report(&tracker, disk(6), at(3010));
    assert_eq!(bytes(&report), Some(60));
    let report = tracker.follow(KEY, Some(with_disk_alone()), at(3020)).unwrap();
    assert_eq!((bytes(&report), report.activity), (Some(60), None));
}

//! Lives of a run, step by step: what its status announces, and what then stops it.

use api::workspace::{Endpoint, Kept, Resolved};
use proptest::prelude::*;

use super::*;
use crate::activity::Unanswered;

type Minute = Option<i64>;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn time(minute: Minute) -> Option<Time> {
    minute.map(|minute| Time(at(minute)))
}

/// What a reconcile knows beside the use: limits (idle, age, failed), and the times from which they count.
fn any_status() -> impl Strategy<Value = WorkspaceStatus> {
    let limits = prop::array::uniform3(prop::option::of(1..40));
    let times = prop::array::uniform4(prop::option::of(0_i64..90));
    (limits, times, any::<bool>()).prop_map(|([idle, age, failed], times, is_ready)| {
        let [running_since, failing_since, stop_requested_at, kept] = times.map(time);
        WorkspaceStatus {
            run_id: Some("run1".to_owned()),
            resolved: Some(Resolved {
                idle_timeout_in_minutes: idle,
                max_age_minutes: age,
                failed_timeout_minutes: failed,
                open_tab_minutes: Some(240),
                ..Resolved::default()
            }),
            endpoint: is_ready.then(Endpoint::default),
            running_since,
            failing_since,
            stop_requested_at,
            kept: kept.map(|until| Kept {
                until,
                annotation: String::new(),
            }),
            ..WorkspaceStatus::default()
        }
    })
}

/// What a pod has told: its last use by then, and whether its last answers were none.
fn report(status: &WorkspaceStatus, last_use: Timestamp, is_silent: bool, is_recent: bool) -> Report {
    let activity = timeout_of(status).map(|timeout| ActivityReport {
        run_id: "run1".to_owned(),
        timeout,
        open_tab_minutes: 240,
        last_activity: last_use,
        open_tab_until: None,
        signals: Vec::new(),
        is_read: true,
        failing: is_silent.then(|| Unanswered::new("server", "silent")),
    });
    Report {
        activity,
        out_of_memory: None,
        disk: None,
        is_recent,
    }
}

/// Whether the time of a rule that waits for no answer has come, by its own values.
fn is_over(status: &WorkspaceStatus, rule: StopRule, now: Timestamp) -> bool {
    let since = match rule {
        StopRule::Idle => None,
        StopRule::MaxAge => status.running_since.as_ref(),
        StopRule::Failed => status
            .failing_since
            .as_ref()
            .filter(|_| status.endpoint.is_none()),
        StopRule::Requested => status.stop_requested_at.as_ref(),
    };
    let values = status.resolved.as_ref().unwrap();
    let minutes = match rule {
        StopRule::Requested => Some(0),
        rule => stops::minutes(rule, values),
    };
    let end = since.zip(minutes);
    end.is_some_and(|(since, minutes)| since.0 + SignedDuration::from_mins(minutes.into()) <= now)
}

proptest! {
    #[test]
    fn no_stop_is_early_unannounced_or_by_a_rule_that_is_held_up_and_a_limit_that_is_over_stops_it(
        steps in prop::collection::vec(
            (0_i64..15, any_status(), 0_i64..30, any::<bool>(), any::<bool>(), any::<bool>()), 1..30,
        ),
    ) {
        let (mut now, mut stored) = (at(0), WorkspaceStatus::default());
        for (minutes, mut status, unused, is_silent, is_recent, is_stored) in steps {
            now += SignedDuration::from_mins(minutes);
            let last_use = now - SignedDuration::from_mins(unused);
            let report = report(&status, last_use, is_silent, is_recent);

            // As `reconcile.rs` decides: an answer comes, and the status is still that of an earlier step.
            let is_unused = timeout_of(&status).is_some_and(|timeout| last_use + timeout <= now);
            let first = first_stop(&stored, Some(last_use), now);
            if !is_silent && is_unused && stops::decide(first, announced(&stored), now) == Some(StopRule::Idle) {
                let told = announced(&stored).unwrap();
                prop_assert!(told.rule == StopRule::Idle && told.at <= now, "{told:?}");
                prop_assert!(stored.kept.as_ref().is_none_or(|kept| kept.until.0 <= now), "kept");
                prop_assert!(last_use + timeout_of(&stored).unwrap() <= now, "early");
                prop_assert!(stored.idle.as_ref().and_then(IdleStatus::error).is_none(), "its use is unknown");
            }

            // As `enforce.rs` decides, in a reconcile.
            complete(&mut status, Some(&stored), Some(&report), now);
            let next = announced(&status);
            let known = if is_stored { next } else { announced(&stored) };
            let by_limit = stops::decide(next, known, now).filter(|rule| *rule != StopRule::Idle);
            if let Some(rule) = by_limit {
                prop_assert!(is_over(&status, rule, now), "{rule:?}");
                let is_announced = known.is_some_and(|known| known.rule == rule && known.at <= now);
                let is_overdue = is_over(&status, rule, now - stops::OVERDUE);
                prop_assert!(is_announced || (!is_stored && is_overdue), "{rule:?}");
            }
            let any_is_over = |by: Timestamp| StopRule::ALL.into_iter().any(|rule| is_over(&status, rule, by));
            if is_stored {
                prop_assert_eq!(by_limit.is_some(), any_is_over(now), "whatever the use");
            } else {
                prop_assert!(by_limit.is_some() || !any_is_over(now - stops::OVERDUE), "held off");
            }
            if let Some(stop) = next.filter(|stop| stop.rule == StopRule::Idle && !is_recent) {
                prop_assert!(!is_silent, "its use is unknown");
                let timeout = timeout_of(&status).unwrap();
                let own = last_use + timeout;
                let own = keep::kept_until(status.kept.as_ref(), now).map_or(own, |until| until.max(own));
                prop_assert!(stop.at.duration_since(own).abs() <= seconds(timeout / 10), "{stop:?} {own}");
            }
            if is_stored {
                stored = status;
            }
        }
    }
}

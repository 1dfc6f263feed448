//! Effective limits, times of a run -> when which rule stops it, in time and words (pure).

use api::workspace::{Resolved, StopRule, StoppedBecause};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// A run that was ready for so long together is not failing.
pub const STEADY: SignedDuration = SignedDuration::from_mins(5);
/// How long a run is not ready, at least, before it fails: a session does not end at one failed probe after a long start.
pub const GRACE: SignedDuration = SignedDuration::from_mins(2);
/// A limit that is over for so long stops a run also if no status could announce it. A status write tests the version, so whoever changes
/// annotations in a loop makes each one fail. Everyday conflicts do not last so long: reconciles are then at most a minute apart.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(5);

/// What the rules count from. One that is `None` gives its rule no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Last use, if it is known.
    pub last_use: Option<Timestamp>,
    /// First start of a container since a user started the workspace.
    pub running_since: Option<Timestamp>,
    /// Since when it was not ready for [`STEADY`] together, if it is not ready now.
    pub failing_since: Option<Timestamp>,
    /// Since when it is not ready, if it is not ready now.
    pub unready_since: Option<Timestamp>,
    /// When a user asked for the stop in the workspace.
    pub requested_at: Option<Timestamp>,
    /// Before this time it is not idle ([`keep`](crate::keep)).
    pub kept_until: Option<Timestamp>,
}

/// When a rule stops a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The rule.
    pub rule: StopRule,
    /// Its time.
    pub at: Timestamp,
}

/// The time of each rule that has one.
pub fn times(values: &Resolved, times: &Times) -> impl Iterator<Item = Stop> {
    StopRule::ALL.into_iter().filter_map(|rule| {
        let since = match rule {
            StopRule::Idle => times.last_use,
            StopRule::MaxAge => times.running_since,
            StopRule::Failed => times.failing_since,
            StopRule::Requested => times.requested_at,
        };
        let minutes = match rule {
            StopRule::Requested => 0,
            rule => minutes(rule, values)?,
        };
        let at = since?.checked_add(SignedDuration::from_mins(minutes.into()));
        let at = at.ok()?;
        let earliest = match rule {
            StopRule::Idle => times.kept_until,
            StopRule::MaxAge | StopRule::Requested => None,
            StopRule::Failed => match times.unready_since {
                Some(since) => Some(since.checked_add(GRACE).ok()?),
                None => None,
            },
        };
        Some(Stop {
            rule,
            at: earliest.map_or(at, |earliest| earliest.max(at)),
        })
    })
}

/// The rule that comes first: it is announced. `Idle` still waits for answers of the pod when its time has come, so any other rule that is
/// due comes before it.
pub fn first(values: &Resolved, since: &Times, now: Timestamp) -> Option<Stop> {
    times(values, since).min_by_key(|stop| (stop.at.max(now), stop.rule == StopRule::Idle, stop.at))
}

/// The rule that stops the run now: the one that comes first, once its time has come and it is announced, or is [`OVERDUE`]. `Idle` is
/// never by that: it asks for answers of the pod, and whoever changes the workspace has used it.
pub fn decide(first: Option<Stop>, announced: Option<Stop>, now: Timestamp) -> Option<StopRule> {
    let first = first.filter(|first| first.at <= now)?;
    let is_announced = announced.is_some_and(|stop| stop.rule == first.rule && stop.at <= now);
    let is_overdue = first.rule != StopRule::Idle && now.duration_since(first.at) >= OVERDUE;
    (is_announced || is_overdue).then_some(first.rule)
}

/// When it stops a run, such as `after 30 min without use`. Whatever tells of a stop says it with these words.
pub fn when(rule: StopRule, values: Option<&Resolved>) -> String {
    let minutes = values.and_then(|values| minutes(rule, values));
    let span = minutes.map_or_else(|| "some time".to_owned(), |minutes| format!("{minutes} min"));
    match rule {
        StopRule::Idle => format!("after {span} without use"),
        StopRule::MaxAge => format!("after {span}, its maximum age"),
        StopRule::Failed => format!("after {span} without being ready for five minutes together"),
        StopRule::Requested => "because stop-workspace was called in it".to_owned(),
    }
}

/// When a rule stopped a run, and why that was not ready, if the rule asks for it.
pub fn stopped(because: &StoppedBecause, values: Option<&Resolved>) -> String {
    let when = when(because.rule, values);
    match &because.reason {
        Some(reason) => format!("{when} ({reason})"),
        None => when,
    }
}

/// The rule in a word or two, beside its time.
pub const fn short(rule: StopRule) -> &'static str {
    match rule {
        StopRule::Idle => "idle",
        StopRule::MaxAge => "maximum age",
        StopRule::Failed => "not ready",
        StopRule::Requested => "stop-workspace",
    }
}

/// The minutes of a rule; `None`: it does not apply, or needs none.
pub fn minutes(rule: StopRule, values: &Resolved) -> Option<i32> {
    match rule {
        StopRule::Idle => values.idle_timeout_in_minutes,
        StopRule::MaxAge => values.max_age_minutes,
        StopRule::Failed => values.failed_timeout_minutes,
        StopRule::Requested => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn values(minutes: [Option<i32>; 3]) -> Resolved {
        let [idle_timeout_in_minutes, max_age_minutes, failed_timeout_minutes] = minutes;
        Resolved {
            idle_timeout_in_minutes,
            max_age_minutes,
            failed_timeout_minutes,
            ..Resolved::default()
        }
    }

    fn since(minutes: [Option<i64>; 3]) -> Times {
        let [last_use, running_since, failing_since] = minutes.map(|minute| minute.map(at));
        Times {
            last_use,
            running_since,
            failing_since,
            ..Times::default()
        }
    }

    #[test]
    fn each_rule_is_the_first_until_it_is_moved_out_of_the_way() {
        let all = since([Some(0), Some(0), Some(0)]);
        let rule = |minutes: [i32; 3], times: &Times| {
            let stop = first(&values(minutes.map(Some)), times, at(0)).unwrap();
            (stop.rule, stop.at)
        };
        assert_eq!(rule([10, 20, 30], &all), (StopRule::Idle, at(10)));
        assert_eq!(rule([30, 10, 20], &all), (StopRule::MaxAge, at(10)));
        assert_eq!(rule([20, 30, 10], &all), (StopRule::Failed, at(10)));
        let used = since([Some(15), Some(0), Some(0)]);
        assert_eq!(rule([10, 20, 30], &used), (StopRule::MaxAge, at(20)));
        let started_anew = since([Some(0), Some(15), Some(0)]);
        assert_eq!(rule([30, 10, 20], &started_anew), (StopRule::Failed, at(20)));
        let ready = since([Some(0), Some(0), None]);
        assert_eq!(rule([20, 30, 10], &ready), (StopRule::Idle, at(20)));
        assert_eq!(rule([40, 30, 35], &all), (StopRule::MaxAge, at(30)), "lengthened");
        assert_eq!(first(&values([None; 3]), &all, at(0)), None);
        assert_eq!(first(&values([Some(1); 3]), &since([None; 3]), at(0)), None);
    }

    #[test]
    fn a_rule_that_is_due_does_not_wait_for_answers_about_use() {
        let (values, times) = (
            values([Some(10), Some(11), None]),
            since([Some(0), Some(0), None]),
        );
        let rule = |minute| first(&values, &times, at(minute)).unwrap().rule;
        assert_eq!(rule(9), StopRule::Idle);
        assert_eq!(rule(10), StopRule::Idle);
        assert_eq!(rule(11), StopRule::MaxAge);
    }

    #[test]
    fn a_run_that_was_ready_just_now_has_two_minutes_to_be_ready_again() {
        let values = values([None, None, Some(15)]);
        let fails_at = |unready: Option<i64>| {
            let times = Times {
                unready_since: unready.map(at),
                ..since([None, None, Some(0)])
            };
            first(&values, &times, at(0)).unwrap().at
        };
        assert_eq!(fails_at(None), at(15));
        assert_eq!(fails_at(Some(0)), at(15), "never ready");
        assert_eq!(fails_at(Some(13)), at(15));
        assert_eq!(fails_at(Some(14)), at(16));
        assert_eq!(fails_at(Some(18)), at(20), "long after the limit");
    }

    #[test]
    fn a_request_stops_it_at_once_whatever_the_limits() {
        let times = Times {
            requested_at: Some(at(7)),
            kept_until: Some(at(90)),
            ..since([Some(0); 3])
        };
        let stop = first(&values([Some(10); 3]), &times, at(7)).unwrap();
        assert_eq!((stop.rule, stop.at), (StopRule::Requested, at(7)));
        assert_eq!(first(&values([None; 3]), &times, at(7)), Some(stop));
    }

    #[test]
    fn times_beyond_the_calendar_are_none() {
        let times = Times {
            running_since: Some(Timestamp::MAX),
            ..Times::default()
        };
        assert_eq!(first(&values([Some(1); 3]), &times, at(0)), None);
    }

    #[test]
    fn a_limit_that_is_overdue_needs_no_announcement_and_idleness_always_does() {
        let stop = |rule, minute| Some(Stop { rule, at: at(minute) });
        for rule in StopRule::ALL {
            let first = stop(rule, 10);
            assert_eq!(decide(first, first, at(9)), None);
            assert_eq!(decide(first, first, at(10)), Some(rule), "announced");
            for other in [None, stop(StopRule::Idle, 40), stop(rule, 40)] {
                assert_eq!(decide(first, other, at(14)), None, "{rule:?}");
                let late = Some(rule).filter(|rule| *rule != StopRule::Idle);
                assert_eq!(decide(first, other, at(15)), late);
            }
        }
    }

    fn any_values() -> impl Strategy<Value = Resolved> {
        prop::array::uniform3(prop::option::of(1..40)).prop_map(values)
    }

    fn any_times() -> impl Strategy<Value = Times> {
        let minute = || prop::option::of(0_i64..60);
        let all = (prop::array::uniform3(minute()), minute(), minute(), minute());
        all.prop_map(|(minutes, unready, kept, requested)| Times {
            unready_since: unready.map(at),
            kept_until: kept.map(at),
            requested_at: requested.map(at),
            ..since(minutes)
        })
    }

    proptest! {
        /// A life of a run, step by step: time passes, and limits, use and state change at will. The operator acts on what it stored at an
        /// earlier step, and may store nothing at some steps.
        #[test]
        fn a_stop_is_never_before_its_announcement_nor_by_another_rule(
            steps in prop::collection::vec((0_i64..15, any_values(), any_times(), any::<bool>()), 1..30),
        ) {
            let mut now = at(0);
            let mut stored: Option<Stop> = None;
            for (minutes, values, since, is_stored) in steps {
                now += SignedDuration::from_mins(minutes);
                let next = first(&values, &since, now);
                let overdue = next.filter(|next| next.rule != StopRule::Idle && next.at + OVERDUE <= now);
                prop_assert!(overdue.is_none() || decide(next, stored, now).is_some());
                if let Some(rule) = decide(next, stored, now) {
                    let is_announced = stored.is_some_and(|stored| stored.rule == rule && stored.at <= now);
                    prop_assert!(is_announced || overdue.is_some_and(|overdue| overdue.rule == rule));
                    // Nor is it before the time that the values of now give.
                    let own = times(&values, &since).find(|stop| stop.rule == rule).unwrap();
                    prop_assert!(own.at <= now);
                    let is_kept = since.kept_until.is_some_and(|until| until > now);
                    prop_assert!(!is_kept || rule != StopRule::Idle, "kept, and stopped as idle");
                }
                if is_stored {
                    stored = next;
                }
            }
        }

        /// Keeping moves no other rule, and never makes a stop come sooner.
        #[test]
        fn keeping_moves_the_idle_stop_alone(values in any_values(), kept in any_times(), now in 0_i64..120) {
            let free = Times { kept_until: None, ..kept };
            let of = |since: &Times, rule| times(&values, since).find(|stop| stop.rule == rule).map(|stop| stop.at);
            for rule in [StopRule::MaxAge, StopRule::Failed, StopRule::Requested] {
                prop_assert_eq!(of(&kept, rule), of(&free, rule));
            }
            let idle = of(&free, StopRule::Idle).map(|at| kept.kept_until.map_or(at, |until| until.max(at)));
            prop_assert_eq!(of(&kept, StopRule::Idle), idle);
            let at = |since: &Times| first(&values, since, at(now)).map(|stop| stop.at.max(at(now)));
            prop_assert!(at(&kept) >= at(&free));
        }

        #[test]
        fn the_announced_time_is_the_earliest_that_lies_ahead(values in any_values(), since in any_times()) {
            let earliest = times(&values, &since).map(|stop| stop.at).min();
            let before_all = at(0);
            prop_assert_eq!(first(&values, &since, before_all).map(|stop| stop.at), earliest);
        }
    }
}

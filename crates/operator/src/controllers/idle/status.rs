//! Known activity of a workspace -> its status (pure).
//!
//! A reported time stays while it is approximately true, because each change costs a write.

use std::time::Duration;

use api::{
    Workspace, WorkspaceStatus,
    condition::{self, PROGRESSING},
    workspace::{IdleSignal, IdleStatus, StopRule},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rules::files::{Disks, Moment};
use rules::keep;
use rules::stops::{self, Stop, Times};

use crate::{
    activity::tracker::{ActivityReport, Report},
    status::{disk_use, memory},
};

/// Sets the fields about activity and the use of the disk in a status, and the stop that comes first. `before`: the previous status.
/// `report`: `None`: no pod is asked. A status that was just written stays as it is: a pod may tell what it likes, as often.
pub(super) fn complete(
    status: &mut WorkspaceStatus,
    before: Option<&WorkspaceStatus>,
    report: Option<&Report>,
    now: Timestamp,
) {
    let is_recent = report.is_some_and(|report| report.is_recent);
    let told = report.filter(|_| !is_recent).and_then(|report| report.disk);
    disk_use::complete(status, before, told);
    let usage = report.and_then(|report| report.activity.as_ref());
    let (idle, idle_stop) = usage.map_or((None, None), |usage| fields(before, usage, is_recent, now));
    status.idle = idle;
    let last_use = usage
        .filter(|_| idle_stop.is_some())
        .map(|usage| usage.last_activity);
    let first = first_stop(status, last_use, now);
    let kept_until = keep::kept_until(status.kept.as_ref(), now);
    status.stops_because = first.map(|stop| stop.rule);
    status.stops_at = first.and_then(|stop| match stop.rule {
        StopRule::Idle => idle_stop.map(|Time(at)| Time(kept_until.map_or(at, |until| until.max(at)))),
        StopRule::MaxAge | StopRule::Failed | StopRule::Requested => Some(Time(stop.at)),
    });
}

/// The stop that comes first, by the times in a status and the exact last use, which the status has only approximately.
pub(super) fn first_stop(
    status: &WorkspaceStatus,
    last_use: Option<Timestamp>,
    now: Timestamp,
) -> Option<Stop> {
    status.run_id.as_ref()?;
    let is_unready = status.endpoint.is_none();
    let unready_since = condition::find(&status.conditions, PROGRESSING);
    let unready_since = unready_since.map(|it| to_second(it.last_transition_time.0));
    let times = Times {
        last_use: last_use.map(to_second),
        running_since: status.running_since.as_ref().map(|since| since.0),
        failing_since: status
            .failing_since
            .as_ref()
            .filter(|_| is_unready)
            .map(|since| since.0),
        unready_since: unready_since.filter(|_| is_unready),
        requested_at: status.stop_requested_at.as_ref().map(|time| time.0),
        kept_until: keep::kept_until(status.kept.as_ref(), now),
    };
    stops::first(status.resolved.as_ref()?, &times, now)
}

/// The stop that a status announces.
pub(super) fn announced(status: &WorkspaceStatus) -> Option<Stop> {
    Some(Stop {
        rule: status.stops_because?,
        at: status.stops_at.as_ref()?.0,
    })
}

/// The stop of this run that the stored status announces, as `STOPS_AT_HEADER` has it. A busy kernel or an open page moves the time of `Idle`
/// on, in steps of a tenth of the timeout: that is told in the second half of the timeout alone.
pub(super) fn announcement(workspace: &Workspace, run_id: &str, now: Timestamp) -> Option<String> {
    let status = workspace.status.as_ref()?;
    let stop = announced(status).filter(|_| status.run_id.as_deref() == Some(run_id))?;
    if stop.rule == StopRule::Idle && stop.at.duration_since(now) > seconds(timeout_of(status)? / 2) {
        return None;
    }
    let loses_files = Disks::from_workspace(workspace).fate(Moment::Stop).loses_files;
    Some(format!(
        "{} {} {loses_files}",
        to_second(stop.at),
        stop.rule.name()
    ))
}

/// Whether a status has to be written again.
pub(super) fn differs(status: &WorkspaceStatus, report: &Report, now: Timestamp) -> bool {
    let known = status.out_of_memory.as_ref().map(|it| it.time.0);
    if report
        .out_of_memory
        .is_some_and(|time| memory::is_news(to_second(time), known))
    {
        return true;
    }
    let mut next = status.clone();
    complete(&mut next, Some(status), Some(report), now);
    next != *status
}

/// What is known of the use, and the time at which it is idle for its timeout.
fn fields(
    before: Option<&WorkspaceStatus>,
    usage: &ActivityReport,
    is_recent: bool,
    now: Timestamp,
) -> (Option<IdleStatus>, Option<Time>) {
    let before = before.filter(|before| before.run_id.as_ref() == Some(&usage.run_id));
    let earlier = before.and_then(|before| before.idle.clone());
    let earlier_stop = before.and_then(idle_stop);
    let same_rule = before.is_some_and(|before| {
        let resolved = before.resolved.as_ref();
        timeout_of(before) == Some(usage.timeout)
            && resolved.and_then(|it| it.open_tab_minutes) == Some(usage.open_tab_minutes)
    });
    let had_failed = earlier.as_ref().and_then(IdleStatus::error).is_some();
    if is_recent && same_rule && earlier.is_some() {
        return (earlier, earlier_stop);
    }
    if let Some(failing) = &usage.failing {
        if had_failed && earlier_stop.is_none() {
            return (earlier, None);
        }
        let signal = IdleSignal {
            name: failing.name.to_owned(),
            last_activity: None,
            error: Some(failing.why.clone()),
        };
        return (Some(idle(usage, vec![signal])), None);
    }
    let stop = to_second(usage.last_activity) + seconds(usage.timeout);
    if !usage.is_read {
        // As an earlier leader left it.
        return match (&earlier, same_rule || had_failed) {
            (None, _) => (None, None),
            (_, true) => (earlier, earlier_stop),
            (Some(earlier), false) => (Some(idle(usage, earlier.signals.clone())), Some(Time(stop))),
        };
    }
    // An announced stop is right to a tenth of the timeout, and to the time that is left once that is less.
    let is_right = |earlier: &Time| {
        let (moved, left) = (
            stop.duration_since(earlier.0).abs(),
            earlier.0.duration_since(now),
        );
        moved <= seconds(usage.timeout / 10).min(left.max(SignedDuration::ZERO))
    };
    if same_rule && !had_failed && earlier_stop.as_ref().is_some_and(is_right) {
        return (earlier, earlier_stop);
    }
    let signals = usage.signals.iter().map(|signal| IdleSignal {
        name: signal.name.to_owned(),
        last_activity: signal.last_activity.map(|time| Time(to_second(time))),
        error: None,
    });
    (Some(idle(usage, signals.collect())), Some(Time(stop)))
}

/// When the next rule that waits for no answer of the pod has its time. A reconcile acts at that time, so nothing has to ask for it.
pub(super) fn next_limit(status: &WorkspaceStatus, now: Timestamp) -> Option<Duration> {
    let at = first_stop(status, None, now)?.at;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// When a workspace is idle for its timeout, as a status has it.
fn idle_stop(status: &WorkspaceStatus) -> Option<Time> {
    let idle = status.idle.as_ref().filter(|idle| idle.error().is_none())?;
    let stop = idle
        .last_activity
        .as_ref()?
        .0
        .checked_add(seconds(timeout_of(status)?));
    stop.ok().map(Time)
}

fn idle(usage: &ActivityReport, signals: Vec<IdleSignal>) -> IdleStatus {
    IdleStatus {
        last_activity: Some(Time(to_second(usage.last_activity))),
        open_tab_until: usage.open_tab_until.map(|time| Time(to_second(time))),
        signals,
    }
}

fn timeout_of(status: &WorkspaceStatus) -> Option<Duration> {
    let minutes = status.resolved.as_ref()?.idle_timeout_in_minutes?;
    Some(Duration::from_secs(u64::try_from(minutes).ok()? * 60))
}

fn seconds(span: Duration) -> SignedDuration {
    SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX)
}

/// The status keeps whole seconds.
pub(super) fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use api::workspace::{DiskStatus, Resolved};

    use super::*;
    use crate::activity::{DiskUse, Signal};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn usage(last_activity: i64) -> ActivityReport {
        ActivityReport {
            run_id: "run1".to_owned(),
            timeout: Duration::from_mins(10),
            open_tab_minutes: 240,
            last_activity: at(last_activity),
            open_tab_until: None,
            signals: vec![Signal {
                name: "server",
                last_activity: Some(at(last_activity)),
            }],
            is_read: true,
            failing: None,
        }
    }

    fn running(minutes: i32) -> WorkspaceStatus {
        WorkspaceStatus {
            run_id: Some("run1".to_owned()),
            resolved: Some(Resolved {
                idle_timeout_in_minutes: Some(minutes),
                open_tab_minutes: Some(240),
                ..Resolved::default()
            }),
            ..WorkspaceStatus::default()
        }
    }

    fn next(before: &WorkspaceStatus, usage: &ActivityReport) -> WorkspaceStatus {
        let mut status = running(10);
        complete(&mut status, Some(before), Some(&report(usage)), at(0));
        status
    }

    fn report(activity: &ActivityReport) -> Report {
        Report {
            activity: Some(activity.clone()),
            out_of_memory: None,
            disk: None,
            is_recent: false,
        }
    }

    fn stop(status: &WorkspaceStatus) -> Option<i64> {
        status
            .stops_at
            .as_ref()
            .map(|time| time.0.as_second() - at(0).as_second())
    }

    #[test]
    fn a_stop_is_announced_and_updated_only_when_it_moves_by_more_than_a_tenth() {
        let first = next(&running(10), &usage(0));
        assert_eq!(
            (stop(&first), first.stops_because),
            (Some(600), Some(StopRule::Idle))
        );
        assert!(!differs(&first, &report(&usage(60)), at(0)), "exactly a tenth");
        assert!(differs(&first, &report(&usage(61)), at(0)));
        let second = next(&first, &usage(61));
        assert_eq!(stop(&second), Some(661));
        assert_eq!(second.idle.unwrap().last_activity, Some(Time(at(61))));
    }

    #[test]
    fn a_stop_that_is_near_is_updated_before_its_time_however_little_it_moves() {
        let first = next(&running(10), &usage(0));
        let differs_at = |status: &WorkspaceStatus, second| differs(status, &report(&usage(60)), at(second));
        assert!(!differs_at(&first, 540), "it moves by what is left");
        assert!(differs_at(&first, 541));
        let mut second = running(10);
        complete(&mut second, Some(&first), Some(&report(&usage(60))), at(541));
        assert_eq!(stop(&second), Some(660));
        assert!(!differs_at(&second, 659) && !differs_at(&second, 900));
    }

    #[test]
    fn a_status_written_just_now_is_not_updated() {
        let first = next(&running(10), &usage(0));
        let again = Report {
            is_recent: true,
            ..report(&usage(500))
        };
        assert!(!differs(&first, &again, at(0)));
        assert!(differs(&running(10), &again, at(0)), "another client removed it");
    }

    #[test]
    fn a_disk_is_told_without_an_idle_rule_and_not_each_time_that_its_pod_changes_its_mind() {
        let told = |bytes, is_recent| Report {
            activity: None,
            out_of_memory: None,
            disk: Some(DiskUse {
                bytes: Some(bytes),
                ..DiskUse::default()
            }),
            is_recent,
        };
        let mut first = WorkspaceStatus {
            run_id: Some("run1".to_owned()),
            disk: Some(DiskStatus::default()),
            ..WorkspaceStatus::default()
        };
        assert!(differs(&first, &told(3, false), at(0)));
        complete(&mut first, None, Some(&told(3, false)), at(0));
        assert_eq!(first.disk.as_ref().unwrap().used_percent, Some(0));
        assert!(!differs(&first, &told(4, false), at(0)));
        assert!(differs(&first, &told(99, false), at(0)));
        assert!(!differs(&first, &told(99, true), at(0)));
    }

    #[test]
    fn a_stop_is_told_to_its_own_run_with_what_becomes_of_the_files() {
        let told = |ephemeral: bool, run_id: &str| {
            let mut workspace = testkit::objects::workspace("demo");
            let mut status = running(10);
            (status.stops_at, status.stops_because) = (Some(Time(at(0))), Some(StopRule::MaxAge));
            let storage = serde_json::json!({"mountPath": "/h", "ephemeral": ephemeral});
            status.resolved.as_mut().unwrap().storage = serde_json::from_value(storage).unwrap();
            workspace.status = Some(status);
            announcement(&workspace, run_id, at(-9000))
        };
        assert_eq!(
            told(true, "run1").as_deref(),
            Some("2027-01-15T08:00:00Z MaxAge true")
        );
        assert_eq!(
            told(false, "run1").as_deref(),
            Some("2027-01-15T08:00:00Z MaxAge false")
        );
        assert_eq!(told(true, "run2"), None);
    }

    #[test]
    fn another_timeout_is_reported_at_once() {
        let first = next(&running(10), &usage(0));
        let mut other = first.clone();
        other.resolved = running(11).resolved;
        // `before` still has the timeout of 11 minutes.
        assert_eq!(stop(&next(&other, &usage(5))), Some(605));
    }

    #[test]
    fn an_open_page_that_counts_is_reported_with_its_end_and_gone_with_the_next_act() {
        let open = ActivityReport {
            open_tab_until: Some(at(9000)),
            ..usage(700)
        };
        let first = next(&running(10), &open);
        let until = |status: &WorkspaceStatus| status.idle.as_ref()?.open_tab_until.clone();
        assert_eq!(until(&first), Some(Time(at(9000))));
        assert_eq!(stop(&first), Some(1300));
        assert_eq!(until(&next(&first, &usage(800))), None);
    }

    #[test]
    fn another_run_begins_with_nothing() {
        let mut before = next(&running(10), &usage(0));
        before.run_id = Some("run0".to_owned());
        let unread = ActivityReport {
            is_read: false,
            ..usage(0)
        };
        let fresh = next(&before, &unread);
        assert_eq!(
            (fresh.idle, fresh.stops_at, fresh.stops_because),
            (None, None, None)
        );
    }
}

#[cfg(test)]
#[path = "status_property_tests.rs"]
mod property_tests;

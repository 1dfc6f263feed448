//! Stopped workspace, its earlier and new status -> when it is deleted, in time and words (pure).
//!
//! The time that the status announces is never less than [`NOTICE`] after it was stored: only a stored time counts, and it moves to an
//! earlier one by no more than that allows. So nothing else has to be remembered, and an outage shortens no notice.

use api::Workspace;
use api::condition::{STOPPED, find};
use api::names;
use api::workspace::{DesiredStatus, Resolved, WorkspaceStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::files::{Disks, Fate};

/// By how much the clocks of operator and API server may differ, when a time is announced and when it comes.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// From the announcement to the deletion, at least: a day, both differences of the clocks, and a minute in which the status is written.
pub const NOTICE: SignedDuration = SignedDuration::from_mins(24 * 60 + 2 * MAX_SKEW.as_mins() + 1);

/// A time that is over for longer lapses. Where the operator did not act, as in an outage, users could perhaps not act either.
const LAPSE: SignedDuration = SignedDuration::from_hours(24);

/// When the workspace is deleted; `None`: not while it is so. `status`: its new status, of which the time of the deletion is not read.
pub fn deletes_at(workspace: &Workspace, status: &WorkspaceStatus, now: Timestamp) -> Option<Timestamp> {
    let days = status.resolved.as_ref()?.stopped_retention_days?;
    let retention = SignedDuration::from_hours(24 * i64::from(days));
    let due = stopped_since(workspace, status)?.checked_add(retention).ok()?;
    let soonest = to_next_second(now.checked_add(NOTICE).ok()?);
    let earliest = match announced(workspace) {
        Some(announced) if announced >= due && !has_lapsed(announced, now) => announced.min(soonest),
        _ => soonest,
    };
    Some(due.max(earliest))
}

/// Since when it is stopped. `status`: of it.
fn stopped_since(workspace: &Workspace, status: &WorkspaceStatus) -> Option<Timestamp> {
    let is_wanted = workspace.spec.desired_status == DesiredStatus::Stopped;
    let stopped = find(&status.conditions, STOPPED)?;
    let is_stopped = stopped.status == "True" && workspace.metadata.deletion_timestamp.is_none();
    (is_wanted && is_stopped).then_some(stopped.last_transition_time.0)
}

/// The time that its stored status announces, if spec and owner are still those of that status: who edits it or takes it over has another
/// day, whenever that is.
pub fn announced(workspace: &Workspace) -> Option<Timestamp> {
    let stored = workspace.status.as_ref()?;
    let is_same_spec = stored.observed_generation == workspace.metadata.generation;
    let is_same_owner = stored.owner.as_deref() == names::owner(&workspace.metadata);
    stopped_since(workspace, stored)?;
    let time = stored.deletes_at.as_ref()?.0;
    (is_same_spec && is_same_owner).then_some(time)
}

/// Whether it is deleted now: its time is over since less than a day, and is the one that its stored status announces. `next`: its time by
/// its new status.
pub fn is_due(workspace: &Workspace, next: Option<Timestamp>, now: Timestamp) -> bool {
    next.is_some_and(|next| next <= now && !has_lapsed(next, now)) && announced(workspace) == next
}

fn has_lapsed(announced: Timestamp, now: Timestamp) -> bool {
    now.duration_since(announced) > LAPSE
}

/// When a workspace is deleted, such as `after 30 days without a start (spec.limits.stoppedRetentionDays)`. Whatever tells of a deletion says
/// it with these words.
pub fn when(values: Option<&Resolved>) -> String {
    let days = values.and_then(|values| values.stopped_retention_days);
    let span = days.map_or_else(|| "some days".to_owned(), |days| format!("{days} days"));
    format!("after {span} without a start (spec.limits.stoppedRetentionDays)")
}

/// What becomes of the files of the workspace of this name then.
pub fn fate(name: &str, status: &WorkspaceStatus) -> Fate {
    Disks::from_status(name, status).fate_of_stopped(name)
}

/// That the workspace of this name is deleted, when, what becomes of its files, and what prevents it; `None`: it is not.
pub fn notice(name: &str, status: &WorkspaceStatus) -> Option<String> {
    let at = status.deletes_at.as_ref()?.0;
    let (when, files) = (when(status.resolved.as_ref()), fate(name, status).text);
    Some(format!("It is deleted at {at}, {when}; {files}. {REMEDY}"))
}

/// What prevents a deletion.
pub const REMEDY: &str = "To keep it, start it, or write more days into spec.limits.stoppedRetentionDays.";

/// The status keeps whole seconds.
fn to_next_second(time: Timestamp) -> Timestamp {
    let second = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const DAY: i64 = 24 * 60;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    /// A stopped workspace without a status.
    fn workspace() -> Workspace {
        let meta = json!({"name": "demo", "generation": 1, "annotations": {names::CREATED_BY: "alice"}});
        let spec = json!({"displayName": "d", "desiredStatus": "Stopped"});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
    }

    /// What the operator would store of it, by [`deletes_at`]. `since`: the time of its condition `Stopped`.
    fn assess(workspace: &Workspace, days: Option<i32>, since: i64, now: Timestamp) -> WorkspaceStatus {
        let is_stopped = workspace.spec.desired_status == DesiredStatus::Stopped;
        let condition = json!([{
            "type": STOPPED, "status": if is_stopped { "True" } else { "False" }, "reason": "r", "message": "",
            "lastTransitionTime": at(since).to_string(),
        }]);
        let mut status = WorkspaceStatus {
            observed_generation: workspace.metadata.generation,
            owner: names::owner(&workspace.metadata).map(str::to_owned),
            resolved: serde_json::from_value(json!({"stoppedRetentionDays": days})).unwrap(),
            conditions: serde_json::from_value(condition).unwrap(),
            ..WorkspaceStatus::default()
        };
        status.deletes_at = deletes_at(workspace, &status, now).map(Time);
        status
    }

    fn announced_minute(workspace: &Workspace) -> Option<i64> {
        let time = workspace.status.as_ref()?.deletes_at.as_ref()?.0;
        Some(time.duration_since(at(0)).as_mins())
    }

    #[test]
    fn a_stop_announces_the_deletion_and_an_outage_gives_another_day() {
        let mut demo = workspace();
        demo.status = Some(assess(&demo, Some(30), 0, at(0)));
        assert_eq!(announced_minute(&demo), Some(30 * DAY));
        let mut late = workspace();
        late.status = Some(assess(&late, Some(30), 0, at(40 * DAY)));
        assert_eq!(announced_minute(&late), Some(41 * DAY + 11));
        let again = assess(&late, Some(30), 0, at(41 * DAY));
        assert_eq!(
            again.deletes_at,
            late.status.as_ref().unwrap().deletes_at,
            "it stays"
        );
        assert!(!is_due(&late, Some(at(41 * DAY + 11)), at(41 * DAY)));
        assert!(is_due(&late, Some(at(41 * DAY + 11)), at(41 * DAY + 11)));
        assert_eq!(
            assess(&late, None, 0, at(41 * DAY)).deletes_at,
            None,
            "the limit is gone"
        );
    }

    #[test]
    fn another_limit_moves_the_time_but_never_below_a_day_from_now() {
        let mut demo = workspace();
        demo.status = Some(assess(&demo, Some(30), 0, at(0)));
        let moved = |days: i32, minute: i64| {
            let next = assess(&demo, Some(days), 0, at(minute)).deletes_at.unwrap().0;
            next.duration_since(at(0)).as_mins()
        };
        assert_eq!(moved(60, DAY), 60 * DAY);
        assert_eq!(moved(7, DAY), 7 * DAY);
        assert_eq!(moved(7, 10 * DAY), 11 * DAY + 11);
        assert_eq!(moved(7, 29 * DAY + 30), 30 * DAY, "not later than announced");
    }

    #[test]
    fn a_time_that_is_over_for_a_day_lapses_and_another_day_is_announced() {
        let mut demo = workspace();
        demo.status = Some(assess(&demo, Some(30), 0, at(0)));
        let due = Some(at(30 * DAY));
        assert!(is_due(&demo, due, at(31 * DAY)));
        let late = at(31 * DAY + 1);
        assert!(!is_due(&demo, due, late));
        let next = assess(&demo, Some(30), 0, late).deletes_at.unwrap().0;
        assert_eq!(next, late + NOTICE);
    }

    #[test]
    fn an_edit_or_another_owner_in_the_last_second_has_another_day() {
        let mut demo = workspace();
        demo.status = Some(assess(&demo, Some(30), 0, at(0)));
        let due = at(30 * DAY);
        assert!(is_due(&demo, Some(due), due));
        let mut edited = demo.clone();
        edited.metadata.generation = Some(2);
        let mut handed = demo.clone();
        let annotations = handed.metadata.annotations.as_mut().unwrap();
        annotations.insert(names::CREATED_BY.to_owned(), "bob".to_owned());
        for changed in [edited, handed] {
            let next = deletes_at(&changed, changed.status.as_ref().unwrap(), due);
            assert_eq!(next, Some(due + NOTICE));
            assert!(!is_due(&changed, next, due) && !is_due(&changed, Some(due), due));
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_none() {
        let mut demo = workspace();
        demo.status = Some(assess(&demo, Some(30), 0, at(0)));
        let mut status = demo.status.clone().unwrap();
        assert_eq!(deletes_at(&demo, &status, Timestamp::MAX), None);
        status.conditions[0].last_transition_time = Time(Timestamp::MAX);
        assert_eq!(deletes_at(&demo, &status, at(0)), None);
    }

    /// What happens to a workspace between two reconciles.
    #[derive(Clone, Debug)]
    enum Change {
        None,
        Edit,
        Turn(DesiredStatus),
        HandOver(bool),
        Days(Option<i32>),
    }

    fn any_change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => Just(Change::None),
            1 => Just(Change::Edit),
            1 => Just(Change::Turn(DesiredStatus::Running)),
            2 => Just(Change::Turn(DesiredStatus::Stopped)),
            1 => any::<bool>().prop_map(Change::HandOver),
            1 => prop::option::of(7..20).prop_map(Change::Days),
        ]
    }

    fn edit(workspace: &mut Workspace, touched: &mut i64, now: i64) {
        *workspace.metadata.generation.as_mut().unwrap() += 1;
        *touched = now;
    }

    proptest! {
        /// A life of a workspace, step by step. The operator stores its status at some steps only, as during an outage.
        #[test]
        fn a_deletion_is_never_unannounced_nor_sooner_nor_of_one_in_use(
            steps in prop::collection::vec((0_i64..3 * DAY, any_change(), any::<bool>()), 1..60),
        ) {
            let (mut demo, mut days, mut now) = (workspace(), Some(7), 0);
            // By the true clock: since when it is stopped, as the operator saw it; when the announced time was first stored; the last act.
            let (mut since, mut stored_at, mut touched) = (0, None::<(Timestamp, i64)>, 0);
            for (minutes, change, is_stored) in steps {
                now += minutes;
                match change {
                    Change::None => {}
                    Change::Edit => edit(&mut demo, &mut touched, now),
                    Change::Turn(desired) if demo.spec.desired_status == desired => {}
                    Change::Turn(desired) => {
                        demo.spec.desired_status = desired;
                        edit(&mut demo, &mut touched, now);
                    }
                    Change::HandOver(to_bob) => {
                        let owner = if to_bob { "bob" } else { "alice" };
                        let annotations = demo.metadata.annotations.as_mut().unwrap();
                        annotations.insert(names::CREATED_BY.to_owned(), owner.to_owned());
                    }
                    Change::Days(other) => days = other,
                }
                let was_stopped = demo.status.as_ref().is_some_and(|it| it.conditions[0].status == "True");
                let condition_since = if was_stopped { since } else { now };
                let next = assess(&demo, days, condition_since, at(now));
                let time = next.deletes_at.as_ref().map(|time| time.0);
                if is_due(&demo, time, at(now)) {
                    let (announced, first) = stored_at.unwrap();
                    prop_assert_eq!(Some(announced), time, "as announced");
                    prop_assert!(announced <= at(now));
                    prop_assert!(announced >= at(first) + SignedDuration::from_hours(24), "a day's notice");
                    prop_assert!(announced >= at(since + i64::from(days.unwrap()) * DAY), "not before its limit");
                    prop_assert!(demo.spec.desired_status == DesiredStatus::Stopped);
                    let known = demo.status.as_ref().unwrap().owner.as_deref();
                    prop_assert_eq!(known, names::owner(&demo.metadata), "of this owner");
                    prop_assert!(now - touched >= DAY, "{} {}", now, touched);
                }
                if is_stored {
                    since = condition_since;
                    let known = stored_at.filter(|(known, _)| Some(*known) == time);
                    stored_at = time.map(|time| known.unwrap_or((time, now)));
                    demo.status = Some(next);
                }
            }
        }

        /// Who leaves it alone sees one time, and then the deletion, unless nothing acts for a day.
        #[test]
        fn the_announced_time_stays_and_comes(days in 7_i32..40, steps in prop::collection::vec(0_i64..2 * DAY, 1..40)) {
            let mut demo = workspace();
            demo.status = Some(assess(&demo, Some(days), 0, at(0)));
            let first = announced_minute(&demo);
            let mut now = 0;
            for minutes in steps {
                now += minutes;
                if now > (i64::from(days) + 1) * DAY {
                    break;
                }
                demo.status = Some(assess(&demo, Some(days), 0, at(now)));
                prop_assert_eq!(announced_minute(&demo), first);
                let time = demo.status.as_ref().unwrap().deletes_at.as_ref().map(|time| time.0);
                prop_assert_eq!(is_due(&demo, time, at(now)), now >= i64::from(days) * DAY);
            }
        }
    }
}

//! What is known of a run's use -> the last one, from which the rule `Idle` counts (pure).

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// What is known of the use of a run, by one clock. `None`: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Last act of a user, also by ssh.
    pub user: Option<Timestamp>,
    /// When a page was last open.
    pub presence: Option<Timestamp>,
    /// Last work of the application: kernels, terminals, its own word; of an image without a door also all that it counts as use.
    pub work: Option<Timestamp>,
}

/// The last use of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When it was.
    pub at: Timestamp,
    /// Until when an open page counts, if that is the last use.
    pub open_tab_until: Option<Timestamp>,
}

/// The last use, at least the time `since` which the run can be used. An open page counts for some minutes after the last act of a user: a
/// forgotten one keeps no run up.
#[must_use]
pub fn last(since: Timestamp, known: &Uses, open_tab_minutes: i32) -> LastUse {
    let user = known.user.map_or(since, |user| user.max(since));
    let span = SignedDuration::from_mins(open_tab_minutes.max(0).into());
    let until = user.checked_add(span).unwrap_or(Timestamp::MAX);
    let acted = known.work.map_or(user, |work| work.max(user));
    match known.presence.map(|presence| presence.min(until)) {
        Some(open) if open > acted => LastUse {
            at: open,
            open_tab_until: Some(until),
        },
        _ => LastUse {
            at: acted,
            open_tab_until: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    /// Minutes of the last use and of the end of an open page.
    fn of(user: Option<i64>, presence: Option<i64>, work: Option<i64>, open_tab: i32) -> (i64, Option<i64>) {
        let [user, presence, work] = [user, presence, work].map(|minute| minute.map(at));
        let known = Uses { user, presence, work };
        let found = last(at(0), &known, open_tab);
        let minute = |time: Timestamp| (time.as_second() - at(0).as_second()) / 60;
        (minute(found.at), found.open_tab_until.map(minute))
    }

    #[test]
    fn an_open_page_counts_for_its_time_after_the_last_act_and_no_longer() {
        assert_eq!(of(Some(10), Some(100), None, 240), (100, Some(250)));
        assert_eq!(of(Some(10), Some(600), None, 240), (250, Some(250)));
        assert_eq!(of(Some(10), Some(600), None, 0), (10, None), "only acts count");
        assert_eq!(of(Some(10), Some(10), None, 240), (10, None));
        // Nobody has acted: it counts from the start.
        assert_eq!(of(None, Some(600), None, 240), (240, Some(240)));
    }

    #[test]
    fn work_counts_as_long_as_it_lasts_with_and_without_a_page() {
        assert_eq!(of(Some(10), Some(20), Some(600), 240), (600, None));
        assert_eq!(of(Some(10), Some(600), Some(200), 240), (250, Some(250)));
        assert_eq!(of(Some(10), Some(600), Some(260), 240), (260, None));
        assert_eq!(of(None, None, Some(600), 240), (600, None), "no door");
        assert_eq!(of(None, None, None, 240), (0, None));
    }

    #[test]
    fn nothing_is_before_the_start_and_times_at_the_end_of_the_calendar_are_times() {
        assert_eq!(of(Some(-100), Some(-50), Some(-200), 240), (0, None));
        let known = Uses {
            user: Some(Timestamp::MAX),
            presence: Some(Timestamp::MAX),
            work: None,
        };
        assert_eq!(last(at(0), &known, 525_600).at, Timestamp::MAX);
        assert_eq!(of(Some(10), Some(600), None, -5), (10, None));
    }
}

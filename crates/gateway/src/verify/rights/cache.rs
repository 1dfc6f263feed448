//! answers, their times, changes of roles -> whether an answer is still valid (pure).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use kit::role_changes::RECHECKS;
use tokio::time::Instant;

/// Maximum lifetime of a granted right, whatever watches report.
pub(super) const TTL_GRANTED: Duration = Duration::from_secs(30);
/// Lifetime of a missing right. It is shorter, because users who were just given the right try again.
pub(super) const TTL_MISSING: Duration = Duration::from_secs(5);
/// A granted right that is in use is renewed from this age on, so that no request waits for it.
const RENEW_GRANTED: Duration = Duration::from_secs(20);
/// Lifetime of an answer that is older than a change of roles.
const TTL_STALE: Duration = Duration::from_secs(1);
/// Changes that follow each other within this time count as one, to limit the cost of many changes.
const BURST: Duration = Duration::from_millis(250);

/// An answer of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) granted: bool,
    /// When the review was sent.
    pub(super) asked: Instant,
}

/// Validity of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// Valid.
    Good,
    /// Valid; a renewal in the background is due.
    Aging,
    /// No longer valid.
    Expired,
}

impl Answer {
    /// `stale_since`: as [`RoleChanges::stale_since`] says.
    pub(super) fn validity(self, stale_since: Option<Instant>, now: Instant) -> Validity {
        let age = now.duration_since(self.asked);
        let keep = if self.granted { TTL_GRANTED } else { TTL_MISSING };
        let stale = stale_since.map(|since| now.duration_since(since));
        if age >= keep || stale.is_some_and(|stale| stale >= TTL_STALE) {
            Validity::Expired
        } else if stale.is_some() || self.granted && age >= RENEW_GRANTED {
            Validity::Aging
        } else {
            Validity::Good
        }
    }
}

/// One change of roles, or several in a burst.
#[derive(Debug, Clone, Copy)]
struct RoleChange {
    first: Instant,
    last: Instant,
}

/// Recent changes of roles, which answers may be older than.
#[derive(Debug, Default)]
pub(super) struct RoleChanges {
    everywhere: VecDeque<RoleChange>,
    namespaces: HashMap<String, VecDeque<RoleChange>>,
}

impl RoleChanges {
    /// Records a change of roles in a namespace (`None`: in the whole cluster).
    pub(super) fn add(&mut self, namespace: Option<&str>, now: Instant) {
        let longest = RECHECKS[1] + TTL_GRANTED;
        let is_over = |mark: &RoleChange| now.duration_since(mark.last) > longest;
        self.namespaces
            .retain(|_, marks| marks.back().is_some_and(|mark| !is_over(mark)));
        let marks = match namespace {
            None => &mut self.everywhere,
            Some(name) => self.namespaces.entry(name.to_owned()).or_default(),
        };
        while marks.front().is_some_and(is_over) {
            marks.pop_front();
        }
        match marks.back_mut() {
            Some(mark) if now.duration_since(mark.first) < BURST => mark.last = now,
            _ => marks.push_back(RoleChange {
                first: now,
                last: now,
            }),
        }
    }

    /// Since when an answer about `namespace`, requested at `asked`, may be outdated.
    pub(super) fn stale_since(&self, namespace: &str, asked: Instant, now: Instant) -> Option<Instant> {
        let of_namespace = self.namespaces.get(namespace).into_iter().flatten();
        self.everywhere
            .iter()
            .chain(of_namespace)
            .filter_map(|mark| mark.doubts(asked, now))
            .min()
    }
}

impl RoleChange {
    fn doubts(self, asked: Instant, now: Instant) -> Option<Instant> {
        if asked < self.last {
            return Some(self.first.max(asked));
        }
        let again = RECHECKS.into_iter().map(|after| self.last + after);
        again.filter(|at| asked < *at && *at <= now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn after_a_change_an_older_answer_counts_one_second_and_newer_ones_are_asked_for_after_two_and_ten() {
        let start = Instant::now();
        let mut marks = RoleChanges::default();
        marks.add(Some("team"), second(start, 10.0));
        let validity = |asked, now| {
            let (asked, now) = (second(start, asked), second(start, now));
            let answer = Answer { granted: true, asked };
            answer.validity(marks.stale_since("team", asked, now), now)
        };
        assert_eq!(validity(9.0, 10.0), Validity::Aging);
        assert_eq!(validity(9.0, 10.9), Validity::Aging);
        assert_eq!(validity(9.0, 11.0), Validity::Expired);
        assert_eq!(validity(10.1, 11.9), Validity::Good);
        assert_eq!(validity(10.1, 12.1), Validity::Aging);
        assert_eq!(validity(10.1, 13.0), Validity::Expired);
        assert_eq!(validity(12.1, 19.9), Validity::Good);
        assert_eq!(validity(12.1, 20.0), Validity::Aging);
        assert_eq!(validity(20.1, 35.0), Validity::Good);
        assert_eq!(marks.stale_since("other", start, second(start, 11.0)), None);
    }

    #[test]
    fn a_flood_of_role_changes_is_bounded_in_memory() {
        let start = Instant::now();
        let mut marks = RoleChanges::default();
        for step in 0..2_000 {
            marks.add(Some("team"), second(start, 1.0 + f64::from(step) * 0.05));
        }
        let now = second(start, 101.0);
        assert!(marks.namespaces["team"].len() < 200);
        let old = Answer {
            granted: true,
            asked: second(start, 99.0),
        };
        assert_eq!(
            old.validity(marks.stale_since("team", old.asked, now), now),
            Validity::Expired
        );
        marks.add(None, second(start, 500.0));
        assert!(marks.namespaces.is_empty());
    }
}

//! Headers of the operator's questions -> the announced stop, as long as it counts (in memory).

use assertion::names::{IDLE_RULE, STOPS_AT_HEADER};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::activity::Activity;

/// Longest announcement, in bytes. One has some thirty.
const LONGEST: usize = 64;
/// How long an announcement counts that is not repeated. Slow pods without an idle rule are asked every 20 minutes.
const COUNTS: SignedDuration = SignedDuration::from_mins(25);
/// Bytes of a time in whole seconds.
const TIME: usize = "2026-01-01T00:00:00Z".len();

/// A stop that the operator announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// RFC 3339.
    pub(crate) at: String,
    /// The rule's name.
    pub(crate) because: String,
    pub(crate) loses_files: bool,
}

/// The stop that the operator announced last.
#[derive(Debug, Default)]
pub(crate) struct Announcement(Mutex<Option<Told>>);

#[derive(Clone, Debug)]
struct Told {
    stop: Stop,
    /// Since when the operator announces that.
    since: Timestamp,
    /// When it did so last.
    last: Timestamp,
}

impl Announcement {
    /// Takes a question of the operator. One without the header, or with one that cannot be read, announces nothing.
    pub(crate) fn take(&self, headers: &HeaderMap) {
        self.take_at(Stop::from_headers(headers), Timestamp::now());
    }

    fn take_at(&self, stop: Option<Stop>, now: Timestamp) {
        let mut known = self.0.lock();
        let before = known.take();
        *known = stop.map(|stop| Told {
            since: before
                .filter(|told| told.stop == stop)
                .map_or(now, |told| told.since),
            last: now,
            stop,
        });
    }

    /// The announced stop. One for lack of use does not count after an act: the operator will announce another time.
    pub(crate) fn stop(&self, activity: &Activity) -> Option<Stop> {
        self.stop_at(activity, Timestamp::now())
    }

    fn stop_at(&self, activity: &Activity, now: Timestamp) -> Option<Stop> {
        let told = self.0.lock().clone()?;
        let is_over = told.stop.because == IDLE_RULE && activity.acted_after(told.since);
        (!is_over && now.duration_since(told.last) < COUNTS).then_some(told.stop)
    }
}

impl Stop {
    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(STOPS_AT_HEADER).iter();
        let value = values.next().filter(|value| value.len() <= LONGEST)?;
        if values.next().is_some() {
            return None;
        }
        let words: Vec<_> = value.to_str().ok()?.split(' ').collect();
        let [at, because, loses_files] = words[..] else {
            return None;
        };
        let time: Timestamp = at.parse().ok()?;
        let is_time = at.len() == TIME && time.to_string() == at;
        let is_rule = !because.is_empty() && because.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_time && is_rule).then_some(Self {
            at: at.to_owned(),
            because: because.to_owned(),
            loses_files: loses_files.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use api::workspace::StopRule;
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> Option<Stop> {
        let mut headers = HeaderMap::new();
        for value in values.iter().copied() {
            headers.append(STOPS_AT_HEADER, HeaderValue::from_static(value));
        }
        Stop::from_headers(&headers)
    }

    #[test]
    fn one_header_of_a_time_a_rule_and_a_word_about_files_is_an_announcement_and_nonsense_is_none() {
        let stop = Stop {
            at: "2026-01-01T12:10:00Z".to_owned(),
            because: StopRule::MaxAge.name().to_owned(),
            loses_files: true,
        };
        assert_eq!(read(&["2026-01-01T12:10:00Z MaxAge true"]), Some(stop));
        for nonsense in [
            "",
            "2026-01-01T12:10:00Z",
            "2026-01-01T12:10:00Z MaxAge",
            "2026-01-01T12:10:00Z MaxAge yes",
            "2026-01-01T12:10:00Z MaxAge true true",
            "2026-01-01T12:10:00Z  true",
            "2026-01-01T12:10:00Z <b>Idle</b> true",
            "2026-01-01T12:10:00Z IdleIdleIdleIdleIdleIdleIdleIdleIdleIdleIdleIdle true",
            "2026-01-01T12:10:00.5Z MaxAge true",
            "2026-01-01T14:10:00+02:00 MaxAge true",
            "2026-13-01T12:10:00Z MaxAge true",
            "tomorrow MaxAge true",
        ] {
            assert_eq!(read(&[nonsense]), None, "{nonsense}");
        }
        assert_eq!(read(&["2026-01-01T12:10:00Z MaxAge true"; 2]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn an_announcement_counts_for_25_minutes_after_it_was_repeated_last() {
        let (known, activity, begin) = (Announcement::default(), Activity::new(), Timestamp::now());
        let after = |minutes| begin + SignedDuration::from_mins(minutes);
        let stop = read(&["2026-01-01T12:10:00Z MaxAge true"]);
        known.take_at(stop.clone(), begin);
        assert_eq!(known.stop_at(&activity, after(24)), stop);
        assert_eq!(known.stop_at(&activity, after(25)), None);
        known.take_at(stop.clone(), after(20));
        assert_eq!(known.stop_at(&activity, after(44)), stop);
        assert_eq!(known.stop_at(&activity, after(45)), None);
    }

    #[test]
    fn every_rule_is_read_and_the_one_of_use_is_known_by_its_name() {
        for rule in StopRule::ALL {
            let mut headers = HeaderMap::new();
            let text = format!("2026-01-01T12:10:00Z {} false", rule.name());
            headers.insert(STOPS_AT_HEADER, HeaderValue::try_from(text).unwrap());
            let stop = Stop::from_headers(&headers).unwrap();
            assert_eq!(stop.because == IDLE_RULE, rule == StopRule::Idle);
        }
    }
}

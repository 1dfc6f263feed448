//! Subject, answers of its pod -> what is known of it (in memory).

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use rules::usage;
use tokio::time::Instant;

use crate::activity::{
    disk::{DiskReading, DiskUse},
    read::{self, Answered, Reading, Signal, Unanswered, is_of_door},
    subject::{IdleRule, Subject},
};

/// Failures in a row after which the status reports them.
const REPORTED_FAILURES: u32 = 3;
/// How often in a row a slow answer doubles the interval.
const MAX_DOUBLINGS: u32 = 2;
/// Shortest time between two status writes about the activity of one workspace.
const BETWEEN_WRITES: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subject: Arc<Subject>,
    pub(super) number: u64,
    pub(super) last_activity: Timestamp,
    pub(super) open_tab_until: Option<Timestamp>,
    pub(super) signals: Vec<Signal>,
    pub(super) out_of_memory: Option<Timestamp>,
    /// How much of its disk is used; `None`: no door has answered yet.
    pub(super) disk: Option<DiskUse>,
    pub(super) is_read: bool,
    /// Readings in a row that showed an expired idle timeout.
    pub(super) idle_readings: u32,
    pub(super) failures: u32,
    pub(super) failing: Option<Unanswered>,
    /// Slow answers in a row.
    pub(super) slow: u32,
    /// Whether it last let the operator wait and gave no answer, or may do so at its first question.
    pub(super) is_silent: bool,
    /// When its status was last written about activity.
    pub(super) written: Option<Instant>,
    pub(super) refusal_is_reported: bool,
    /// `None` while a request is in progress.
    pub(super) due: Option<Instant>,
}

/// What the answers of one workspace's pod tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    /// Its use, if an idle rule applies.
    pub(crate) activity: Option<ActivityReport>,
    /// When a process of it was last ended for memory.
    pub(crate) out_of_memory: Option<Timestamp>,
    /// How much of its disk is used; `None`: no door has answered yet.
    pub(crate) disk: Option<DiskUse>,
    /// Whether the status was just written about this. Then it may be slightly out of date until the next write.
    pub(crate) is_recent: bool,
}

/// The known activity of one workspace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ActivityReport {
    pub(crate) run_id: String,
    pub(crate) timeout: Duration,
    pub(crate) open_tab_minutes: i32,
    /// The latest known activity. It is never before the workspace became usable.
    pub(crate) last_activity: Timestamp,
    /// Until when an open page counts, if that is the last use.
    pub(crate) open_tab_until: Option<Timestamp>,
    pub(crate) signals: Vec<Signal>,
    /// Whether its pod has answered yet.
    pub(crate) is_read: bool,
    /// Why its pod has not answered for some time.
    pub(crate) failing: Option<Unanswered>,
}

impl Entry {
    pub(super) fn new(subject: Subject, number: u64, now: Timestamp) -> Self {
        let rule = subject.idle.as_ref();
        // A time of a clock that is ahead of ours counts as now.
        let since = rule.map_or(now, |rule| rule.since.min(now));
        let known = rule.and_then(|rule| rule.known);
        let known = known.map_or(since, |known| known.min(now));
        // After a change of leader it delays no other, from the first question on. Without an idle rule no status tells, and no stop waits for it.
        let is_silent = rule.is_none_or(|rule| rule.had_error);
        Self {
            subject: Arc::new(subject),
            number,
            last_activity: since.max(known),
            open_tab_until: None,
            signals: Vec::new(),
            out_of_memory: None,
            disk: None,
            is_read: false,
            idle_readings: 0,
            failures: 0,
            failing: None,
            slow: 0,
            is_silent,
            written: None,
            refusal_is_reported: false,
            due: None,
        }
    }

    pub(super) fn report(&self) -> Report {
        let written = self.written;
        Report {
            activity: self.subject.idle.as_ref().map(|rule| self.activity(rule)),
            out_of_memory: self.out_of_memory,
            disk: self.disk,
            is_recent: written.is_some_and(|written| written.elapsed() < BETWEEN_WRITES),
        }
    }

    fn activity(&self, rule: &IdleRule) -> ActivityReport {
        ActivityReport {
            run_id: self.subject.run_id.clone(),
            timeout: rule.timeout,
            open_tab_minutes: rule.open_tab_minutes,
            last_activity: self.last_activity,
            open_tab_until: self.open_tab_until,
            signals: self.signals.clone(),
            is_read: self.is_read,
            failing: self.failing.clone(),
        }
    }

    /// The wait before the next request.
    pub(super) fn interval(&self) -> Duration {
        self.subject.interval() * 2_u32.pow(self.slow.min(MAX_DOUBLINGS))
    }

    /// How long it may still be idle; `None`: for ever.
    pub(super) fn left(&self, now: Timestamp) -> Option<Duration> {
        let unused = Duration::try_from(now.duration_since(self.last_activity)).unwrap_or_default();
        let rule = self.subject.idle.as_ref()?;
        Some(rule.timeout.saturating_sub(unused))
    }

    pub(super) fn is_unused(&self, now: Timestamp) -> bool {
        self.left(now).is_some_and(|left| left.is_zero())
    }

    /// Whether it answered that it has no door, and nothing else is asked of it. Its run has none.
    pub(super) fn is_without_door(&self, answer: &Answered) -> bool {
        let is_silent = |reading: &Reading| reading.signals.is_empty();
        self.subject.idle.is_none() && answer.as_ref().is_ok_and(is_silent)
    }

    fn judge(&self, told: Option<&DiskReading>) -> DiskUse {
        let told = told.zip(self.subject.capacity);
        told.map_or_else(DiskUse::default, |(told, size)| told.judge(size))
    }

    pub(super) fn read(&mut self, answer: Answered, now: Timestamp) {
        let tells_of_door = match &answer {
            Ok(reading) => reading.signals.iter().any(|signal| is_of_door(signal.name)),
            Err(unanswered) => is_of_door(unanswered.name),
        };
        if tells_of_door && !self.subject.has_door {
            Arc::make_mut(&mut self.subject).has_door = true;
        }
        match answer {
            Ok(reading) => {
                if let Some(rule) = &self.subject.idle {
                    // The time from which it is usable comes from the same clock.
                    let since = read::shift(rule.since, reading.skew);
                    let last = usage::last(since, &read::uses(&reading.signals), rule.open_tab_minutes);
                    // Closing a terminal removes its last activity. The workspace was used all the same.
                    self.last_activity = self.last_activity.max(last.at.min(now));
                    self.open_tab_until = last.open_tab_until;
                }
                if tells_of_door {
                    self.disk = Some(self.judge(reading.disk.as_ref()));
                }
                self.signals = reading.signals;
                self.out_of_memory = reading.out_of_memory;
                self.is_read = true;
                self.idle_readings = if self.is_unused(now) {
                    self.idle_readings.saturating_add(1)
                } else {
                    0
                };
                self.failures = 0;
                self.failing = None;
            }
            Err(unanswered) => {
                if unanswered.disk.is_some() {
                    self.disk = Some(self.judge(unanswered.disk.as_ref()));
                }
                self.idle_readings = 0;
                self.failures = self.failures.saturating_add(1);
                if self.failures >= REPORTED_FAILURES {
                    self.failing = Some(unanswered);
                }
            }
        }
    }
}

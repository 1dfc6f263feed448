//! Uses of the workspace -> times of the last ones (in memory).

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

use crate::usage::Usage;

/// When the workspace was used through the door.
#[derive(Debug)]
pub(crate) struct Activity {
    /// Unix milliseconds of the last use of any kind; before the first one, of the start.
    any: AtomicI64,
    /// Unix milliseconds of the last act of a user; 0: none.
    user: AtomicI64,
    /// Unix milliseconds of the last use by ssh; 0: none.
    ssh: AtomicI64,
}

impl Activity {
    /// Nothing was used since the start, which is now.
    pub(crate) fn new() -> Self {
        Self {
            any: AtomicI64::new(now()),
            user: AtomicI64::new(0),
            ssh: AtomicI64::new(0),
        }
    }

    /// The application is used now.
    pub(crate) fn application_used(&self, usage: Usage) {
        let now = now();
        self.any.store(now, Ordering::Relaxed);
        if usage == Usage::User {
            self.user.store(now, Ordering::Relaxed);
        }
    }

    /// Bytes of an ssh connection are sent now.
    pub(crate) fn ssh_used(&self) {
        let now = now();
        self.any.store(now, Ordering::Relaxed);
        self.user.store(now, Ordering::Relaxed);
        self.ssh.store(now, Ordering::Relaxed);
    }

    /// The last use, or the start.
    pub(crate) fn last(&self) -> String {
        text(up_to_now(&self.any))
    }

    /// The last act of a user, also by ssh.
    pub(crate) fn last_user(&self) -> Option<String> {
        time_of(&self.user)
    }

    /// Whether a user acted after a time.
    pub(crate) fn acted_after(&self, time: Timestamp) -> bool {
        self.user.load(Ordering::Relaxed) > time.as_millisecond()
    }

    /// The last use by ssh.
    pub(crate) fn last_ssh(&self) -> Option<String> {
        time_of(&self.ssh)
    }
}

fn time_of(milliseconds: &AtomicI64) -> Option<String> {
    match up_to_now(milliseconds) {
        0 => None,
        time => Some(text(time)),
    }
}

/// The time. One in the future is by a clock that was put back since. It becomes now, or the workspace would be in use until then.
fn up_to_now(milliseconds: &AtomicI64) -> i64 {
    let now = now();
    milliseconds.fetch_min(now, Ordering::Relaxed).min(now)
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// RFC 3339.
fn text(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_an_act_and_other_use_is_not_ssh() {
        let activity = Activity::new();
        let read = |text: String| text.parse::<Timestamp>().unwrap();
        let start = read(activity.last());
        activity.application_used(Usage::Presence);
        assert_eq!(activity.last_user(), None);
        activity.application_used(Usage::User);
        let user = read(activity.last_user().unwrap());
        assert!(start <= user && user <= read(activity.last()));
        assert_eq!(activity.last_ssh(), None);
        activity.ssh_used();
        let ssh = read(activity.last_ssh().unwrap());
        assert!(user <= ssh && ssh <= read(activity.last()));
        assert_eq!(activity.last_user(), activity.last_ssh());
    }

    #[test]
    fn a_use_by_a_clock_that_was_put_back_since_does_not_stay_in_the_future() {
        const HOUR: i64 = 3_600_000;
        let used_ahead = || {
            let (activity, ahead) = (Activity::new(), now() + HOUR);
            for time in [&activity.any, &activity.user, &activity.ssh] {
                time.store(ahead, Ordering::Relaxed);
            }
            activity
        };
        let times = |activity: &Activity| {
            let texts = [Some(activity.last()), activity.last_user(), activity.last_ssh()];
            texts.map(|text| text.unwrap().parse::<Timestamp>().unwrap())
        };
        let activity = used_ahead();
        let first = times(&activity);
        assert!(first.iter().all(|time| *time <= Timestamp::now()), "{first:?}");
        while now() <= first[2].as_millisecond() {}
        assert_eq!(times(&activity), first, "it does not go on with the clock");
        // The next use counts, whether or not somebody asked meanwhile.
        let activity = used_ahead();
        activity.ssh_used();
        assert!(!activity.acted_after(Timestamp::now()));
        let activity = used_ahead();
        activity.application_used(Usage::User);
        assert!(!activity.acted_after(Timestamp::now()));
    }
}

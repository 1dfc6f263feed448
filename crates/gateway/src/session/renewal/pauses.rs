//! unanswered requests to a provider -> how long it is not asked (in memory).

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::tokens::random::random;

/// Longest pause after the provider did not answer, in seconds, before jitter.
const LONGEST: i64 = 60;

/// By issuer: one that does not answer does not block the others.
#[derive(Default)]
pub(super) struct Pauses(Mutex<HashMap<String, Pause>>);

/// State after a provider did not answer.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: i64,
}

impl Pauses {
    /// Whether requests to this provider pause at `now`.
    pub(super) fn is_pausing(&self, issuer: &str, now: i64) -> bool {
        self.0.lock().get(issuer).is_some_and(|pause| now < pause.until)
    }

    /// The provider answered.
    pub(super) fn record_answer(&self, issuer: &str) {
        self.0.lock().remove(issuer);
    }

    /// The provider did not answer a request of the time `asked`, or refused the gateway. Concurrent requests count once.
    pub(super) fn record_silence(&self, issuer: &str, asked: i64, now: i64) {
        let mut pauses = self.0.lock();
        let pause = pauses.entry(issuer.to_owned()).or_default();
        if asked >= pause.until {
            pause.failures += 1;
            let length = LONGEST.min(1 << pause.failures.min(6));
            pause.until = now + length + jitter(length);
        }
    }
}

/// Adds up to the same number of seconds, so that replicas do not ask together.
pub(super) fn jitter(seconds: i64) -> i64 {
    random::<2>().map_or(0, |bytes| i64::from(u16::from_be_bytes(bytes)) % (seconds + 1))
}

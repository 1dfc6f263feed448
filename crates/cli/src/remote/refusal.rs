//! Refusal by the gateway -> the error, or a wait and the next attempt (pure | IO).

use std::io::{self, Write as _};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long the gateway's limit of requests is waited for.
const LIMITED: Duration = Duration::from_mins(1);
/// How long a gateway that cannot answer is asked again.
const UNAVAILABLE: Duration = Duration::from_secs(15);
/// The first wait, if the answer names no longer one. Each further wait for a gateway that cannot answer is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// Up to this one.
const STEP: Duration = Duration::from_secs(4);
/// How long the user waits without a word.
const SILENT: Duration = Duration::from_secs(5);

/// Code of an answer that says that the workspace declined.
pub(crate) const DECLINED: &str = "Declined";

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    status: StatusCode,
    /// The gateway's own code; `None`: another program answered.
    code: Option<String>,
    /// When to try again, if the answer says so.
    retry_after: Option<Duration>,
    message: String,
}

impl Refusal {
    /// `message`: what the user reads.
    pub(crate) fn new(status: StatusCode, headers: &HeaderMap, body: &Value, message: String) -> Self {
        let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        Self {
            status,
            code: body["error"].as_str().map(str::to_owned),
            retry_after: seconds.map(Duration::from_secs),
            message,
        }
    }

    fn is_limit(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS && self.code.as_deref() != Some(DECLINED)
    }

    /// Whether a new ticket may help.
    pub(crate) fn may_concern_ticket(&self) -> bool {
        self.status.is_client_error() && !self.is_limit() && self.code.as_deref() != Some(DECLINED)
    }
}

/// The next attempt.
#[derive(Debug, PartialEq, Eq)]
struct Next {
    wait: Duration,
    /// Whether the user is told.
    is_told: bool,
}

/// Makes attempts until one ends otherwise than by a temporary refusal, or their time is over.
pub(crate) async fn retried<T, F: Future<Output = anyhow::Result<T>>>(
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let mut retries = Retries::default();
    loop {
        match attempt().await {
            Err(error) if retries.wait(&error).await => {}
            done => return done,
        }
    }
}

/// Temporary refusals so far.
#[derive(Debug, Default)]
struct Retries {
    /// When the first one of its kind came.
    limited: Option<Instant>,
    unavailable: Option<Instant>,
    step: Duration,
    was_told: bool,
}

impl Retries {
    /// Waits for the next attempt. `false`: there is none.
    async fn wait(&mut self, error: &anyhow::Error) -> bool {
        let refusal = error.downcast_ref();
        let Some(next) = refusal.and_then(|refusal| self.next(refusal, Instant::now())) else {
            return false;
        };
        if next.is_told {
            // Without its stream there is nowhere to show it.
            let _ = writeln!(io::stderr(), "waiting for the gateway, which says: {error}");
        }
        sleep(next.wait).await;
        true
    }

    /// `None`: the refusal is final.
    fn next(&mut self, refusal: &Refusal, now: Instant) -> Option<Next> {
        let named = refusal.retry_after.unwrap_or_default().max(FIRST);
        let (first, limit, wait) = match (refusal.status, refusal.code.as_deref()) {
            _ if refusal.is_limit() => (&mut self.limited, LIMITED, named),
            (StatusCode::SERVICE_UNAVAILABLE, Some("Unavailable")) => {
                self.step = (self.step * 2).clamp(FIRST, STEP);
                (&mut self.unavailable, UNAVAILABLE, named.max(self.step))
            }
            _ => return None,
        };
        let end = (now - *first.get_or_insert(now)).saturating_add(wait);
        if end > limit {
            return None;
        }
        let is_told = end > SILENT && !self.was_told;
        self.was_told |= is_told;
        Some(Next { wait, is_told })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn refusal(status: u16, code: Option<&str>, retry_after: Option<u64>) -> Refusal {
        let seconds = retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds)));
        let status = StatusCode::from_u16(status).unwrap();
        Refusal::new(
            status,
            &seconds.into_iter().collect(),
            &json!({"error": code}),
            "no".to_owned(),
        )
    }

    /// The waits between answers that are all like this one, and the number of the wait that the user is told of.
    fn waits(refusal: &Refusal) -> (Vec<u64>, Option<usize>) {
        let (mut retries, mut now) = (Retries::default(), Instant::now());
        let (mut waits, mut told) = (Vec::new(), None);
        while let Some(next) = retries.next(refusal, now) {
            if next.is_told {
                assert_eq!(told, None, "told twice");
                told = Some(waits.len());
            }
            waits.push(next.wait.as_secs());
            now += next.wait;
        }
        (waits, told)
    }

    #[test]
    fn a_limit_is_waited_for_as_long_as_it_says_up_to_a_minute() {
        let limit = |seconds| waits(&refusal(429, Some("TooManyRequests"), seconds));
        assert_eq!(limit(Some(1)), (vec![1; 60], Some(5)));
        assert_eq!(limit(Some(25)), (vec![25, 25], Some(0)));
        assert_eq!(limit(Some(61)), (vec![], None));
        assert_eq!(limit(Some(u64::MAX)), (vec![], None));
        // It is asked neither at once nor without end.
        assert_eq!(limit(Some(0)), limit(Some(1)));
        assert_eq!(limit(None), limit(Some(1)));
        assert_eq!(
            waits(&refusal(429, None, Some(25))),
            limit(Some(25)),
            "of a proxy"
        );
    }

    #[test]
    fn a_gateway_that_cannot_answer_is_asked_a_few_times_within_15_seconds() {
        let unavailable = |seconds| waits(&refusal(503, Some("Unavailable"), seconds));
        assert_eq!(unavailable(Some(1)), (vec![1, 2, 4, 4, 4], Some(2)));
        assert_eq!(unavailable(None), unavailable(Some(1)));
        assert_eq!(unavailable(Some(10)), (vec![10], Some(0)));
    }

    #[test]
    fn other_refusals_are_final() {
        for (status, code) in [
            (503, Some("WorkspaceNotReady")),
            (503, Some(DECLINED)),
            (503, None),
            (429, Some(DECLINED)),
            (401, Some("SignInRequired")),
            (403, Some("NoAccess")),
            (502, Some("WorkspaceUnreachable")),
        ] {
            let refusal = refusal(status, code, Some(1));
            assert_eq!(waits(&refusal).0, [0; 0], "{status} {code:?}");
        }
    }
}

//! Work outside the workspace reconcile -> its result, or the wait before a retry (IO: the log).

use std::time::Duration;

use crate::{
    context::Context,
    controllers::resync::MIN_REST,
    support::failure::{is_expected, message_of, reason_of},
};

/// A piece of work, and how its failure is reported.
pub(crate) struct Attempt {
    /// Label in metrics.
    pub(crate) step: &'static str,
    /// The object of the work. Failures in a row are counted by it.
    pub(crate) key: String,
    /// Work that takes longer is stuck. It is cancelled and retried.
    pub(crate) limit: Duration,
    /// Log message for unexpected failures.
    pub(crate) complaint: &'static str,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failed {
    /// The wait before a retry.
    pub(crate) again: Duration,
    /// The error.
    pub(crate) error: kube::Error,
}

/// Does the work once. Failures are counted and logged, and the waits between them grow.
pub(crate) async fn attempt<T>(
    context: &Context,
    what: &Attempt,
    work: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failed> {
    let error = match tokio::time::timeout(what.limit, work).await {
        Ok(Ok(done)) => {
            context.backoff.reset(&what.key);
            return Ok(done);
        }
        Ok(Err(error)) => error,
        Err(_) => kube::Error::Service("the API server does not answer".into()),
    };
    context.metrics.error(what.step, reason_of(&error));
    let message = message_of(&error);
    if is_expected(&error) {
        tracing::debug!(object = what.key, message, "will be retried");
    } else {
        tracing::warn!(object = what.key, message, "{}", what.complaint);
    }
    let again = context.backoff.after_failure(&what.key).max(MIN_REST);
    Err(Failed { again, error })
}

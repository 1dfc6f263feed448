//! Work beside the passes -> what came of it, or after which time to try again (IO: the log).

use std::time::Duration;

use crate::{
    context::Context,
    controllers::resync::BREATH,
    support::failure::{is_everyday, message_of, reason_of},
};

/// What is tried, and how a failure of it is told.
pub(crate) struct Attempt {
    /// For metrics.
    pub(crate) step: &'static str,
    /// What it is about: failures in a row are counted by it.
    pub(crate) key: String,
    /// Work that takes longer has got stuck; it is given up and tried again.
    pub(crate) limit: Duration,
    /// What to say where it is no everyday failure.
    pub(crate) complaint: &'static str,
}

/// An attempt that came to nothing.
#[derive(Debug)]
pub(crate) struct Failed {
    /// After which time to try again.
    pub(crate) again: Duration,
    /// Why.
    pub(crate) error: kube::Error,
}

/// Does it, once. Failures are counted, told, and followed by ever longer waits.
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
    if is_everyday(&error) {
        tracing::debug!(object = what.key, message, "looked at again");
    } else {
        tracing::warn!(object = what.key, message, "{}", what.complaint);
    }
    let again = context.backoff.after_failure(&what.key).max(BREATH);
    Err(Failed { again, error })
}

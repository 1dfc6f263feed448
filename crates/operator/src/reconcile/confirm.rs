//! Cached observed state -> observed state that a start or a stop may rely on (IO).

use std::time::Duration;

use super::workspace::Error;
use crate::{
    cache::{observe, observed::Observed, pending_writes::Recalled},
    context::Context,
};

/// Returns the cached observed state, completed by our own last write where the cache does not show it yet. Where `doubtful` says so,
/// it is read again from the API server.
///
/// The flag for `doubtful` says whether it is certain that no pod exists and none can be made. That is certain in two cases:
/// - It was confirmed before, and nothing has happened since.
/// - The workspace is `new` and has no disk. Then only cached children can exist, or children that a write would conflict with. A
///   disk may have been retained, with a pod of an earlier workspace on it.
///
/// `complete`: the caches show all children except the Deployment. Only then is our last write enough where the caches do not show it
/// yet. It has to be checked again after the time in the answer.
pub(super) async fn confirm(
    context: &Context,
    mut observed: Observed,
    new: bool,
    complete: bool,
    doubtful: impl Fn(&Observed, bool) -> bool,
) -> Result<(Observed, Option<Duration>), Error> {
    let (pending, key) = (&context.pending_writes, observed.identity.key());
    let recalled = pending.deployment(&key, observed.deployment.as_deref());
    let unseen = recalled == Recalled::Unseen
        || (!complete && observed.deployment.is_none() && recalled != Recalled::Nothing);
    let mut expected = None;
    match recalled {
        Recalled::Newer(deployment) => observed.deployment = Some(deployment),
        Recalled::Expected(deployment, left) => {
            observed.deployment = Some(deployment);
            expected = Some(left);
        }
        Recalled::Nothing | Recalled::Unseen => {}
    }
    let mut known = (new && observed.deployment.is_none() && observed.claim.is_none() && observed.is_quiet())
        || pending.was_quiet(&key, observed.deployment.as_deref());
    if unseen || doubtful(&observed, known) {
        let (client, lister) = (&context.client, &context.lister);
        // The caches show no write to the Deployment since we ended its run. A later write would also come after the answer to a read
        // from the API server.
        let ended = !unseen && pending.has_ended(&key, observed.deployment.as_deref());
        let reread = async {
            if unseen {
                observe::reread_all(observed, client, lister).await
            } else if ended {
                observe::recount(observed, client, lister).await
            } else {
                observe::reread(observed, client, lister).await
            }
        };
        observed = context.metrics.timed("reread", Box::pin(reread)).await?;
        if !ended {
            pending.saw_deployment(&key, observed.deployment.as_ref());
        }
        (known, expected) = (true, None);
    }
    if known && observed.is_quiet() {
        pending.is_quiet(&key, observed.deployment.as_deref());
    }
    Ok((observed, expected))
}

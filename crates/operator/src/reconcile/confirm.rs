//! The cached observed state -> a observed state that is certain enough to build upon (IO).

use std::time::Duration;

use super::workspace::Error;
use crate::{
    cache::{observe, observed::Observed, pending_writes::Recalled},
    context::Context,
};

/// The cached observed state, with our own last write where the cache does not have it yet, and read anew where `doubtful` says
/// so. It is told whether it is certain anyway that no pod is there and none can come: because it was made sure of and
/// nothing happened since, or because the workspace is `new` and has no disk, so that nothing of it can be there but what the caches show
/// or a write runs into. A disk may have been kept, with a pod of an earlier workspace on it. `complete`: the caches show all children but the Deployment; only then is our last write enough where they
/// do not show it yet, and is to be looked for again after the time in the answer.
pub(super) async fn confirm(
    context: &Context,
    mut observed: Observed,
    new: bool,
    complete: bool,
    doubtful: impl Fn(&Observed, bool) -> bool,
) -> Result<(Observed, Option<Duration>), Error> {
    let (memory, key) = (&context.pending_writes, observed.identity.key());
    let recalled = memory.deployment(&key, observed.deployment.as_deref());
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
        || memory.was_quiet(&key, observed.deployment.as_deref());
    if unseen || doubtful(&observed, known) {
        let (client, lister) = (&context.client, &context.lister);
        // Nobody has touched the Deployment since we ended its run, as far as the caches show: what comes later, comes later than
        // an answer about it would as well.
        let ended = !unseen && memory.has_ended(&key, observed.deployment.as_deref());
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
            memory.saw_deployment(&key, observed.deployment.as_ref());
        }
        (known, expected) = (true, None);
    }
    if known && observed.is_quiet() {
        memory.is_quiet(&key, observed.deployment.as_deref());
    }
    Ok((observed, expected))
}

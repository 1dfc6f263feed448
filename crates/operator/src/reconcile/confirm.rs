//! The cached world -> a world that is certain enough to build upon (IO).

use std::time::Duration;

use super::workspace::Error;
use crate::{
    cache::{observe, observed::World, pending_writes::Recalled},
    context::Context,
};

/// The cached world, with our own last write where the cache does not have it yet, and read anew where `doubtful` says
/// so. It is told whether it is certain anyway that no pod is there and none can come: because it was made sure of and
/// nothing happened since, or because the workspace is `new` and has no disk, so that nothing of it can be there but what the caches show
/// or a write runs into. A disk may have been kept, with a pod of an earlier workspace on it. `complete`: the caches show all children but the Deployment; only then is our last write enough where they
/// do not show it yet, and is to be looked for again after the time in the answer.
pub(super) async fn confirm(
    context: &Context,
    mut world: World,
    new: bool,
    complete: bool,
    doubtful: impl Fn(&World, bool) -> bool,
) -> Result<(World, Option<Duration>), Error> {
    let (memory, key) = (&context.memory, world.identity.key());
    let recalled = memory.deployment(&key, world.deployment.as_deref());
    let unseen = recalled == Recalled::Unseen
        || (!complete && world.deployment.is_none() && recalled != Recalled::Nothing);
    let mut expected = None;
    match recalled {
        Recalled::Newer(deployment) => world.deployment = Some(deployment),
        Recalled::Expected(deployment, left) => {
            world.deployment = Some(deployment);
            expected = Some(left);
        }
        Recalled::Nothing | Recalled::Unseen => {}
    }
    let mut known = (new && world.deployment.is_none() && world.claim.is_none() && world.is_quiet())
        || memory.was_quiet(&key, world.deployment.as_deref());
    if unseen || doubtful(&world, known) {
        let (client, census) = (&context.client, &context.census);
        // Nobody has touched the Deployment since we ended its run, as far as the caches show: what comes later, comes later than
        // an answer about it would as well.
        let ended = !unseen && memory.has_ended(&key, world.deployment.as_deref());
        let reread = async {
            if unseen {
                observe::reread_all(world, client, census).await
            } else if ended {
                observe::recount(world, client, census).await
            } else {
                observe::reread(world, client, census).await
            }
        };
        world = context.metrics.timed("reread", Box::pin(reread)).await?;
        if !ended {
            memory.saw_deployment(&key, world.deployment.as_ref());
        }
        (known, expected) = (true, None);
    }
    if known && world.is_quiet() {
        memory.is_quiet(&key, world.deployment.as_deref());
    }
    Ok((world, expected))
}

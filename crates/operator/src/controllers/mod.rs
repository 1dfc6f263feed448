//! Objects beside workspaces -> reconciled by one controller each (IO).
//!
//! | name | input -> output |
//! |---|---|
//! | `catalog` | templates, managers, profiles -> in-use finalizers, number of users, whether they are valid |
//! | `shares` | WorkspaceShares -> bound, active, ended, removed |
//! | `objects` | `routing.custom` of managers, `objects` of templates -> routes and objects of each workspace |
//! | `idle` | workspaces that stop when idle -> their last activity, and a stop |
//! | `expiry` | stopped workspaces whose retention is over -> announced, then deleted |
//! | `assertion_keys` | public keys of gateway and operator -> a ConfigMap in each namespace with workspaces |
//! | `images` | templates with labels for it -> images on nodes, and room, before a workspace starts |
//! | `network_policies` | policies of pods -> as planned, and deleted once no pod needs them |
//! | `definitions` | what the CRDs in the cluster lack -> reported, and read again |
//! | `resync` | changes of what users write -> reconciles of all objects |
//! | `attempt` | a failed attempt -> a metric, a log line and the wait before the next attempt |

pub mod assertion_keys;
mod attempt;
pub mod catalog;
pub(crate) mod definitions;
pub mod expiry;
pub mod idle;
pub mod images;
pub mod network_policies;
pub mod objects;
pub mod resync;
pub mod shares;

use tokio_util::sync::CancellationToken;

use self::catalog::CatalogState;
use crate::{activity::Asker, context::Context};

/// Once the caches are filled, reconciles catalog objects, shares, network policies, assertion keys and images on nodes, and
/// stops idle workspaces.
pub async fn run(context: &Context, shutdown: &CancellationToken) {
    if context.stores.until_filled().await.is_err() {
        return;
    }
    let asker = Asker::over_http(context.now, context.keys.signer());
    let catalog = CatalogState::default();
    let changes = &context.stores.changes;
    tokio::join!(
        resync::run(changes, shutdown, async || {
            Box::pin(catalog::reconcile(context, &catalog)).await
        }),
        resync::run(changes, shutdown, async || {
            Box::pin(shares::reconcile(context)).await
        }),
        resync::run(changes, shutdown, async || {
            Box::pin(network_policies::reconcile(context)).await
        }),
        resync::run(changes, shutdown, async || {
            Box::pin(assertion_keys::reconcile(context)).await
        }),
        Box::pin(images::run(context, shutdown)),
        idle::run(context, &asker, shutdown)
    );
}

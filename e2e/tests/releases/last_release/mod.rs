//! An upgrade from the chart of an earlier version while two users work, and the rollback.
//!
//! The package in `charts/released` is that version's, and so are the CRDs. The images are those of this build in both directions: a test
//! cannot build earlier ones. So this shows what charts and CRDs do. `restarts.rs` of the operator shows in memory
//! what becomes of pods of another build. As with other images, each pod of gateway, operator, proxy and webhook is replaced.
//!
//! That chart gives the operator no rights on pods, because its version made Deployments. So the users start their workspaces before, and
//! create further ones after the upgrade. Bob stores a stopped one under the earlier chart and CRDs, and starts it after the upgrade.
//!
//! | module | holds |
//! |---|---|
//! | `definitions` | CRDs of either release |
//! | `package` | the package, and values for it |
//! | `state` | what an upgrade leaves as it is: pods, runs, sessions, keys |
//! | `tab` | a websocket that is opened again when it closes |
//! | `users` | the two users |

mod definitions;
mod package;
mod state;
mod tab;
mod users;

use std::time::Instant;

use anyhow::Context as _;
use e2e::{installation::release, test_run::finally::always};

use definitions::Definitions;
use package::Package;
use state::{State, sessions};
use users::Users;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_from_the_last_release_and_the_rollback_fail_no_request_and_end_no_session_or_pod()
-> anyhow::Result<()> {
    let package = Package::kept().await?;
    let definitions = Definitions::of_both(&package).await?;
    let users = Users::new().await?;
    let back = timed("this build's release again", release::upgrade(&[]));
    always(Box::pin(to_and_fro(&package, &definitions, &users)), back).await?;
    definitions.are_this_build_s().await.context("CRDs in the end")?;
    users.finish().await
}

async fn to_and_fro(package: &Package, definitions: &Definitions, users: &Users) -> anyhow::Result<()> {
    let earlier = sessions().await?;
    let work = Box::pin(users.begin()).await?;
    timed("the last release", package.install()).await?;
    definitions.become_the_last_release_s().await?;
    users.store().await?;
    let before = State::of(users.scratch(), &earlier).await?;
    users.see_a_portal(&work, package.has_portal).await?;

    let meanwhile = timed("upgraded", release::upgrade(&[]));
    Box::pin(work.goes_on_during("upgrade", meanwhile)).await?;
    definitions
        .are_this_build_s()
        .await
        .context("CRDs after the upgrade")?;
    before.is_kept(users.scratch()).await.context("upgrade")?;
    users.see_a_portal(&work, true).await?;
    work.opens_others().await?;

    let meanwhile = timed("rolled back", release::roll_back());
    Box::pin(work.goes_on_during("rollback", meanwhile)).await?;
    definitions
        .are_this_build_s()
        .await
        .context("CRDs after the rollback")?;
    before.is_kept(users.scratch()).await.context("rollback")?;
    users.see_a_portal(&work, package.has_portal).await
}

/// Prints how long a step took.
async fn timed(what: &str, step: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let begin = Instant::now();
    step.await.with_context(|| what.to_owned())?;
    println!("{what} after {:?}", begin.elapsed());
    Ok(())
}

//! Staged failures -> what the product reports about them, and when (IO).
//!
//! A row creates one failure in its own namespace, and then repairs it. The test also checks that the report ends. Portal,
//! `kubectl workspace explain` and the gateway's page must give the owner the same explanation with the remedy. The portal must then stop.
//! They are read after the time of the report is known.
//!
//! Some reasons (`PodLost`, `PodTemplateChanged`) are only in an Event, not in the status, so none of them is
//! read. The gateway's page exists only in place of a workspace that has an address and has not started. No row has a workspace that
//! admission refuses: there is none to explain.
//!
//! Times come from the API server's audit log: when it received the evidence, and when it stored the status about it.
//! Without that log, they are the whole seconds in the objects.
//!
//! - `fixture`: one row: its namespace, its workspace, the reports about it.
//! - `explained`: explanations of portal, plugin and gateway for the owner.
//! - `registry`: an image registry on a node, with a password.
//! - `node`: a Node object without a machine.
//! - `moment`: time of a write.
//! - `history`: all stored versions of a workspace's objects.
//! - `checks`: whether a failure was reported once.

mod checks;
mod explained;
mod fixture;
mod history;
mod moment;
mod node;
mod registry;

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use jiff::SignedDuration;

use self::explained::OWNER;
pub use self::{
    fixture::Fixture,
    history::Histories,
    moment::{Moment, Write},
    node::{SilentNode, end_pods},
    registry::{Place, Registry},
};
use crate::portal::Portal;

/// Maximum number of concurrent rows: the cluster is one small node.
const AT_ONCE: usize = 6;
/// Timeout of a row.
const TIMEOUT: Duration = Duration::from_mins(4);

/// The function of a row, which stages the failure in its fixture.
pub type Stage = fn(&Fixture) -> BoxFuture<'_, anyhow::Result<()>>;

/// A failure: its name, which is also the workspace's, and the function that creates, checks and repairs it.
pub type Row = (&'static str, Stage);

/// Reported reasons, with their delays since the evidence.
type Delays = Vec<(&'static str, SignedDuration)>;

/// `row!(function)` is a [`Row`] of that name.
#[macro_export]
macro_rules! row {
    ($function:ident) => {{
        fn stage(
            fixture: &$crate::failures::Fixture,
        ) -> ::futures::future::BoxFuture<'_, ::anyhow::Result<()>> {
            ::std::boxed::Box::pin($function(fixture))
        }
        (stringify!($function), stage as $crate::failures::Stage)
    }};
}

/// Runs all rows concurrently, and fails with the names of the failed rows.
///
/// # Errors
/// A row failed, or no user could sign in to the portal. The message contains the observations of each failed row.
pub async fn table(family: &str, rows: impl IntoIterator<Item = Row>) -> anyhow::Result<()> {
    let portal = Portal::enter(OWNER).await?;
    let rows: Vec<_> = stream::iter(rows)
        .map(|row| run(row, portal.clone()))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut failed = Vec::new();
    for (name, took, delays, result) in rows {
        let delay =
            |(reason, delay): &(&str, SignedDuration)| format!("{reason} after {:.3} s", delay.as_secs_f64());
        let findings: Vec<_> = delays.iter().map(delay).collect();
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        println!(
            "{family:<10} {name:<34} {:>5.1} s  {outcome}  {}",
            took.as_secs_f64(),
            findings.join(", ")
        );
        if let Err(error) = result {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    anyhow::ensure!(failed.is_empty(), "{}", failed.join("\n\n"));
    Ok(())
}

async fn run((name, stage): Row, portal: Portal) -> (&'static str, Duration, Delays, anyhow::Result<()>) {
    let begin = Instant::now();
    let fixture = match Fixture::new(name, portal).await {
        Ok(fixture) => fixture,
        Err(error) => return (name, begin.elapsed(), Vec::new(), Err(error)),
    };
    // A row that panics must neither leave its nodes behind nor end the other rows.
    let staged = std::panic::AssertUnwindSafe(tokio::time::timeout(TIMEOUT, stage(&fixture)))
        .catch_unwind()
        .await;
    let result = match staged {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(anyhow::anyhow!("it took longer than {TIMEOUT:?}")),
        Err(_) => Err(anyhow::anyhow!("it panicked, see above")),
    };
    let result = result.map_err(|error| error.context(fixture.final_message()));
    let delays = fixture.delays();
    let left = fixture.finish(result.is_err()).await;
    (name, begin.elapsed(), delays, result.and(left))
}

//! Staged failures -> what the product reports about them, and when (IO).
//!
//! A row creates one failure in its own namespace, and then repairs it. The test also checks that the report ends.
//! Times come from the API server's audit log: when it received the evidence, and when it stored the status about it.
//! Without that log, they are the whole seconds in the objects.

mod checks;
mod cleanup;
mod fixture;
mod history;
mod moment;
mod node;
mod registry;

use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};

pub use self::{
    fixture::Fixture,
    history::Histories,
    moment::{Moment, Write},
    node::SilentNode,
    registry::{Place, Registry},
};

/// Maximum number of concurrent rows: the cluster is one small node.
const AT_ONCE: usize = 6;
/// Timeout of a row.
const TIMEOUT: Duration = Duration::from_mins(4);

/// The function of a row, which stages the failure in its fixture.
pub type Stage = fn(&Fixture) -> BoxFuture<'_, anyhow::Result<()>>;

/// A failure: its name, which is also the workspace's, and the function that creates, checks and repairs it.
pub type Row = (&'static str, Stage);

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
/// A row failed. The message says what each failed row observed.
pub async fn table(family: &str, rows: impl IntoIterator<Item = Row>) -> anyhow::Result<()> {
    let rows: Vec<_> = stream::iter(rows)
        .map(run)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut failed = Vec::new();
    for (name, took, findings, result) in rows {
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

async fn run((name, stage): Row) -> (&'static str, Duration, Vec<String>, anyhow::Result<()>) {
    let begin = Instant::now();
    let fixture = match Fixture::new(name).await {
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
    let findings = fixture.findings();
    let left = fixture.finish(result.is_err()).await;
    (name, begin.elapsed(), findings, result.and(left))
}

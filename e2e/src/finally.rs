//! Changed shared state -> its original value, however a test ends (IO).

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;

/// Runs `work`, and then always `restore`, even after a panic, because other tests follow.
///
/// # Errors
/// `restore` fails, or else `work`.
pub async fn always(
    work: impl Future<Output = anyhow::Result<()>>,
    restore: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    restore.await?;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

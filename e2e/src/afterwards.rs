//! Changed shared state -> its original value, however a test ends (IO).

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;

/// Runs `work`, and then always `mend`, even after a panic, because other tests follow.
///
/// # Errors
/// `mend` fails, or else `work`.
pub async fn and_in_any_case(
    work: impl Future<Output = anyhow::Result<()>>,
    mend: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    mend.await?;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

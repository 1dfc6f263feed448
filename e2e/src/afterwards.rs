//! What a test changed that other tests go by -> put back, however the test ends.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;

/// Does `work`, and then `mend` in any case, also after a panic: other tests follow.
///
/// # Errors
/// When `mend` fails; else those of `work`.
pub async fn and_in_any_case(
    work: impl Future<Output = anyhow::Result<()>>,
    mend: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    mend.await?;
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

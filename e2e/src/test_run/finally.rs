//! Changed shared state -> its original value, however a test ends (IO).

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures::FutureExt as _;

/// Runs `work`, and then always `restore`, even after a panic, because other tests follow.
///
/// # Errors
/// `work` or `restore` fails.
pub async fn always(
    work: impl Future<Output = anyhow::Result<()>>,
    restore: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    let restored = restore.await;
    match (outcome.unwrap_or_else(|panic| resume_unwind(panic)), restored) {
        (Err(work), Err(restore)) => Err(work.context(format!("not restored either: {restore:#}"))),
        (work, restored) => work.and(restored),
    }
}

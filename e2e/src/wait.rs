//! Condition -> its value once it holds, or the last observation (IO).

use std::{fmt::Debug, future::Future, time::Duration};

use anyhow::bail;
use kube::ResourceExt;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// Interval between checks of a condition.
const PERIOD: Duration = Duration::from_millis(200);
/// Deadline of conditions that take seconds on a quiet machine.
pub const USUAL: Duration = Duration::from_mins(2);

/// Calls `probe` until it returns `Ok(value)`. `Err` says what is still missing.
///
/// # Errors
/// `deadline` passes. The message contains the last `Err`.
pub async fn until<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    deadline: Duration,
    probe: impl FnMut() -> F,
) -> anyhow::Result<T> {
    checked_every(PERIOD, what, deadline, probe).await
}

/// Like [`until`], but with one check a second: for checks that cost the cluster much, and conditions that take long.
///
/// # Errors
/// `deadline` passes. The message contains the last `Err`.
pub async fn until_checked_each_second<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    deadline: Duration,
    probe: impl FnMut() -> F,
) -> anyhow::Result<T> {
    checked_every(Duration::from_secs(1), what, deadline, probe).await
}

/// Waits until five reads in a row after the first return the same version of an object. `Err` says what is still missing.
///
/// # Errors
/// [`USUAL`] passes.
pub async fn settled<K: ResourceExt, F: Future<Output = Result<K, String>>>(
    name: &str,
    read: impl Fn() -> F,
) -> anyhow::Result<K> {
    let seen = Mutex::new((0, None));
    until(&format!("{name} to settle"), USUAL, || async {
        let now = read().await?;
        let mut seen = seen.lock().await;
        let same = seen.1 == now.resource_version();
        *seen = (if same { seen.0 + 1 } else { 0 }, now.resource_version());
        if seen.0 >= 5 {
            Ok(now)
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await
}

async fn checked_every<T, E: Debug, F: Future<Output = Result<T, E>>>(
    period: Duration,
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let end = Instant::now() + deadline;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(missing) if Instant::now() >= end => {
                bail!("waited {deadline:?} for {what}; last: {missing:?}")
            }
            Err(_) => sleep(period).await,
        }
    }
}

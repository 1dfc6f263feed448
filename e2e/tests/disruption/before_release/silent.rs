//! Two replicas of the gateway, one of which stalls or cannot be reached -> failed requests.

use std::time::Duration;

use e2e::http::load::Load;
use tokio::time::sleep;

use crate::replicas::{Replica, check, settled, user_at_work};

/// One request every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// How long users are watched: longer than the proxy waits for an answer (30 s), and than the kubelet for a probe (40 s).
const WATCHED: Duration = Duration::from_secs(50);
/// Then the replica continues.
const AFTERWARDS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_s_requests_survive_a_replica_that_hangs_or_is_unreachable() -> anyhow::Result<()> {
    let _exclusive = crate::EXCLUSIVE.lock().await;
    let (scratch, session, url) = user_at_work("silent").await?;

    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let replica = Replica::busiest().await?;
    let fault = load.begin.elapsed();
    replica.signal("STOP")?;
    sleep(WATCHED).await;
    // If the process has already ended, that is fine.
    let _ = replica.signal("CONT");
    sleep(AFTERWARDS).await;
    let stopped = load.end("SIGSTOP", fault).await?;
    settled().await?;

    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let replica = Replica::busiest().await?;
    let fault = load.begin.elapsed();
    replica.drop_packets("-I").await?;
    sleep(WATCHED).await;
    let repaired = replica.drop_packets("-D").await;
    sleep(AFTERWARDS).await;
    let dropped = load.end("dropped packets", fault).await?;
    repaired?;

    check(&stopped, 15, 100)?;
    check(&dropped, 35, 100)?;
    scratch.finish().await
}

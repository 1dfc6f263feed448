//! Two replicas of the gateway, one of which is killed -> failed requests of a user.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context as _, ensure};
use e2e::{
    cluster::{self, Scratch},
    http::{
        HttpSession,
        load::{Load, Report},
    },
    installation::component,
    objects::workspace,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::time::sleep;

/// One request every 5 ms.
const PAUSE: Duration = Duration::from_millis(5);
/// How long users are watched after a replica was killed.
const WATCHED: Duration = Duration::from_secs(15);

/// The process of a replica on this machine.
pub(crate) struct Replica {
    process: u32,
}

impl Replica {
    /// The processes of the gateway's pods, found by the pods' control groups.
    async fn all() -> anyhow::Result<Vec<Self>> {
        let pods = cluster::component_pods(cluster::admin().await?, "gateway").await?;
        let live = pods.into_iter().filter(cluster::is_ready);
        live.map(|pod| Self::of(&pod)).collect()
    }

    /// The process of this pod's server.
    pub(crate) fn of(pod: &Pod) -> anyhow::Result<Self> {
        let uid = pod.uid().context("a pod without UID")?;
        let process = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .find(|process| is_server_of(*process, &uid))
            .with_context(|| format!("no process of {} on this machine", pod.name_any()))?;
        Ok(Self { process })
    }

    /// The replica that serves the proxy's requests: it uses the most CPU time.
    pub(crate) async fn busiest() -> anyhow::Result<Self> {
        let replicas = Self::all().await?;
        ensure!(replicas.len() == 2, "{} replicas are ready", replicas.len());
        let before: Vec<_> = replicas.iter().map(Self::ticks).collect();
        sleep(Duration::from_secs(2)).await;
        let used = replicas.into_iter().zip(before);
        let busiest = used.max_by_key(|(replica, before)| replica.ticks().saturating_sub(*before));
        Ok(busiest.context("no replica")?.0)
    }

    /// Time on the processor.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap_or_default();
        let fields = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
        let field = |at: usize| fields.as_ref()?.get(at)?.parse::<u64>().ok();
        field(11).unwrap_or_default() + field(12).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        run("kill", &[&format!("-{name}"), &self.process.to_string()])
    }
}

fn is_server_of(process: u32, pod: &str) -> bool {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    let command = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    groups.contains(&format!("pod{pod}/")) && command.trim() == "server"
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status()?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}

/// Alice's namespace, her session in a workspace there, and its URL, while all replicas of the gateway are ready.
pub(crate) async fn user_at_work(prefix: &str) -> anyhow::Result<(Scratch, HttpSession, String)> {
    let scratch = Scratch::new(prefix, &["alice"]).await?;
    let url = workspace::url(&workspace::running(&scratch, "ws").await?)?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    component::are_ready("gateway", 2).await?;
    Ok((scratch, session, url))
}

/// Checks that few requests failed or were delayed, no gap was longer than `gap` seconds, and later fewer than one request in `one_in`
/// failed. The bounds are generous because other tests share the machine.
pub(crate) fn check(report: &Report, gap: u64, one_in: usize) -> anyhow::Result<()> {
    let lost = report.failed + report.delayed;
    ensure!(lost * 10 < report.asked, "{report:?}");
    ensure!(report.gap < Duration::from_secs(gap), "{report:?}");
    // Later, only requests fail that reach a replica at the time when its kubelet ends it.
    ensure!(report.late * one_in < report.asked, "{report:?}");
    ensure!(report.slowest < Duration::from_secs(38), "{report:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_s_requests_survive_a_killed_replica() -> anyhow::Result<()> {
    let _exclusive = super::EXCLUSIVE.lock().await;
    let (scratch, session, url) = user_at_work("replicas").await?;

    let load = Load::begin(&session, &format!("{url}alive"), PAUSE);
    let replica = Replica::busiest().await?;
    let fault = load.begin.elapsed();
    replica.signal("KILL")?;
    sleep(WATCHED).await;
    check(&load.end("SIGKILL", fault).await?, 5, 20)?;
    component::are_ready("gateway", 2).await?;
    scratch.finish().await
}

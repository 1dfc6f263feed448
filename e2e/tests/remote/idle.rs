//! Use by ssh, as the operator sees it: it keeps a workspace, and an open connection alone does not.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{
    Workspace,
    workspace::{DesiredStatus, Phase, StopRule},
};
use e2e::{
    cluster::{self, Scratch},
    http::HttpSession,
    objects::workspace,
    remote::{Machine, machine},
    wait,
};
use jiff::Timestamp;
use kube::{Api, api::PostParams};

/// Name of the operator's signal.
const SIGNAL: &str = "ssh";
/// Time between two lines that somebody types. It is shorter than the timeout.
const PAUSE: Duration = Duration::from_secs(5);
/// The timeout, the checks after it, and the end of the pod.
const STOPPED: Duration = Duration::from_mins(3);

/// The last use by ssh that the operator knows of; an error if the signal cannot be read.
async fn used(workspaces: &Api<Workspace>, name: &str) -> Result<Option<Timestamp>, String> {
    let status = workspaces
        .get(name)
        .await
        .map_err(|error| error.to_string())?
        .status;
    let signals = status
        .unwrap_or_default()
        .idle
        .into_iter()
        .flat_map(|idle| idle.signals);
    let by_ssh = signals.into_iter().find(|signal| signal.name == SIGNAL);
    match by_ssh {
        None => Ok(None),
        Some(signal) => match signal.error {
            Some(error) => Err(error),
            None => Ok(signal.last_activity.map(|time| time.0)),
        },
    }
}

/// Waits until the operator knows of a later use than this one.
async fn used_since(
    workspaces: &Api<Workspace>,
    name: &str,
    before: Option<Timestamp>,
) -> anyhow::Result<Timestamp> {
    let what = format!("a use of {name} by ssh after {before:?}");
    wait::until(&what, wait::USUAL, || async {
        match used(workspaces, name).await? {
            Some(now) if Some(now) > before => Ok(now),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

/// Does this now and then, until the future is ready.
async fn repeated_until<T>(
    mut work: impl AsyncFnMut() -> anyhow::Result<()>,
    ready: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut pauses = tokio::time::interval(PAUSE);
    tokio::pin!(ready);
    loop {
        tokio::select! {
            done = &mut ready => return done,
            _ = pauses.tick() => work().await?,
        }
    }
}

/// The workspace is stopped because nobody uses it.
async fn stops(workspaces: &Api<Workspace>, name: &str) -> anyhow::Result<()> {
    let stopped = wait::until(&format!("{name} to stop"), STOPPED, || async {
        let workspace = workspaces.get(name).await.map_err(|error| error.to_string())?;
        let phase = workspace.status.as_ref().and_then(|status| status.phase);
        if phase == Some(Phase::Stopped) {
            Ok(workspace)
        } else {
            Err(format!("{:?}", workspace.status))
        }
    })
    .await?;
    let because = stopped.status.and_then(|status| status.stopped_because);
    ensure!(
        because
            .as_ref()
            .is_some_and(|because| because.rule == StopRule::Idle),
        "{because:?}"
    );
    Ok(())
}

/// Two workspaces with an open shell each, and one that gets files. In one of the first two somebody types. The other is stopped as unused,
/// while its shell is open.
#[tokio::test]
async fn typing_and_transfer_are_use_and_silence_is_not() -> anyhow::Result<()> {
    let scratch = Scratch::new("ssh-idle", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let names = ["typed", "copied", "silent"];
    for name in names {
        alice
            .create(&PostParams::default(), &workspace::idle_after_a_minute(name))
            .await?;
    }
    let machine = Machine::signed_in("alice", &HttpSession::new()?).await?;
    for name in names {
        workspace::reached(&alice, name, Phase::Running).await?;
    }
    let host = |name: &str| machine::host(&scratch.namespace, name);
    let mut silent = machine.enter(&host("silent")).await?;
    let mut typed = machine.enter(&host("typed")).await?;
    machine.run("head -c 100000 /dev/urandom > file").await?;
    ensure!(silent.is_open()?, "the silent shell has ended by itself");

    // What the operator learned before counts for nothing.
    let begin = Some(Timestamp::now());
    let copy = format!("scp -q -F \"$CONFIG\" -o BatchMode=yes file {}:", host("copied"));
    let work = async || {
        typed.repeats("typed").await?;
        machine.run(&copy).await.map(drop)
    };
    repeated_until(work, stops(&alice, "silent")).await?;
    silent.ended().await.context("a stopped workspace")?;
    typed.repeats("still open").await?;
    for name in ["typed", "copied"] {
        used_since(&alice, name, begin).await?;
        let running = alice.get(name).await?;
        ensure!(
            running.spec.desired_status == DesiredStatus::Running,
            "{name}: {:?}",
            running.status
        );
    }
    scratch.finish().await
}

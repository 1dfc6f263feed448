//! Idle workspaces are stopped, with a reason. Those that compute are not.

use std::time::Duration;

use anyhow::Context as _;
use api::{
    Workspace,
    condition::reason,
    names::WORKSPACE_LABEL,
    workspace::{DesiredStatus, DiskResource, EndedForMemory, Phase, StopRule, WorkspaceStatus},
};
use e2e::{
    cluster::{self, Scratch},
    command::kubectl,
    http::HttpSession,
    installation::servers,
    jupyter::kernel,
    objects::workspace,
    portal::Portal,
    wait,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};

use super::limits;

/// A kernel that computes for longer than the timeout, with a break until the next question.
const LONG: &str = "__import__('time').sleep(80) or 42";
/// A timeout, the way to the question after it, and the end of the pod.
const SHORT_TIMEOUT: Duration = Duration::from_secs(110);

/// The latest stop after the pod was ready: the timeout, two checks a tenth of it apart, and 30 s.
const LATEST: SignedDuration = SignedDuration::from_secs(60 + 2 * 6 + 30);

/// When the workspace's pod got ready.
async fn ready_since(scratch: &Scratch, name: &str) -> anyhow::Result<Timestamp> {
    let of_it = ListParams::default().labels(&format!("{WORKSPACE_LABEL}={name}"));
    let pods = scratch.api::<Pod>().list(&of_it).await?.items;
    let mut conditions = pods
        .into_iter()
        .filter_map(|pod| pod.status?.conditions)
        .flatten();
    let ready = conditions.find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let since = ready.and_then(|ready| ready.last_transition_time);
    Ok(since.context("no pod is ready")?.0)
}

/// Installs a package of a wheel, which is made there, as a user does in a terminal.
const INSTALL: &str = r#"set -e; cd /tmp; python3 - <<'END'
import zipfile
with zipfile.ZipFile("mine-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("mine.py", "answer = 42")
    wheel.writestr("mine-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    wheel.writestr("mine-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("mine-1.dist-info/RECORD", "")
END
pip install --quiet --no-index ./mine-1-py3-none-any.whl"#;
const IMPORT: &str = "cd /; python3 -c 'import mine; print(mine.answer)'";

/// Waits until the workspace is stopped, and starts it again. A package that was installed before is there.
async fn stops_and_starts(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    unused: &Workspace,
) -> anyhow::Result<()> {
    let name = &unused.name_any();
    let ready = ready_since(scratch, name).await?;
    let pods = scratch.api::<Pod>();
    let pod = workspace::pod(unused)?;
    let installed = cluster::exec(&pods, &pod, &["sh", "-c", INSTALL]);
    let announced = wait::until("a stop to be announced", wait::USUAL, || async {
        let status = alice.get(name).await.map_err(|error| error.to_string())?.status;
        let status = status.unwrap_or_default();
        status
            .stops_at
            .clone()
            .map(|time| (time, status.clone()))
            .ok_or_else(|| format!("{status:?}"))
    });
    let (installed, announced) = tokio::join!(installed, announced);
    installed?;
    let (stops_at, status) = announced?;
    assert_eq!(status.stops_because, Some(StopRule::Idle));
    let signals: Vec<_> = status
        .idle
        .iter()
        .flat_map(|idle| &idle.signals)
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(signals, ["user", "presence", "kernels", "terminals"]);
    let stopped = wait::until("the workspace to stop", SHORT_TIMEOUT, || async {
        let workspace = alice.get(name).await.map_err(|error| error.to_string())?;
        let phase = workspace.status.as_ref().and_then(|status| status.phase);
        if phase == Some(Phase::Stopped) {
            Ok(workspace)
        } else {
            Err(format!("{:?}", workspace.status))
        }
    })
    .await?;
    assert_eq!(stopped.spec.desired_status, DesiredStatus::Stopped);
    let because = stopped.status.and_then(|status| status.stopped_because);
    let because = because.context("a stop by a rule says so")?;
    assert_eq!(because.rule, StopRule::Idle);
    assert!(because.time.0 >= stops_at.0, "{because:?} before {stops_at:?}");
    let lasted = because.time.0.duration_since(ready);
    assert!(
        (SignedDuration::from_mins(1)..=LATEST).contains(&lasted),
        "stopped {lasted:?} after its pod was ready"
    );
    let run = workspace::run_id(unused)?;
    let way = [("run_started", run.as_str(), ""), ("stopped", &run, "idle")];
    servers::wait_for_records(&unused.uid().unwrap_or_default(), &way).await?;
    wait_for_event(scratch, name, reason::IDLE_STOPPED).await?;
    let again = workspace::start(alice, name).await?;
    let imported = cluster::exec(&pods, &workspace::pod(&again)?, &["sh", "-c", IMPORT]).await?;
    assert_eq!(imported, "42\n");
    assert_eq!(again.status.and_then(|status| status.stopped_because), None);
    Ok(())
}

/// A process of the workspace takes too much memory: its status and an Event say so, and it runs on.
async fn runs_out_of_memory(scratch: &Scratch, alice: &Api<Workspace>, name: &str) -> anyhow::Result<()> {
    let before = alice.get(name).await?;
    assert_eq!(
        before
            .status
            .as_ref()
            .and_then(|status| status.out_of_memory.clone()),
        None
    );
    workspace::run_out_of_memory(scratch, &workspace::pod(&before)?).await?;
    wait_for_event(scratch, name, reason::OOM_KILLED).await?;
    let status = alice.get(name).await?.status.unwrap_or_default();
    assert_eq!(status.phase, Some(Phase::Running));
    let found = status.out_of_memory.map(|it| it.ended);
    assert_eq!(found, Some(EndedForMemory::Process));
    assert!(
        status
            .message
            .unwrap_or_default()
            .contains("because memory ran out: the limit is")
    );
    Ok(())
}

/// Waits for the Event.
pub(crate) async fn wait_for_event(scratch: &Scratch, name: &str, what: &str) -> anyhow::Result<()> {
    wait::until(&format!("{what} as an Event"), wait::USUAL, || async {
        let events = scratch.api::<Event>().list(&ListParams::default()).await;
        let events = events.map_err(|error| error.to_string())?.items;
        let of_it = events
            .iter()
            .filter(|event| event.involved_object.name.as_deref() == Some(name));
        let reasons: Vec<_> = of_it.filter_map(|event| event.reason.clone()).collect();
        if reasons.iter().any(|it| it == what) {
            Ok(())
        } else {
            Err(format!("{reasons:?}"))
        }
    })
    .await
}

/// An application that is ready, and answers the idle check with this status.
fn answering(name: &str, status: u16) -> anyhow::Result<Workspace> {
    let script = format!(
        "
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status} if self.path.startswith('/api/') else 200)
        self.send_header('Content-Length', '0')
        self.end_headers()
http.server.ThreadingHTTPServer(('', 8888), Handler).serve_forever()
"
    );
    let mut wanted = serde_json::json!(workspace::echo(name)?);
    wanted["spec"]["containerConfig"] = serde_json::json!({"command": ["python3", "-c", script]});
    Ok(serde_json::from_value(wanted)?)
}

/// Applications without idle detection, and part of what is said of each. The first one answers, but the answer does not show whether it is in
/// use.
fn without_detection() -> anyhow::Result<[(Workspace, &'static str); 3]> {
    let mut all = [
        (workspace::echo("silent")?, ""),
        (answering("broken", 500)?, "the answer is 500, not 200"),
        (answering("absent", 404)?, "the answer is 404, not 200"),
    ];
    for (wanted, _) in &mut all {
        wanted.spec.idle_shutdown = workspace::idle_after_a_minute("silent").spec.idle_shutdown;
    }
    Ok(all)
}

/// The workspaces ran for longer than the timeout: they run on, and their status says why.
async fn are_reported(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    all: &[(Workspace, &str)],
) -> anyhow::Result<()> {
    for (one, why) in all {
        let name = &one.name_any();
        wait_for_event(scratch, name, reason::IDLE_CHECK_FAILED).await?;
        let workspace = alice.get(name).await?;
        assert_eq!(workspace.spec.desired_status, DesiredStatus::Running, "{name}");
        let status = workspace.status.unwrap_or_default();
        let mut signals = status.idle.into_iter().flat_map(|idle| idle.signals);
        let error = signals.find_map(|signal| signal.error);
        assert!(
            error.as_ref().is_some_and(|error| error.contains(why)) && status.stops_at.is_none(),
            "{name}: {error:?} {:?}",
            status.stops_at
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_idle_jupyterlab_stops_and_a_computing_one_and_applications_without_detection_do_not()
-> anyhow::Result<()> {
    let scratch = Scratch::new("idle", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let undetected = without_detection()?;
    let mut labs = ["computes", "unused"].map(workspace::idle_after_a_minute);
    // What is installed in it outlives its stop.
    labs[1].spec.storage = serde_json::from_value(serde_json::json!({"size": "64Mi"}))?;
    let limited = limits::limited()?;
    for wanted in undetected
        .iter()
        .map(|(wanted, _)| wanted)
        .chain(&labs)
        .chain(&limited)
    {
        alice.create(&PostParams::default(), wanted).await?;
    }
    let limits = limits::stop(&scratch, &alice);
    let others = idle_ones(&scratch, &alice, &undetected);
    let (limits, others) = tokio::join!(limits, others);
    limits?;
    others?;
    scratch.finish().await
}

/// What becomes of the others.
async fn idle_ones(
    scratch: &Scratch,
    alice: &Api<Workspace>,
    undetected: &[(Workspace, &str)],
) -> anyhow::Result<()> {
    for (wanted, _) in undetected {
        workspace::reached(alice, &wanted.name_any(), Phase::Running).await?;
    }
    let url = workspace::url(&workspace::reached(alice, "computes", Phase::Running).await?)?;
    let unused = workspace::reached(alice, "unused", Phase::Running).await?;
    let session = HttpSession::new()?;
    session.enter(&url, "alice").await?;
    let (answer, stopped, told) = tokio::join!(
        kernel::compute(&session, &url, LONG),
        stops_and_starts(scratch, alice, &unused),
        runs_out_of_memory(scratch, alice, "computes"),
    );
    stopped?;
    told?;
    assert_eq!(answer?, "42", "it was idle for longer than the timeout");
    let computes = alice.get("computes").await?;
    assert_eq!(computes.spec.desired_status, DesiredStatus::Running);
    are_reported(scratch, alice, undetected).await?;
    limits::stop_by_request(scratch, alice, "computes").await
}

/// As large as the node's file system, of which the tests' disks are folders: so what is used of it is what is used of the disk.
async fn size_of_the_nodes_disk() -> anyhow::Result<String> {
    let nodes = Api::<Node>::all(cluster::admin().await?);
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let mut sizes = nodes
        .into_iter()
        .filter_map(|node| node.status?.capacity?.remove("ephemeral-storage"));
    Ok(sizes.next().context("no node tells the size of its disk")?.0)
}

/// Waits until the status of `lab` shows something.
async fn shown<T>(
    alice: &Api<Workspace>,
    what: &str,
    show: impl Fn(&WorkspaceStatus) -> Option<T>,
) -> anyhow::Result<T> {
    wait::until(what, wait::USUAL, || async {
        let lab = alice.get("lab").await.map_err(|error| error.to_string())?;
        let status = lab.status.unwrap_or_default();
        show(&status).ok_or_else(|| format!("{status:?}"))
    })
    .await
}

/// Whether the status of `lab` shows how much of its disk is used, of the resource that it names. Others write to the node's disk, too, so
/// both are read anew each time.
async fn shows_use_of_disk(scratch: &Scratch, alice: &Api<Workspace>, lab: &Workspace) -> Result<(), String> {
    let status = alice.get("lab").await.map_err(|error| error.to_string())?.status;
    let disk = status.and_then(|status| status.disk).unwrap_or_default();
    let (Some(percent), Some(of)) = (disk.used_percent, disk.used_percent_of) else {
        return Err(format!("{disk:?}"));
    };
    let columns = match of {
        DiskResource::Bytes => "used,avail",
        DiskResource::Inodes => "iused,iavail",
    };
    let command = format!("df --output={columns} \"$HOME\" | tail -n 1");
    let pod = workspace::pod(lab).map_err(|error| error.to_string())?;
    let told = cluster::exec(&scratch.api(), &pod, &["sh", "-c", command.as_str()]).await;
    let told = told.map_err(|error| format!("{error:#}"))?;
    let figures: Result<Vec<i64>, _> = told.split_whitespace().map(str::parse).collect();
    let Ok([used, available]) = figures.as_deref() else {
        return Err(told);
    };
    let found = used * 100 / (used + available).max(1);
    let percent = i64::from(percent);
    // Steps of five.
    if (percent - 2..=percent + 7).contains(&found) {
        Ok(())
    } else {
        Err(format!("{percent} % of {of:?}: {told}"))
    }
}

#[tokio::test]
async fn a_kept_workspace_announces_its_stop_for_that_time_and_shows_the_use_of_its_disk()
-> anyhow::Result<()> {
    let scratch = Scratch::new("kept", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let mut wanted = workspace::idle_after_a_minute("lab");
    wanted.spec.storage =
        serde_json::from_value(serde_json::json!({"size": size_of_the_nodes_disk().await?}))?;
    let lab = Box::pin(workspace::made(&scratch, &wanted)).await?;
    let line = ["workspace", "keep", "lab", "1h", "-n", &scratch.namespace];
    let kept = kubectl("alice", &line).await?;
    assert_eq!(kept.code, 0, "{kept:?}");
    let too_long = ["workspace", "keep", "lab", "30h", "-n", &scratch.namespace];
    let refused = kubectl("alice", &too_long).await?;
    assert!(
        refused.code == 1 && refused.stderr.contains("choose at most"),
        "{refused:?}"
    );
    let until = shown(&alice, "the time until which it is kept", |status| {
        let until = status.kept.as_ref()?.until.0;
        let stop = (status.stops_because?, status.stops_at.as_ref()?.0);
        (stop == (StopRule::Idle, until)).then_some(until)
    });
    let left = until.await?.duration_since(Timestamp::now());
    assert!(
        left > SignedDuration::from_mins(55) && left <= SignedDuration::from_mins(60),
        "{left:?}"
    );

    wait::until("the use of its disk", wait::USUAL, || {
        shows_use_of_disk(&scratch, &alice, &lab)
    })
    .await?;

    let portal = Portal::enter("alice").await?;
    let page = format!("/w/{}/lab", scratch.namespace);
    portal.knows(&page).await?;
    let uid = lab.uid().context("it has a UID")?;
    let no_longer = [("uid", uid.as_str()), ("minutes", "0")];
    let answer = portal.post(&format!("{page}/keep"), &no_longer).await?;
    assert_eq!(answer.status().as_u16(), 303, "{}", answer.text().await?);
    shown(&alice, "it to be kept no longer", |status| {
        let soon = Timestamp::now() + SignedDuration::from_mins(2);
        let stops = status.stops_at.as_ref().is_some_and(|time| time.0 < soon);
        let stopped = status
            .stopped_because
            .as_ref()
            .is_some_and(|because| because.rule == StopRule::Idle);
        (status.kept.is_none() && (stops || stopped)).then_some(())
    })
    .await?;
    scratch.finish().await
}

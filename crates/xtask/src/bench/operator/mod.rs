//! `xtask bench-operator` -> what the operator costs at scale, beside bare objects: JSON under target/bench, table in the
//! docs (IO).
//!
//! All of it runs in network and process namespaces of its own: etcd, API server, controllers and scheduler as on the
//! local cluster, fake nodes, the operator, and the load. Nothing else of the machine is touched, and all of it is gone
//! when the bench ends, however it ends.

mod audit;
pub(super) mod instance;
mod objects;
pub(super) mod phases;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::Client;
use serde_json::{Value, json};

use self::audit::Log;
use self::instance::{Instance, OPERATOR, wait_for};
use self::objects::{NAMESPACE, REFERENCE, SETTINGS, SYSTEM, shared};
use self::phases::{Phase, Side, make, make_stopped};
use self::report::{Measured, Report, Round, Stopped};
use super::{processor, target};
use crate::args::BenchOperator;
use crate::cluster::process::Service;
use crate::cluster::{control_plane, kwok};
use crate::components::{ETCD, HYPERKUBE, KWOK};
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Fake nodes; each has addresses for 254 pods.
const NODES: u32 = 60;
/// Last words of a phase: Events are written after the status that is waited for.
const SETTLE: Duration = Duration::from_secs(5);
const NAME: &str = "operator";
const SERVER: &str = "kube-apiserver";

/// Measures, writes both files and prints the table.
///
/// # Errors
/// When this is not root on Linux, a build fails, or objects do not get to where they ought to be.
pub(crate) fn run(args: &BenchOperator, paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    if args.inside {
        return inside(args, paths, &progress);
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "namespaces of its own need root"
    );
    for component in [&ETCD, &HYPERKUBE, &KWOK] {
        component.ensure(paths, &progress)?;
    }
    let program = match &args.program {
        Some(program) => program.clone(),
        None => build(paths, &progress)?,
    };
    // Its first process takes no signal but the kill that follows the end of this one.
    let mut command = Cmd::new("setpriv").args(["--pdeathsig", "KILL", "unshare"]);
    command = command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command = command
        .arg(std::env::current_exe()?)
        .args(["bench-operator", "--inside"])
        .args(["--stopped", &args.stopped.to_string()])
        .args(["--idle-seconds", &args.idle_seconds.to_string()])
        .arg("--program")
        .arg(program);
    for count in &args.counts {
        command = command.args(["--count", &count.to_string()]);
    }
    for argument in &args.operator_args {
        command = command.args(["--operator-arg", argument]);
    }
    let folder = target(paths).join("bench");
    fs::create_dir_all(&folder)?;
    let table = folder.join("operator.md");
    let _ = fs::remove_file(&table);
    command.logged(&folder.join("operator.log"), |line| eprintln!("{line}"))?;
    let table = fs::read_to_string(&table).context("the bench wrote no table")?;
    println!("{table}\nfigures: {}", folder.join("operator.json").display());
    if !args.dry_run {
        let page = paths.clone_root().join("docs/performance.md");
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        fs::write(&page, super::report::insert(&text, "bench-operator", &table)?)?;
    }
    Ok(())
}

fn build(paths: &Paths, progress: &Progress) -> anyhow::Result<PathBuf> {
    progress.line("building the operator with optimisation");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    Cmd::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "operator"])
        .dir(paths.clone_root())
        .run()?;
    Ok(target(paths).join("release/jupyter-k8s-operator"))
}

fn inside(args: &BenchOperator, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    let folder = target(paths).join("bench");
    let program = Program {
        file: args.program.clone().context("no program to measure")?,
        args: args.operator_args.clone(),
        idle: Duration::from_secs(args.idle_seconds),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut report = Report {
        machine: format!(
            "{} cores of: {}",
            std::thread::available_parallelism()?,
            processor()
        ),
        ..Report::default()
    };
    for count in args.counts.iter().filter(|count| **count > 0) {
        let round = round(*count, &program, &folder, paths, progress);
        report.rounds.push(runtime.block_on(round)?);
        write(&report, &folder)?;
    }
    if args.stopped > 0 {
        let stopped = stopped(args.stopped, &program, &folder, paths, progress);
        report.stopped = Some(runtime.block_on(stopped)?);
    }
    write(&report, &folder)
}

/// Writes what is known so far: a round takes minutes.
fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("operator.json"), report.json())?;
    fs::write(folder.join("operator.md"), report.table())?;
    Ok(())
}

/// The operator that is measured.
struct Program {
    file: PathBuf,
    args: Vec<String>,
    /// How long nothing is to happen.
    idle: Duration,
}

/// One number of objects through all phases, on a fresh control plane: bare ones first, then workspaces.
async fn round(
    count: usize,
    program: &Program,
    folder: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<Round> {
    let mut instance = Instance::start(paths, &folder.join("instance")).await?;
    let client = prepare(&instance).await?;
    progress.line(format_args!("{count}: the control plane is ready"));
    let mut bare = Vec::new();
    for phase in Phase::ALL {
        let before = instance.cpu(SERVER)?;
        let times = phases::run(&client, Side::Bare, phase, count).await?;
        progress.line(format_args!(
            "{count}: bare {} {:.1} s",
            phase.name(),
            times.all.as_secs_f64()
        ));
        tokio::time::sleep(SETTLE).await;
        bare.push((times, instance.cpu(SERVER)?.saturating_sub(before)));
    }
    instance.launch(&operator(&instance, program)?)?;
    tokio::time::sleep(SETTLE).await;
    let mut log = Log::new(instance.audit_log());
    log.calls()?;
    let mut round = Round {
        count,
        phases: Vec::new(),
        idle: audit::Calls::new(),
        peak_memory: 0,
    };
    for (phase, (bare, bare_cpu)) in Phase::ALL.into_iter().zip(bare) {
        let before = (instance.cpu(NAME)?, instance.cpu(SERVER)?);
        let workspaces = phases::run(&client, Side::Workspaces, phase, count).await?;
        progress.line(format_args!(
            "{count}: {} {:.1} s",
            phase.name(),
            workspaces.all.as_secs_f64()
        ));
        tokio::time::sleep(SETTLE).await;
        round.phases.push(Measured {
            phase,
            workspaces,
            bare,
            cpu: instance.cpu(NAME)?.saturating_sub(before.0),
            server_cpu: [instance.cpu(SERVER)?.saturating_sub(before.1), bare_cpu],
            calls: log.calls()?,
        });
        if phase == Phase::Create {
            tokio::time::sleep(program.idle).await;
            round.idle = log.calls()?;
        }
    }
    round.peak_memory = instance.peak_memory(NAME)?;
    Ok(round)
}

/// Many workspaces that do nothing, on a fresh control plane.
async fn stopped(
    count: usize,
    program: &Program,
    folder: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<Stopped> {
    let mut instance = Instance::start(paths, &folder.join("instance")).await?;
    let client = prepare(&instance).await?;
    let service = operator(&instance, program)?;
    instance.launch(&service)?;
    let took = make_stopped(&client, count).await?;
    progress.line(format_args!(
        "{count} stopped workspaces: {:.0} s",
        took.as_secs_f64()
    ));
    tokio::time::sleep(SETTLE).await;
    let peak_memory = instance.peak_memory(NAME)?;
    instance.relaunch(&service)?;
    tokio::time::sleep(program.idle).await;
    Ok(Stopped {
        count,
        took,
        peak_memory,
        restarted_memory: instance.peak_memory(NAME)?,
    })
}

/// Kinds, rights, namespaces, nodes, template and manager.
async fn prepare(instance: &Instance) -> anyhow::Result<Client> {
    let client = instance.client().await?;
    for crd in api::crds() {
        make(&client, &serde_json::to_value(crd)?).await?;
    }
    for namespace in [NAMESPACE, REFERENCE, SYSTEM] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        make(&client, &namespace).await?;
    }
    let user = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR});
    make(
        &client,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [user],
        }),
    )
    .await?;
    for number in 0..NODES {
        let mut node = kwok::fake_node(&format!("fake-{number}"), &Value::Null);
        // There is no other node that pods could land on.
        node["spec"] = json!({});
        make(&client, &node).await?;
    }
    wait_for(
        &client,
        &format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"),
    )
    .await?;
    wait_for(
        &client,
        &format!("/api/v1/namespaces/{REFERENCE}/serviceaccounts/default"),
    )
    .await?;
    wait_for(&client, "/apis/workspaces.jupyter.org/v1alpha1/workspaces").await?;
    for object in shared() {
        make(&client, &object).await?;
    }
    tokio::time::sleep(SETTLE).await;
    Ok(client)
}

fn operator(instance: &Instance, program: &Program) -> anyhow::Result<Service> {
    let settings = instance.layout().file("settings.yaml");
    fs::write(&settings, SETTINGS)?;
    let args = [
        format!("--namespace={SYSTEM}"),
        "--pod-name=bench".to_owned(),
        format!("--settings-file={}", settings.display()),
        "--admin-address=127.0.0.1:9090".to_owned(),
    ];
    let args = args.into_iter().chain(program.args.iter().cloned()).collect();
    Ok(control_plane::service(NAME, program.file.clone(), args))
}

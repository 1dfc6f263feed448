//! `xtask bench-operator` -> cost of the operator: JSON under target/bench, table in docs (IO).
//!
//! The same objects without an operator are the reference.
//!
//! All of it runs in its own network and process namespaces: etcd, API server, controllers and scheduler as on the local
//! cluster, fake nodes, the operator, and the load. Nothing else of the machine changes, and nothing remains when the
//! bench ends.
//!
//! | file | content |
//! |---|---|
//! | `instance` | the control plane and the programs that run beside it |
//! | `phases` | create, stop, start, delete: duration of each |
//! | `model` | the operator's children of one workspace, as requests |
//! | `requests` | requests of users |
//! | `objects` | workspaces and what they refer to |
//! | `audit` | requests by client, from the audit log |
//! | `report` | figures to text |

pub(super) mod audit;
pub(super) mod instance;
mod model;
pub(super) mod objects;
mod phases;
mod report;
pub(super) mod requests;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use kube::Client;
use serde_json::{Value, json};

use self::audit::{Calls, Log};
use self::instance::{Instance, MAKER, OPERATOR, wait_for};
use self::model::Model;
use self::objects::{NAMESPACE, REFERENCE, SETTINGS, SYSTEM, shared};
use self::phases::{Clients, Side, make_stopped};
use self::report::{Measured, Report, Round, Stopped, Took};
use self::requests::{Phase, make};
use super::figures::mebibytes;
use super::namespaced::{NamespacedBench, require_root};
use super::{built, processor, target};
use crate::args::BenchOperator;
use crate::cluster::process::Service;
use crate::cluster::{control_plane, kwok};
use crate::components::{ETCD, HYPERKUBE, KWOK};
use crate::paths::Paths;
use crate::progress::Progress;

/// Fake nodes; each has addresses for 254 pods.
const NODES: u32 = 60;
/// Wait at the end of a phase: Events are written after the status that ends it.
const SETTLE: Duration = Duration::from_secs(5);
const NAME: &str = "operator";

/// Measures, writes both files and prints the table.
///
/// # Errors
/// When this is not root on Linux, a build fails, or objects do not reach the state of their phase.
pub(crate) fn run(args: &BenchOperator, paths: &Paths) -> anyhow::Result<()> {
    let progress = Progress::start();
    if args.inside {
        return inside(args, paths, &progress);
    }
    require_root()?;
    for component in [&ETCD, &HYPERKUBE, &KWOK] {
        component.ensure(paths, &progress)?;
    }
    let program = if let Some(program) = &args.program {
        // The bench itself starts it from another folder.
        std::path::absolute(program)?
    } else {
        progress.line("building the operator with optimisation");
        built(paths, &["--package", "operator", "--bin", "jupyter-k8s-operator"])?
    };
    let mut inner: Vec<OsString> = vec![
        "--stopped".into(),
        args.stopped.to_string().into(),
        "--idle-seconds".into(),
        args.idle_seconds.to_string().into(),
        "--program".into(),
        program.into(),
    ];
    for count in &args.counts {
        inner.extend(["--count".into(), count.to_string().into()]);
    }
    for argument in &args.operator_args {
        inner.extend(["--operator-arg".into(), argument.into()]);
    }
    let namespaced = NamespacedBench {
        name: "operator",
        processor: None,
        args: inner,
        dry_run: args.dry_run,
    };
    namespaced.run(paths)
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

/// Writes the figures so far: a round takes minutes.
fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    fs::write(folder.join("operator.json"), report.json())?;
    fs::write(folder.join("operator.md"), report.table())?;
    Ok(())
}

/// The operator that is measured.
struct Program {
    file: PathBuf,
    args: Vec<String>,
    /// Duration without changes.
    idle: Duration,
}

/// The sides in the order of their turns. Each turn goes through all phases. The order is symmetric, so that a machine that becomes slower
/// affects all sides equally.
const TURNS: [Side; 6] = [
    Side::Bare,
    Side::Promised,
    Side::Workspaces,
    Side::Workspaces,
    Side::Promised,
    Side::Bare,
];
/// Number of turns of each side.
const TURNS_EACH: usize = 2;

/// Measures all phases with one number of objects, on a new control plane: workspaces; their children without an operator; and these with
/// the least writes to statuses and Events.
async fn round(
    count: usize,
    program: &Program,
    folder: &Path,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<Round> {
    let mut instance = Instance::start(paths, &folder.join("instance")).await?;
    let users = prepare(&instance).await?;
    let service = operator(&instance, program)?;
    instance.launch(&service)?;
    let model = Model::take(&users).await?;
    instance.stop(NAME);
    let clients = Clients {
        maker: instance.maker().await?,
        users,
        model,
    };
    progress.line(format_args!("{count}: the control plane is ready"));
    let mut log = Log::new(instance.audit_log(), OPERATOR);
    let mut taken: HashMap<(Phase, Side), Vec<Took>> = HashMap::new();
    let mut calls: HashMap<Phase, Calls> = HashMap::new();
    let (mut idle, mut peak_memory) = (None, 0);
    let mut before = None;
    for side in TURNS {
        let runs = side == Side::Workspaces;
        if runs && before != Some(side) {
            instance.launch(&service)?;
            tokio::time::sleep(SETTLE).await;
            log.calls()?;
        } else if !runs && before == Some(Side::Workspaces) {
            peak_memory = instance.peak_memory(NAME)?;
            instance.stop(NAME);
        }
        before = Some(side);
        for phase in Phase::ALL {
            let took = measured(&instance, &clients, side, phase, count, progress).await?;
            taken.entry((phase, side)).or_default().push(took);
            if !runs {
                continue;
            }
            let [now, peak] = [instance.memory(NAME)?, instance.peak_memory(NAME)?].map(mebibytes);
            progress.line(format_args!(
                "{count}: the operator uses {now:.0} MiB, {peak:.0} MiB at most so far"
            ));
            audit::add(calls.entry(phase).or_default(), log.calls()?);
            if idle.is_none() {
                tokio::time::sleep(program.idle).await;
                idle = Some(log.calls()?);
            }
        }
    }
    let mut took = |phase, side| Took::mean(taken.remove(&(phase, side)).unwrap_or_default());
    let phases = Phase::ALL.map(|phase| Measured {
        phase,
        workspaces: took(phase, Side::Workspaces),
        bare: took(phase, Side::Bare),
        promised: took(phase, Side::Promised),
        calls: calls.remove(&phase).unwrap_or_default(),
    });
    Ok(Round {
        count,
        phases: phases.into(),
        idle: idle.unwrap_or_default(),
        peak_memory,
    })
}

/// Measures one phase of one side, with the writes that follow shortly after.
async fn measured(
    instance: &Instance,
    clients: &Clients,
    side: Side,
    phase: Phase,
    count: usize,
    progress: &Progress,
) -> anyhow::Result<Took> {
    let before = instance.cpu_of_all()?;
    let times = phases::run(clients, side, phase, count).await?;
    progress.line(format_args!(
        "{count}: {} {} {:.1} s",
        side.name(),
        phase.name(),
        times.all.as_secs_f64()
    ));
    tokio::time::sleep(SETTLE).await;
    let mut cpu = instance.cpu_of_all()?;
    for (name, used) in &mut cpu {
        *used = used.saturating_sub(before.get(name).copied().unwrap_or_default());
    }
    Ok(Took { times, cpu })
}

/// Measures many stopped workspaces on a new control plane.
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
    let user = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name});
    make(
        &client,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "bench-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [user(OPERATOR), user(MAKER)],
        }),
    )
    .await?;
    for number in 0..NODES {
        let mut node = kwok::fake_node(&format!("fake-{number}"), &Value::Null);
        // No other node exists for pods.
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

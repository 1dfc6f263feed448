//! Provider `node`: nothing, a running node or the remains of one -> a running node (IO).

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::layout::{API_SERVICE, HOST_ADDRESS, Layout, MARKER, NODE, NODE_ADDRESS, api_url};
use super::plan::{CLIENTS, COMPONENTS, Plan};
use super::process::{Process, wait_until};
use super::state::{Decision, FAKE_NODES, Found, Phase, State};
use super::{
    addons, agents, cgroup, clean, containerd, images, kubeconfig, machine, network, pki, process, settings,
};
use crate::components::{Component, ETCD, HYPERKUBE, KUBERNETES, missing};
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Timeout of one step of the start, on a slow and busy machine.
const TIMEOUT: Duration = Duration::from_mins(3);

/// Brings the node up, or takes over the one that runs; returns the administrator's kubeconfig.
pub(crate) fn up(paths: &Paths, progress: &Progress) -> anyhow::Result<String> {
    obtain(paths, progress)?;
    let layout = Layout::new(paths);
    for owner in clean::others(&layout) {
        progress.line(format_args!(
            "removing the cluster of another cache folder, {}",
            owner.display()
        ));
        clean::clean(&Layout::of_cache(&owner))?;
    }
    let plan = Plan::new(&layout);
    match observe(&layout, paths)?.decide(&plan.hash(), &process::boot()?) {
        Decision::Keep => images::import(&layout, &paths.images(), progress)?,
        Decision::Start => start(&plan, &layout, paths, progress)?,
        Decision::Replace(why) => {
            progress.line(format_args!("replacing the cluster that was left here: {why}"));
            clean::clean(&layout)?;
            start(&plan, &layout, paths, progress)?;
        }
    }
    agents::ensure(&layout, paths, progress)?;
    Ok(fs::read_to_string(layout.kubeconfig("admin"))?)
}

/// Provides everything that a node needs: packages, binaries and its own images. Fast when they exist.
pub(crate) fn obtain(paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    machine::check_rights()?;
    machine::prepare(paths, &missing(&COMPONENTS, paths), progress)?;
    for component in COMPONENTS {
        component.ensure(paths, progress)?;
    }
    images::ensure_node_images(paths)
}

/// Reads the state of the node.
///
/// # Errors
/// When the state of the machine or the record cannot be read.
pub(crate) fn observe(layout: &Layout, paths: &Paths) -> anyhow::Result<Found> {
    Ok(match State::load(layout) {
        Ok(Some(state)) => {
            let of_node = |process: &&Process| {
                process.name != FAKE_NODES && !agents::NAMES.contains(&process.name.as_str())
            };
            let processes = state.processes.iter().filter(of_node);
            let dead: Vec<String> = processes
                .filter(|process| !process.alive())
                .map(|process| process.name.clone())
                .collect();
            let ready = dead.is_empty() && node_ready(layout, paths);
            Found::Node { state, dead, ready }
        }
        Ok(None) => clean::remains(layout)?.map_or(Found::Nothing, Found::Remains),
        Err(error) if error.is::<io::Error>() => return Err(error),
        Err(error) => Found::Remains(format!("a broken record ({error:#})")),
    })
}

/// A kubectl call as administrator of the node. A proxy in the caller's environment does not apply to this address. The process carries the
/// node's marker, so that a clean-up ends it if it outlives a killed `up`.
pub(crate) fn kubectl(layout: &Layout, paths: &Paths) -> Cmd {
    let kubectl = Cmd::new(paths.kubectl())
        .env("NO_PROXY", NODE_ADDRESS)
        .env("no_proxy", NODE_ADDRESS);
    let kubectl = kubectl.env(MARKER, layout.cache());
    kubectl
        .arg("--kubeconfig")
        .arg(layout.kubeconfig("admin"))
        .arg("--request-timeout=10s")
}

fn node_ready(layout: &Layout, paths: &Paths) -> bool {
    let condition = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    kubectl(layout, paths)
        .args(["get", "node", NODE, "-o", condition])
        .output()
        .is_ok_and(|status| status == "True")
}

/// Starts a node where there is none. On failure only its logs remain.
fn start(plan: &Plan, layout: &Layout, paths: &Paths, progress: &Progress) -> anyhow::Result<()> {
    machine::check_free(layout)?;
    let started = prepare(plan, layout, paths).and_then(|state| run(plan, state, layout, paths, progress));
    let Err(error) = started else { return Ok(()) };
    let logs = paths.logs().join("failed-start");
    let _ = fs::remove_dir_all(&logs);
    let kept = fs::create_dir_all(paths.logs()).and_then(|()| fs::rename(layout.file("logs"), &logs));
    let kept = if kept.is_ok() {
        format!(" (logs: {})", logs.display())
    } else {
        String::new()
    };
    clean::clean(layout).with_context(|| format!("cannot clean up after a failed start: {error:#}"))?;
    Err(error.context(format!("the cluster did not start{kept}")))
}

/// Writes the record and all files of the node.
fn prepare(plan: &Plan, layout: &Layout, paths: &Paths) -> anyhow::Result<State> {
    for folder in [layout.state(), layout.run(), layout.containerd_root()] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // This folder has keys, and volumes that all users may write to.
    fs::set_permissions(layout.state(), fs::Permissions::from_mode(0o700))?;
    fs::write(layout.owner(), layout.cache().display().to_string())?;
    let state = State {
        config: plan.hash(),
        version: KUBERNETES.to_owned(),
        boot: process::boot()?,
        since: super::now(),
        checkout: paths.clone_root().to_path_buf(),
        phase: Phase::Starting,
        processes: Vec::new(),
        made: clean::note_made(layout)?,
    };
    settings::note(layout)?;
    state.save(layout)?;
    for folder in ["logs", "bin", "cni", "audit", "kubelet", "volumes"] {
        fs::create_dir_all(layout.file(folder))?;
    }
    for (name, text) in &plan.files {
        fs::write(layout.file(name), text)?;
    }
    let binary =
        |component: &Component, name: &str| symlink(component.path(paths), layout.file("bin").join(name));
    binary(&ETCD, "etcd")?;
    for name in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
    ] {
        binary(&HYPERKUBE, name)?;
    }
    write_keys(layout)?;
    cgroup::create();
    Ok(state)
}

fn write_keys(layout: &Layout) -> anyhow::Result<()> {
    let files = pki::generate()?;
    for (name, text) in &files {
        kubeconfig::write_secret(&layout.file("pki").join(name), text)?;
    }
    let text = |name: String| {
        files
            .iter()
            .find(|(file, _)| *file == name)
            .map(|(_, text)| text.clone())
            .context(name)
    };
    let cluster = kubeconfig::cluster(&api_url(), &text("ca.crt".to_owned())?);
    for client in CLIENTS {
        let pair = pki::Pair {
            certificate: text(format!("{client}.crt"))?,
            key: text(format!("{client}.key"))?,
        };
        kubeconfig::write_secret(
            &layout.kubeconfig(client),
            &kubeconfig::render(&cluster, &pair, "default")?,
        )?;
    }
    Ok(())
}

/// Starts the processes in order, each as soon as its requirements exist.
fn run(
    plan: &Plan,
    mut state: State,
    layout: &Layout,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<()> {
    network::create(layout)?;
    let launch = |state: &mut State, names: &[&str]| -> anyhow::Result<()> {
        for name in names {
            state.processes.push(plan.service(name)?.start(layout)?);
            state.save(layout)?;
        }
        Ok(())
    };
    launch(&mut state, &["etcd", "kube-apiserver", "containerd"])?;
    wait(&state, layout, "containerd", || {
        containerd::ctr(layout).arg("version").succeeds()
    })?;
    if containerd::remove_containers(layout)? {
        // Its Kubernetes part read them at its start, and would keep pods that no longer exist.
        let (old, rest) = state
            .processes
            .into_iter()
            .partition::<Vec<_>, _>(|process| process.name == "containerd");
        state.processes = rest;
        process::stop(&old, Duration::from_secs(10))?;
        launch(&mut state, &["containerd"])?;
        wait(&state, layout, "containerd", || {
            containerd::ctr(layout).arg("version").succeeds()
        })?;
    }
    images::prune(layout, &paths.images())?;
    let imported = images::import(layout, &paths.images(), progress);
    imported.with_context(|| format!("if this goes on, remove {}", layout.containerd_root().display()))?;
    progress.line("containerd has all images");
    let api = SocketAddr::from((NODE_ADDRESS.parse::<Ipv4Addr>()?, 6443));
    wait(&state, layout, "the API server", || {
        TcpStream::connect_timeout(&api, Duration::from_millis(200)).is_ok()
            && kubectl(layout, paths)
                .args(["get", "--raw", "/readyz"])
                .succeeds()
    })?;
    progress.line("API server is ready");
    launch(
        &mut state,
        &[
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
        ],
    )?;
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl(layout, paths)
        .args(apply)
        .stdin(plan.manifests.as_str())
        .run()?;
    wait(&state, layout, "the node", || node_ready(layout, paths))?;
    progress.line("node is ready");
    // A namespace accepts no pods before its default account exists.
    wait(&state, layout, "the default service account", || {
        kubectl(layout, paths)
            .args(["get", "serviceaccount", "default"])
            .succeeds()
    })?;
    for (namespace, name) in addons::DEPLOYMENTS {
        let rollout = kubectl(layout, paths).args(["rollout", "status", "--request-timeout=0"]);
        rollout
            .args(["-n", namespace, &format!("deployment/{name}"), "--timeout=180s"])
            .run()?;
    }
    progress.line("DNS and storage are available");
    state.phase = Phase::Up;
    state.save(layout)
}

/// Waits until `holds`. Ends early, with the end of its log, when a process of the node has ended.
fn wait(state: &State, layout: &Layout, what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let mut dead = None;
    let held = wait_until(TIMEOUT, || {
        dead = state.processes.iter().find(|process| !process.alive());
        dead.is_some() || holds()
    });
    if let Some(process) = dead {
        let log = fs::read_to_string(layout.log(&process.name)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        bail!(
            "{} has ended; its log ends with:\n  {}",
            process.name,
            lines[lines.len().saturating_sub(8)..].join("\n  ")
        );
    }
    ensure!(held, "{what} was not ready after {} s", TIMEOUT.as_secs());
    Ok(())
}

/// One line about the node's addresses, for display.
pub(crate) fn addresses() -> String {
    format!(
        "node {NODE_ADDRESS} (host {HOST_ADDRESS}), API server {} and {API_SERVICE}",
        api_url()
    )
}

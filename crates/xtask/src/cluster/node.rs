//! Provider `node`: nothing, a running node or the remains of one -> a running node (IO).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::layout::{API_SERVICE, HOST_ADDRESS, Layout, NODE, NODE_ADDRESS, api_url};
use super::process::{Process, Service, wait_until};
use super::state::{Decision, Found, Phase, State};
use super::{
    addons, agents, clean, containerd, control_plane, images, kubeconfig, kubelet, machine, network, pki,
    process,
};
use crate::components::{
    COREDNS, Component, ETCD, HYPERKUBE, KUBECTL, KUBERNETES, NODE_TOOLS, PROVISIONER, missing, short_digest,
};
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// Everything that is built for a node.
const COMPONENTS: [&Component; 6] = [&NODE_TOOLS, &ETCD, &KUBECTL, &HYPERKUBE, &COREDNS, &PROVISIONER];
/// Clients of the API server that have a kubeconfig of their own.
const CLIENTS: [&str; 5] = ["admin", "controllers", "scheduler", "kubelet", "proxy"];
/// How long one step of the start may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a node of this checkout looks like.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Configuration files below the state folder.
    files: Vec<(&'static str, String)>,
    manifests: String,
    services: Vec<Service>,
}

impl Plan {
    /// The plan for a layout (pure).
    pub(crate) fn new(layout: &Layout) -> Self {
        let files = vec![
            (
                "containerd.toml",
                containerd::config(layout, &images::node_image(&NODE_TOOLS)),
            ),
            ("cni/10-pods.conflist", containerd::pod_network(layout)),
            ("kubelet.yaml", kubelet::config(layout)),
            ("audit-policy.yaml", control_plane::AUDIT_POLICY.to_owned()),
        ];
        let services = vec![
            control_plane::etcd(layout),
            control_plane::apiserver(layout),
            containerd::containerd(layout),
            control_plane::controllers(layout),
            control_plane::scheduler(layout),
            kubelet::kubelet(layout),
            kubelet::proxy(layout),
        ];
        Self {
            files,
            manifests: addons::manifests(layout),
            services,
        }
    }

    /// Hash of all that makes one node differ from another, the binaries included.
    pub(crate) fn hash(&self) -> String {
        let binaries: Vec<String> = COMPONENTS.iter().map(|component| component.hash()).collect();
        short_digest(format!("{binaries:?} {self:?}").as_bytes())
    }

    fn service(&self, name: &str) -> anyhow::Result<&Service> {
        self.services
            .iter()
            .find(|service| service.name == name)
            .with_context(|| format!("no service {name}"))
    }
}

/// Brings the node up, or takes over the one that runs; returns the administrator's kubeconfig.
pub(crate) fn up(paths: &Paths, progress: &Progress) -> anyhow::Result<String> {
    machine::check_rights()?;
    machine::prepare(paths, &missing(&COMPONENTS, paths), progress)?;
    for component in COMPONENTS {
        component.ensure(paths, progress)?;
    }
    images::ensure_node_images(paths)?;
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

/// Looks at what there is of a node.
pub(crate) fn observe(layout: &Layout, paths: &Paths) -> anyhow::Result<Found> {
    Ok(match State::load(layout) {
        Ok(Some(state)) => {
            let of_node = |process: &&Process| !agents::NAMES.contains(&process.name.as_str());
            let processes = state.processes.iter().filter(of_node);
            let dead: Vec<String> = processes
                .filter(|process| !process.alive())
                .map(|process| process.name.clone())
                .collect();
            let ready = dead.is_empty() && node_ready(layout, paths);
            Found::Node { state, dead, ready }
        }
        Ok(None) => clean::remains(layout)?.map_or(Found::Nothing, Found::Remains),
        Err(error) => Found::Remains(format!("an unreadable record ({error:#})")),
    })
}

/// A call of kubectl as administrator of the node; a proxy that the caller's environment names is not for this address.
pub(crate) fn kubectl(layout: &Layout, paths: &Paths) -> Cmd {
    let kubectl = Cmd::new(paths.kubectl())
        .env("NO_PROXY", NODE_ADDRESS)
        .env("no_proxy", NODE_ADDRESS);
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

/// Starts a node where there is none. When that fails, nothing of it stays but its logs.
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
    // Keys lie in here, and volumes that anybody may write to.
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
    for root in clean::cgroup_roots() {
        // A hierarchy that is read-only here is of no use to the kubelet either.
        let _ = fs::create_dir(root.join(super::layout::CGROUP));
    }
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
        kubeconfig::write_secret(&layout.kubeconfig(client), &kubeconfig::render(&cluster, &pair)?)?;
    }
    Ok(())
}

/// Starts the processes in order, each as soon as what it needs is there.
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
        // Its Kubernetes part read them when it started, and would go on with pods that are no more.
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
    images::import(layout, &paths.images(), progress)?;
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
    // Pods cannot be made in a namespace before its default account is there.
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

/// Waits until `holds`; ends early, with the end of its log, when a process of the node has ended.
fn wait(state: &State, layout: &Layout, what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let mut dead = None;
    let held = wait_until(PATIENCE, || {
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
    ensure!(held, "{what} was not ready after {} s", PATIENCE.as_secs());
    Ok(())
}

/// One line about the node's addresses, for people.
pub(crate) fn addresses() -> String {
    format!(
        "node {NODE_ADDRESS} (host {HOST_ADDRESS}), API server {} and {API_SERVICE}",
        api_url()
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::process::Network;

    fn plan(cache: &str) -> Plan {
        Plan::new(&Layout::of_cache(Path::new(cache)))
    }

    #[test]
    fn the_hash_is_stable_and_differs_with_any_file_argument_or_place() {
        let hash = plan("/cache").hash();
        assert_eq!(hash, plan("/cache").hash());
        assert_ne!(hash, plan("/other").hash());
        let mut changed = plan("/cache");
        changed.services[1].args.push("--v=4".to_owned());
        assert_ne!(hash, changed.hash());
        let mut changed = plan("/cache");
        changed.files[2].1.push_str("maxPods: 10\n");
        assert_ne!(hash, changed.hash());
    }

    #[test]
    fn every_kubeconfig_a_process_is_given_is_written() {
        let layout = Layout::of_cache(Path::new("/cache"));
        let args = plan("/cache")
            .services
            .into_iter()
            .flat_map(|service| service.args);
        for arg in args.filter(|arg| arg.ends_with(".kubeconfig")) {
            let known = CLIENTS
                .iter()
                .any(|client| arg.ends_with(&layout.kubeconfig(client).display().to_string()));
            assert!(known, "{arg}");
        }
    }

    #[test]
    fn every_key_and_certificate_a_process_is_given_is_made() {
        let files = pki::generate().unwrap();
        let plan = plan("/cache");
        let texts = plan.services.iter().flat_map(|service| service.args.clone());
        let texts = texts.chain(
            plan.files
                .iter()
                .flat_map(|(_, text)| text.lines().map(str::to_owned).collect::<Vec<_>>()),
        );
        for text in texts {
            let Some((_, rest)) = text.split_once("/cache/cluster/pki/") else {
                continue;
            };
            let name = rest.trim_end_matches('}');
            assert!(files.iter().any(|(file, _)| file == name), "{text}");
        }
    }

    #[test]
    fn only_the_forwarder_runs_in_the_machines_network() {
        let layout = Layout::of_cache(Path::new("/cache"));
        let agents = agents::services(&layout, Path::new("/xtask"));
        let services = plan("/cache").services.into_iter().chain(agents);
        let host: Vec<_> = services
            .filter(|service| service.network == Network::Host)
            .map(|service| service.name)
            .collect();
        assert_eq!(host, ["forwarder"]);
    }
}

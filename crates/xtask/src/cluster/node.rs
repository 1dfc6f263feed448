//! Provider `node`: a running node of this configuration, or anything else -> a running node (IO).
//!
//! `node.sh` is its first process: PID and mount namespaces make all else end with it. A node that is wrong is thrown away and made anew.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::layout::{
    CGROUP, HOST_ADDRESS, LINK, Layout, NODE, NODE_ADDRESS, POD_RANGE, PROXY_PORT, SERVICE_RANGE, api_url,
};
use super::process::{Service, wait_until};
use super::{addons, containerd, control_plane, images, kubeconfig, kubelet, machine, pki};
use crate::components::{
    COREDNS, Component, ETCD, HYPERKUBE, NETWORK_POLICIES, NODE_TOOLS, PROVISIONER, ensure_kubectl,
    short_digest,
};
use crate::exec::Cmd;
use crate::paths::Paths;
use crate::progress::Progress;

/// All binaries of a node.
const COMPONENTS: [&Component; 6] = [
    &NODE_TOOLS,
    &ETCD,
    &HYPERKUBE,
    &COREDNS,
    &PROVISIONER,
    &NETWORK_POLICIES,
];
/// Clients of the API server with their own kubeconfig.
const CLIENTS: [&str; 5] = ["admin", "controllers", "scheduler", "kubelet", "proxy"];
/// Names of the control plane's one binary.
const KUBERNETES: [&str; 5] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
];
/// Timeout of one step of the start, on a slow and busy machine.
const TIMEOUT: Duration = Duration::from_mins(3);
/// File in the state folder with the process ID of `node.sh`.
const PID: &str = "pid";
/// File in the state folder with the configuration's hash, once the node is up.
const UP: &str = "up";

/// The network that a process runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    Node,
    Machine,
}

/// Whether all programs of a node are built.
pub(crate) fn has_programs(paths: &Paths) -> bool {
    COMPONENTS.iter().all(|component| component.path(paths).exists())
}

/// Brings the node up, or takes over the one that runs; returns the administrator's kubeconfig.
pub(crate) fn up(paths: &Paths, progress: &Progress) -> anyhow::Result<String> {
    machine::check_rights()?;
    machine::prepare(paths, !has_programs(paths), progress)?;
    for component in COMPONENTS {
        component.ensure(paths, progress)?;
    }
    ensure_kubectl(paths, progress)?;
    images::ensure_node_images(paths)?;
    let layout = Layout::new(paths);
    let (files, services) = (files(&layout), services(&layout, paths));
    let hash = hash(&files, &services, &layout);
    let same = fs::read_to_string(layout.file(UP)).is_ok_and(|up| up == hash);
    if same && is_running(&layout) && !layout.registry().exists() && is_ready(&layout, paths) {
        images::import(&layout, &paths.images(), progress)?;
    } else {
        down(&layout)?;
        if let Err(error) = start(&files, &services, &layout, paths, progress) {
            let logs = paths.logs().join("failed-start");
            let _ = fs::remove_dir_all(&logs);
            let _ = fs::create_dir_all(paths.logs());
            let _ = fs::rename(layout.file("logs"), &logs);
            down(&layout)?;
            return Err(error.context(format!(
                "the cluster did not start; its logs, if it had any: {}",
                logs.display()
            )));
        }
        fs::write(layout.file(UP), hash)?;
    }
    Ok(fs::read_to_string(layout.kubeconfig("admin"))?)
}

/// Ends all processes of the node and removes its files; cached binaries, archives and imported images stay.
pub(crate) fn down(layout: &Layout) -> anyhow::Result<()> {
    if !layout.state().exists() {
        return Ok(());
    }
    if is_running(layout) {
        let pid = fs::read_to_string(layout.file(PID))?;
        Cmd::new("kill").args(["-KILL", &pid]).run()?;
        // It is gone after the last process of its namespace.
        let process = Path::new("/proc").join(&pid);
        ensure!(
            wait_until(Duration::from_secs(30), || !process.exists()),
            "process {pid} cannot be ended; it may hang in the kernel"
        );
    }
    // It goes with its namespace, but a little later, also after a node that somebody else ended.
    let _ = Cmd::new("ip").args(["link", "delete", LINK]).run();
    let groups = format!(
        "for root in $(awk '$3 ~ /^cgroup/ {{print $2}}' /proc/mounts); do \
         [ ! -d $root/{CGROUP} ] || find $root/{CGROUP} -depth -type d -exec rmdir {{}} + || exit 1; done"
    );
    let removed = || Cmd::new("sh").args(["-c", &groups]).succeeds();
    ensure!(
        wait_until(Duration::from_secs(10), removed),
        "cannot remove the control groups `{CGROUP}`"
    );
    fs::remove_dir_all(layout.state()).with_context(|| format!("cannot remove {}", layout.state().display()))
}

/// Whether `node.sh` of this layout runs.
pub(crate) fn is_running(layout: &Layout) -> bool {
    let Ok(pid) = fs::read_to_string(layout.file(PID)) else {
        return false;
    };
    // Another process may have the ID after a reboot.
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.contains(&layout.text("node.sh"))
}

/// # Errors
/// When no local node is up.
pub(crate) fn check_running(layout: &Layout) -> anyhow::Result<()> {
    ensure!(
        is_running(layout),
        "no local node is up; run `./justw cluster up`"
    );
    Ok(())
}

/// Starts a process on the running node, in its network or the machine's; it ends with the node.
pub(crate) fn start_inside(service: &Service, network: Network, layout: &Layout) -> anyhow::Result<()> {
    check_running(layout)?;
    let pid = fs::read_to_string(layout.file(PID))?;
    let mut command = Command::new("setsid");
    command.args(["nsenter", "--target", &pid, "--pid", "--mount"]);
    if network == Network::Node {
        command
            .arg("nsenter")
            .arg(format!("--net={}", layout.text("network")));
    }
    spawn(
        command.arg(&service.program).args(&service.args),
        service.name,
        layout,
    )?;
    Ok(())
}

/// A kubectl call as administrator of the node. A proxy in the caller's environment does not apply to this address.
pub(crate) fn kubectl(layout: &Layout, paths: &Paths) -> Cmd {
    Cmd::new(paths.kubectl())
        .env("NO_PROXY", NODE_ADDRESS)
        .env("no_proxy", NODE_ADDRESS)
        .arg("--kubeconfig")
        .arg(layout.kubeconfig("admin"))
        .arg("--request-timeout=10s")
}

fn is_ready(layout: &Layout, paths: &Paths) -> bool {
    let condition = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    kubectl(layout, paths)
        .args(["get", "node", NODE, "-o", condition])
        .output()
        .is_ok_and(|status| status == "True")
}

/// Configuration files below the state folder.
fn files(layout: &Layout) -> Vec<(&'static str, String)> {
    let (authentication, providers) = control_plane::AUTHENTICATION;
    vec![
        (
            "containerd.toml",
            containerd::config(layout, &images::node_image(&NODE_TOOLS)),
        ),
        ("cni/10-pods.conflist", containerd::pod_network(layout)),
        ("kubelet.yaml", kubelet::config(layout)),
        ("audit-policy.yaml", control_plane::AUDIT_POLICY.to_owned()),
        (authentication, providers.to_owned()),
        ("hosts", control_plane::hosts()),
    ]
}

fn services(layout: &Layout, paths: &Paths) -> Vec<Service> {
    let admin = layout.kubeconfig("admin").display().to_string();
    vec![
        control_plane::etcd(layout),
        control_plane::apiserver_with_providers(layout),
        containerd::containerd(layout),
        control_plane::controllers(layout),
        control_plane::scheduler(layout),
        kubelet::kubelet(layout),
        kubelet::proxy(layout),
        control_plane::service(
            "kube-network-policies",
            NETWORK_POLICIES.path(paths),
            vec![format!("--kubeconfig={admin}"), format!("--node={NODE}")],
        ),
    ]
}

/// Hash of everything in which nodes can differ, binaries included.
fn hash(files: &[(&str, String)], services: &[Service], layout: &Layout) -> String {
    let binaries: Vec<String> = COMPONENTS.iter().map(|component| component.hash()).collect();
    let (script, manifests) = (include_str!("node.sh"), addons::manifests(layout));
    short_digest(format!("{binaries:?} {files:?} {services:?} {script} {manifests}").as_bytes())
}

fn start(
    files: &[(&'static str, String)],
    services: &[Service],
    layout: &Layout,
    paths: &Paths,
    progress: &Progress,
) -> anyhow::Result<()> {
    let has_link = || Cmd::new("ip").args(["link", "show", LINK]).succeeds();
    if !wait_until(Duration::from_secs(30), || !has_link()) {
        bail!(
            "the link {LINK} exists: a node of another cache folder runs; `JUPYTER_K8S_CACHE=<that folder> ./justw cluster down` ends it"
        );
    }
    machine::check_port()?;
    for folder in ["logs", "bin", "cni", "audit", "kubelet", "volumes"] {
        fs::create_dir_all(layout.file(folder))?;
    }
    fs::create_dir_all(layout.containerd_root())?;
    // This folder has keys, and volumes that all users may write to.
    fs::set_permissions(layout.state(), fs::Permissions::from_mode(0o700))?;
    for (name, text) in files {
        fs::write(layout.file(name), text)?;
    }
    symlink(ETCD.path(paths), layout.file("bin/etcd"))?;
    for name in KUBERNETES {
        symlink(HYPERKUBE.path(paths), layout.file("bin").join(name))?;
    }
    write_keys(layout)?;
    launch(services, layout)?;
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        wait_until(TIMEOUT, || !is_running(layout) || holds());
        let log = fs::read_to_string(layout.log("node")).unwrap_or_default();
        ensure!(
            is_running(layout),
            "the node's first process has ended: {}",
            log.trim()
        );
        ensure!(holds(), "{what} was not ready after {} s", TIMEOUT.as_secs());
        progress.line(format_args!("{what} is ready"));
        Ok(())
    };
    wait("containerd", &|| {
        fs::read_to_string(layout.log("node")).is_ok_and(|log| log.contains("started"))
            && containerd::ctr(layout).arg("version").succeeds()
    })?;
    images::prune(layout, &paths.images())?;
    let imported = images::import(layout, &paths.images(), progress);
    imported.with_context(|| format!("if this goes on, remove {}", layout.containerd_root().display()))?;
    let get = |args: &[&str]| kubectl(layout, paths).arg("get").args(args).succeeds();
    wait("the API server", &|| get(&["--raw", "/readyz"]))?;
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    kubectl(layout, paths)
        .args(apply)
        .stdin(addons::manifests(layout))
        .run()?;
    wait("the node", &|| is_ready(layout, paths))?;
    // A namespace accepts no pods before its default account exists.
    wait("the default service account", &|| {
        get(&["serviceaccount", "default"])
    })?;
    for (namespace, name) in addons::DEPLOYMENTS {
        let rollout =
            kubectl(layout, paths).args(["rollout", "status", "--request-timeout=0", "--timeout=180s"]);
        rollout
            .args(["-n", namespace, &format!("deployment/{name}")])
            .run()?;
    }
    progress.line("DNS and storage are available");
    Ok(())
}

/// Starts `node.sh` with its services, and records its process ID.
fn launch(services: &[Service], layout: &Layout) -> anyhow::Result<()> {
    let mut script = include_str!("node.sh").to_owned();
    for service in services {
        script.push_str(&service.line());
        script.push('\n');
    }
    script.push_str("echo started\nwait\n");
    fs::write(layout.file("node.sh"), script)?;
    let port = PROXY_PORT.to_string();
    let mut command = Command::new("setsid");
    command.args([
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount",
        "--mount-proc",
        "sh",
    ]);
    command.arg(layout.file("node.sh")).arg(layout.state());
    command.args([HOST_ADDRESS, NODE_ADDRESS, POD_RANGE, SERVICE_RANGE, &port]);
    let outer = spawn(&mut command, "node", layout)?;
    let children = format!("/proc/{outer}/task/{outer}/children");
    let mut pid = String::new();
    let forked = wait_until(TIMEOUT, || {
        let found = fs::read_to_string(&children).unwrap_or_default();
        found.trim().clone_into(&mut pid);
        !pid.is_empty() || !Path::new(&children).exists()
    });
    ensure!(
        forked && !pid.is_empty(),
        "unshare made no process; see {}",
        layout.log("node").display()
    );
    fs::write(layout.file(PID), &pid)?;
    ensure!(
        wait_until(TIMEOUT, || is_running(layout)),
        "sh does not run `node.sh`"
    );
    Ok(())
}

/// Starts a program with an environment of its own: a proxy or `KUBECONFIG` of the caller must not reach it. Returns its process ID.
fn spawn(command: &mut Command, name: &str, layout: &Layout) -> anyhow::Result<u32> {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(layout.log(name))?;
    command.env_clear().env("HOME", layout.state());
    command.env(
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    );
    command.current_dir(layout.state()).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let pid = child.id();
    // Reaps the process if it ends while we still run.
    std::thread::spawn(move || child.wait());
    Ok(pid)
}

fn write_keys(layout: &Layout) -> anyhow::Result<()> {
    let files = pki::generate()?;
    for (name, text) in &files {
        kubeconfig::write_secret(&layout.file("pki").join(name), text)?;
    }
    let text = |name: &str| {
        let found = files.iter().find(|(file, _)| file == name);
        found
            .map(|(_, text)| text.clone())
            .with_context(|| name.to_owned())
    };
    let cluster = kubeconfig::cluster(&api_url(), &text("ca.crt")?);
    for client in CLIENTS {
        let pair = pki::Pair {
            certificate: text(&format!("{client}.crt"))?,
            key: text(&format!("{client}.key"))?,
        };
        kubeconfig::write_secret(
            &layout.kubeconfig(client),
            &kubeconfig::render(&cluster, &pair, "default")?,
        )?;
    }
    Ok(())
}

//! Nothing -> a control plane with fake nodes in the network namespace of this process (IO).
//!
//! It uses the command lines and addresses of the local cluster, in another network namespace. All processes end with
//! this one, because they are in its process namespace.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::bench::server::cpu_time_of;
use crate::cluster::layout::{Layout, NODE_ADDRESS, api_url};
use crate::cluster::process::{Service, wait_until};
use crate::cluster::{control_plane, kubeconfig, kwok, pki};
use crate::components::{Component, ETCD, HYPERKUBE, KWOK};
use crate::exec::Cmd;
use crate::paths::Paths;

/// The operator's user: as a service account, so that priority and fairness treat it as on any cluster.
pub(super) const OPERATOR: &str = "system:serviceaccount:jupyter-k8s-system:jupyter-k8s-operator";
/// The webhook's user, for the same reason.
pub(in crate::bench) const WEBHOOK: &str = "system:serviceaccount:jupyter-k8s-system:bench-webhook";
/// The portal's user, as the chart names it in a release called `bench`.
pub(in crate::bench) const PORTAL: &str = "system:serviceaccount:jupyter-k8s-system:bench-portal";
/// The user that generates the load, and its administrator. API priority and fairness does not limit it.
const LOAD: &str = "bench-load";

/// Creates the operator's objects without the operator: a service account, for the same reason.
pub(super) const MAKER: &str = "system:serviceaccount:jupyter-k8s-system:bench-maker";

/// The audit log records the calls of the operator and the portal. It also records those of their substitutes, so that
/// both sides have the same cost.
const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users:
  - system:serviceaccount:jupyter-k8s-system:jupyter-k8s-operator
  - system:serviceaccount:jupyter-k8s-system:bench-maker
  - system:serviceaccount:jupyter-k8s-system:bench-portal
- level: None
";

/// A running control plane.
#[derive(Debug)]
pub(in crate::bench) struct Instance {
    layout: Layout,
    processes: Vec<(String, Child)>,
}

impl Instance {
    /// Starts etcd, API server, controllers, scheduler and the fake nodes' kubelets below `folder`, which is emptied.
    pub(super) async fn start(paths: &Paths, folder: &Path) -> anyhow::Result<Self> {
        let mut instance = Self::bare(paths, folder).await?;
        instance.launch(&control_plane::controllers(&instance.layout))?;
        instance.launch(&control_plane::scheduler(&instance.layout))?;
        let config = instance.layout.file("kwok.yaml");
        fs::write(&config, kwok::STAGES)?;
        let kwok = control_plane::service(
            kwok::FAKE_NODES,
            instance.layout.file("bin/kwok"),
            kwok::args(&instance.layout.kubeconfig("load"), &config),
        );
        instance.launch(&kwok)?;
        Ok(instance)
    }

    /// Starts etcd and API server alone.
    pub(in crate::bench) async fn bare(paths: &Paths, folder: &Path) -> anyhow::Result<Self> {
        let _ = fs::remove_dir_all(folder);
        let layout = Layout::of_cache(folder);
        for name in ["logs", "bin", "audit"] {
            fs::create_dir_all(layout.file(name))?;
        }
        fs::write(layout.file("audit-policy.yaml"), AUDIT)?;
        write_keys(&layout)?;
        link(&layout, paths, &ETCD, &["etcd"])?;
        let kubernetes = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
        link(&layout, paths, &HYPERKUBE, &kubernetes)?;
        link(&layout, paths, &KWOK, &[kwok::FAKE_NODES])?;
        for line in [
            "link set lo up",
            &format!("address replace {NODE_ADDRESS}/32 dev lo"),
        ] {
            Cmd::new("ip").args(line.split(' ')).run()?;
        }
        let mut instance = Self {
            layout,
            processes: Vec::new(),
        };
        instance.launch(&control_plane::etcd(&instance.layout))?;
        instance.launch(&control_plane::apiserver(&instance.layout))?;
        let api = SocketAddr::from((NODE_ADDRESS.parse::<Ipv4Addr>()?, 6443));
        let listens = || TcpStream::connect(api).is_ok();
        ensure!(
            wait_until(Duration::from_mins(1), listens),
            "the API server does not listen; see {}",
            instance.layout.log("kube-apiserver").display()
        );
        // Controllers and scheduler exit if their roles do not exist yet.
        wait_for(&instance.client().await?, "/readyz").await?;
        Ok(instance)
    }

    /// Starts one more process, with the operator's rights.
    pub(super) fn launch(&mut self, service: &Service) -> anyhow::Result<()> {
        self.launch_as(service, "operator")
    }

    /// Starts one more process, with the rights of this client.
    pub(in crate::bench) fn launch_as(&mut self, service: &Service, client: &str) -> anyhow::Result<()> {
        let log = File::create(self.layout.log(service.name))?;
        let child = Command::new(&service.program)
            .args(&service.args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("KUBECONFIG", self.layout.kubeconfig(client))
            .current_dir(self.layout.state())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", service.name))?;
        self.processes.push((service.name.to_owned(), child));
        Ok(())
    }

    /// Restarts a process, so that its memory is measured from its start.
    pub(super) fn relaunch(&mut self, service: &Service) -> anyhow::Result<()> {
        self.stop(service.name);
        self.launch(service)
    }

    /// Ends a process.
    pub(in crate::bench) fn stop(&mut self, name: &str) {
        self.processes.retain_mut(|(of, child)| {
            if of == name {
                let _ = child.kill();
                let _ = child.wait();
            }
            of != name
        });
    }

    /// Keeps all processes, and this one, on a processor.
    pub(in crate::bench) fn pin(&self, processor: usize) -> anyhow::Result<()> {
        let own = std::process::id();
        for pid in self.processes.iter().map(|(_, child)| child.id()).chain([own]) {
            Cmd::new("taskset")
                .args(["--all-tasks", "--cpu-list", "--pid"])
                .args([processor.to_string(), pid.to_string()])
                .run()?;
        }
        Ok(())
    }

    /// The files of this control plane.
    pub(in crate::bench) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The API server's log of the calls that are counted.
    pub(in crate::bench) fn audit_log(&self) -> PathBuf {
        self.layout.file("audit/audit.log")
    }

    /// A client that generates the load.
    pub(in crate::bench) async fn client(&self) -> anyhow::Result<Client> {
        self.client_of("load").await
    }

    /// A client that creates the operator's objects without the operator.
    pub(super) async fn maker(&self) -> anyhow::Result<Client> {
        self.client_of("maker").await
    }

    async fn client_of(&self, name: &str) -> anyhow::Result<Client> {
        let file = Kubeconfig::read_from(self.layout.kubeconfig(name))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// Processor time that a process has used so far.
    pub(in crate::bench) fn cpu(&self, name: &str) -> anyhow::Result<Duration> {
        cpu_time_of(self.pid(name)?)
    }

    /// Processor time of each process so far, and of this one, which generates the load.
    pub(super) fn cpu_of_all(&self) -> anyhow::Result<BTreeMap<String, Duration>> {
        let mut used = BTreeMap::from([("load".to_owned(), cpu_time_of(std::process::id())?)]);
        for (name, child) in &self.processes {
            used.insert(name.clone(), cpu_time_of(child.id())?);
        }
        Ok(used)
    }

    /// Peak memory of a process, bytes.
    pub(in crate::bench) fn peak_memory(&self, name: &str) -> anyhow::Result<u64> {
        self.figure(name, "VmHWM:")
    }

    /// Current memory of a process, bytes.
    pub(in crate::bench) fn memory(&self, name: &str) -> anyhow::Result<u64> {
        self.figure(name, "VmRSS:")
    }

    fn figure(&self, name: &str, figure: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid(name)?))?;
        kibibytes(&status, figure)
            .map(|size| size * 1024)
            .context(figure.to_owned())
    }

    fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let process = self.processes.iter().find(|(of, _)| of == name);
        Ok(process.with_context(|| format!("{name} does not run"))?.1.id())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until the API server answers a path.
pub(in crate::bench) async fn wait_for(client: &Client, path: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let answer = client
            .request_text(http::Request::get(path).body(Vec::new())?)
            .await;
        match answer {
            Ok(_) => return Ok(()),
            Err(error) if begin.elapsed() > Duration::from_mins(1) => {
                return Err(error).with_context(|| format!("{path} is not answered"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn write_keys(layout: &Layout) -> anyhow::Result<()> {
    let clients = [
        ("load", LOAD, "system:masters"),
        ("operator", OPERATOR, "system:serviceaccounts"),
        ("webhook", WEBHOOK, "system:serviceaccounts"),
        ("portal", PORTAL, "system:serviceaccounts"),
        ("maker", MAKER, "system:serviceaccounts"),
    ];
    let files = pki::generate_with(&clients)?;
    for (name, text) in &files {
        kubeconfig::write_secret(&layout.file("pki").join(name), text)?;
    }
    let text = |name: &str| {
        let found = files.iter().find(|(file, _)| file == name);
        found.map(|(_, text)| text.clone()).context(name.to_owned())
    };
    let cluster = kubeconfig::cluster(&api_url(), &text("ca.crt")?);
    let of_benches = clients.map(|(client, ..)| client);
    for client in of_benches.into_iter().chain(["controllers", "scheduler"]) {
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

fn link(layout: &Layout, paths: &Paths, component: &Component, names: &[&str]) -> anyhow::Result<()> {
    for name in names {
        symlink(component.path(paths), layout.file("bin").join(name))?;
    }
    Ok(())
}

/// A figure of `/proc/PID/status` (pure).
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_by_its_name() {
        let status = "VmPeak:\t  100 kB\nVmHWM:\t   4242 kB\nVmRSS:\t 17 kB\n";
        assert_eq!(kibibytes(status, "VmHWM:"), Some(4242));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
    }

    #[test]
    fn the_audit_log_is_of_the_measured_users_and_of_who_stands_in_for_the_operator() {
        assert!([OPERATOR, PORTAL, MAKER].iter().all(|user| AUDIT.contains(user)));
    }
}

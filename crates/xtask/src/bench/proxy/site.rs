//! Number of workspaces -> a gateway, a pod, and Traefik with and without the gateway (IO).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::bench::load::{Load, Pace};
use crate::bench::server::{Announced, Process, Server};

/// Timeout for the proxy's routes.
const START: Duration = Duration::from_secs(30);

/// A path to the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Traefik and the gateway.
    Gateway,
    /// Traefik without the gateway.
    Alone,
    /// No proxy.
    Direct,
}

/// All processes.
pub(super) struct Site {
    announced: Gateway,
    gateway: Process,
    proxy: Server,
    alone: Server,
    pod: Server,
}

/// Output of the gateway's process at its start.
#[derive(Deserialize)]
struct Gateway {
    /// Input for numbers of workspaces, each of which is then started.
    commands: String,
    /// Authority of the proxies' certificate, PEM.
    authority: String,
    proxies: BTreeMap<String, Proxy>,
    /// Authority and Cookie header of some running workspaces.
    running: Vec<Workspace>,
    /// The same of startable workspaces, in the order of their numbers.
    stopped: Vec<Value>,
}

#[derive(Deserialize)]
struct Proxy {
    address: String,
    arguments: Vec<String>,
}

#[derive(serde::Serialize, Deserialize)]
struct Workspace {
    authority: String,
    cookie: String,
}

impl Site {
    /// `processors`: of proxies and gateway, and of pod and load.
    pub(super) fn start(
        program: &Path,
        traefik: &Path,
        count: usize,
        folder: &Path,
        (measured, other): (usize, usize),
    ) -> anyhow::Result<Self> {
        let folder = folder.join(count.to_string());
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let pod = Server::start(program, "pod", "plain", other)?;
        let shown = folder.display().to_string();
        let args = ["site", &count.to_string(), pod.address(), &shown];
        let (gateway, announced) = Process::announced::<Gateway>(program, &args, measured)?;
        let proxy = |name: &'static str| {
            let proxy = announced
                .proxies
                .get(name)
                .context("the gateway named no proxy")?;
            let log = folder.join(format!("{name}.log"));
            let process = Process::start(traefik, &proxy.arguments, measured, File::create(&log)?)?;
            let server = Server::of(name, process, of(proxy, &announced)?);
            until_ready(server, program, other).with_context(|| format!("log: {}", log.display()))
        };
        let (proxy, alone) = (proxy("gateway")?, proxy("alone")?);
        Ok(Self {
            announced,
            gateway,
            proxy,
            alone,
            pod,
        })
    }

    pub(super) fn way(&self, name: Name) -> &Server {
        match name {
            Name::Gateway => &self.proxy,
            Name::Alone => &self.alone,
            Name::Direct => &self.pod,
        }
    }

    /// Processor time of the proxy on this path, and of the gateway.
    pub(super) fn cpu_times(&self, way: Name) -> anyhow::Result<[Duration; 2]> {
        let proxy = match way {
            Name::Gateway => self.proxy.process().cpu_time()?,
            Name::Alone => self.alone.process().cpu_time()?,
            Name::Direct => Duration::ZERO,
        };
        let gateway = match way {
            Name::Gateway => self.gateway.cpu_time()?,
            Name::Alone | Name::Direct => Duration::ZERO,
        };
        Ok([proxy, gateway])
    }

    /// Memory of the proxy and of the gateway, KiB.
    pub(super) fn memory(&self) -> anyhow::Result<[u64; 2]> {
        Ok([
            self.proxy.process().resident_memory()?,
            self.gateway.resident_memory()?,
        ])
    }

    pub(super) fn commands(&self) -> &str {
        &self.announced.commands
    }

    pub(super) fn running(&self) -> Value {
        serde_json::json!(self.announced.running)
    }

    pub(super) fn stopped(&self) -> &[Value] {
        &self.announced.stopped
    }
}

/// The requests to a proxy, as a browser sends for JupyterLab.
fn of(proxy: &Proxy, gateway: &Gateway) -> anyhow::Result<Announced> {
    let workspace = gateway.running.first().context("no workspace runs")?;
    let headers = [
        ("host", workspace.authority.as_str()),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-US,en;q=0.9"),
        ("cookie", &workspace.cookie),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Announced {
        address: proxy.address.clone(),
        authority: Some(gateway.authority.clone()),
        requests: BTreeMap::from([("valid".to_owned(), headers.into())]),
    })
}

/// Waits until the proxy has the gateway's routes.
fn until_ready(mut server: Server, program: &Path, cpu: usize) -> anyhow::Result<Server> {
    let load = Load {
        name: "one request",
        transport: "tls",
        path: "/",
        kind: "valid",
        status: 200,
        pace: Pace::Fresh(1),
        rounds: 0,
        requests: 1,
    };
    let begin = Instant::now();
    loop {
        match load.run(&server, (1, 200), cpu, program) {
            Ok(_) => return Ok(server),
            Err(error) if begin.elapsed() > START || server.has_ended()? => {
                bail!(error.context("the proxy has no routes"))
            }
            Err(_) => sleep(Duration::from_millis(200)),
        }
    }
}

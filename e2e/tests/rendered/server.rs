//! The local cluster's etcd -> an empty API server with all kinds that the chart renders (IO).

use std::{env, path::PathBuf};

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::api_server::SecondApiServer,
    command::shell::{Helm, Shell},
};

/// An API server that shares nothing with the cluster's: it has a part of etcd of its own. No controller, kubelet or webhook acts on it.
pub(crate) struct Empty {
    pub(crate) server: SecondApiServer,
    /// A shell whose variable `kubectl` calls kubectl at that server.
    pub(crate) shell: Shell,
}

impl Empty {
    /// Starts it. `part` tells it apart from others of this process.
    pub(crate) async fn start(part: &str) -> anyhow::Result<Self> {
        Self::with(SecondApiServer::start(&[&prefix(part)]).await?)
    }

    /// Starts one of an older Kubernetes.
    pub(crate) async fn start_older(part: &str) -> anyhow::Result<Self> {
        Self::with(SecondApiServer::start_older(&[&prefix(part)]).await?)
    }

    fn with(server: SecondApiServer) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            shell: Shell::new(Helm::Three)?,
        })
    }

    /// Runs commands in which `kubectl` is a command of this server's administrator.
    pub(crate) async fn run(&self, commands: &str) -> anyhow::Result<String> {
        let commands = format!("{}\n{commands}", self.administrator()?);
        self.shell.run(&commands).await
    }

    /// Exit code, standard output and standard error of commands in which `kubectl` and this `helm` are commands of that administrator.
    pub(crate) async fn outcome(&self, helm: Helm, commands: &str) -> anyhow::Result<(i32, String, String)> {
        let commands = format!("{}\n{commands}", self.administrator()?);
        Shell::new(helm)?.outcome(&commands).await
    }

    /// Functions of a shell that lead to this server.
    fn administrator(&self) -> anyhow::Result<String> {
        let cluster = self.server.kubeconfig.clusters.first();
        let url = cluster.and_then(|one| one.cluster.as_ref()?.server.clone());
        let url = url.context("the kubeconfig names no server")?;
        Ok(format!(
            "kubectl() {{ command kubectl --server={url} \"$@\"; }}
             helm() {{ command helm --kube-apiserver={url} \"$@\"; }}"
        ))
    }

    /// Installs our definitions, and those of other projects.
    pub(crate) async fn define(&self) -> anyhow::Result<()> {
        let others = env::var("JUPYTER_K8S_DEFINITIONS")
            .context("JUPYTER_K8S_DEFINITIONS is not set: run the tests by `./justw test`")?;
        let commands = format!(
            "kubectl apply --server-side -f {} >/dev/null
             for file in {others}/*.yaml; do kubectl apply --server-side -f \"$file\" >/dev/null; done
             kubectl wait --for=condition=Established crds --all --timeout=1m >/dev/null",
            crds()?.display()
        );
        self.run(&commands).await?;
        Ok(())
    }
}

fn prefix(part: &str) -> String {
    format!("--etcd-prefix=/rendered-{part}-{}", std::process::id())
}

/// The chart of the installation.
pub(crate) fn chart() -> anyhow::Result<PathBuf> {
    let chart = Environment::get()?.chart.clone();
    chart.context("the installation does not say where its chart is: run `./justw demo` again")
}

/// The chart's definitions.
pub(crate) fn crds() -> anyhow::Result<PathBuf> {
    Ok(chart()?.join("crds"))
}

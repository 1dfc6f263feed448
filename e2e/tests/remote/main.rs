//! Programs on somebody's machine: how they sign in, and ssh through proxy and gateway into a workspace.

mod ends;
mod idle;
mod login;
mod refused;
#[path = "use.rs"]
mod uses;

use api::Workspace;
use e2e::{
    cluster::Scratch,
    http::HttpSession,
    objects::workspace,
    remote::{Machine, machine},
};
use kube::ResourceExt as _;

/// JupyterLab of alice, and a machine where she has signed in.
struct Lab {
    scratch: Scratch,
    workspace: Workspace,
    browser: HttpSession,
    machine: Machine,
}

impl Lab {
    async fn new(prefix: &str, users: &[&str]) -> anyhow::Result<Self> {
        let scratch = Scratch::new(prefix, users).await?;
        let workspace = workspace::lab(&scratch).await?;
        let browser = HttpSession::new()?;
        Ok(Self {
            machine: Machine::signed_in("alice", &browser).await?,
            scratch,
            workspace,
            browser,
        })
    }

    /// Its name for ssh.
    fn host(&self) -> String {
        machine::host(&self.scratch.namespace, &self.workspace.name_any())
    }

    /// Runs shell commands on her machine; `HOST` in them is the workspace.
    async fn run(&self, commands: &str) -> anyhow::Result<String> {
        self.machine.run(&commands.replace("HOST", &self.host())).await
    }
}

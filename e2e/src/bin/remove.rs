//! Cluster under test -> the same without release, CRDs, namespaces and workspaces (IO).
//!
//! The test run calls this before the tests that install from a registry.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    e2e::installation::removal::everything(e2e::command::shell::Helm::Three).await
}

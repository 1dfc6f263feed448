//! JupyterHub's idle culler, unmodified, beside an operator that stops nothing.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{cluster, objects::workspace, wait};
use serde_json::json;

use super::{
    page,
    sample::{self, HUB},
    servers,
};

/// Runs one more culler with the rights of the sample's own, until `user` has no server.
const CULL: &str = r"
import subprocess, sys, time, urllib.request
for found, environment in processes:
    # This program's own arguments have the name, too.
    if 'jupyterhub_idle_culler' in found and 'JUPYTERHUB_API_TOKEN' in environment:
        break
else:
    sys.exit('the hub runs no culler')
hub = 'http://127.0.0.1:8081/hub/api'
server = urllib.request.Request(hub + '/users/' + user, headers={'Authorization': 'token ' + environment['JUPYTERHUB_API_TOKEN']})
command = [sys.executable, '-m', 'jupyterhub_idle_culler', *arguments, '--cull-every=1', '--url=' + hub]
culler = subprocess.Popen(command, env=environment)
try:
    while json.load(urllib.request.urlopen(server, timeout=10))['servers']:
        time.sleep(0.5)
finally:
    culler.terminate()
";

/// Far more than passes between two reports of a server of the tests (`sample.rs`).
const IDLE: Duration = Duration::from_secs(15);
/// No server is idle for so long.
const NEVER: &str = "--timeout=3600";

#[tokio::test]
async fn the_culler_stops_a_server_with_a_forgotten_page_once_and_one_that_computes_only_by_its_age()
-> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let (alice, bob) = (hub.sign_in("alice").await?, hub.sign_in("bob").await?);
    tokio::try_join!(alice.start(), bob.start())?;
    let workspaces = sample::workspaces().await?;
    let generation = |of: Workspace| of.metadata.generation.context("no generation");
    let of_bob = servers::workspace_of("bob", "").await?;
    let before = generation(workspaces.get(&of_bob).await?)?;

    // A cell of hours that prints nothing, of which the page is closed.
    drop(page::compute(&alice, "import time; time.sleep(36000)").await?);
    let computing = alice.server().await?;
    // An open page whose browser answers pings, later than that.
    let forgotten = page::compute(&bob, "1").await?;
    let idle = format!("--timeout={}", IDLE.as_secs());
    let arguments = [idle.as_str()];
    let (culled, lasted) = tokio::join!(cull("bob", &arguments), page::ping(forgotten));
    culled?;
    ensure!(lasted > IDLE / 2, "the page ended after {lasted:?}");
    bob.has_none().await?;
    let stopped = workspace::reached(&workspaces, &of_bob, Phase::Stopped).await?;
    assert_eq!(generation(stopped)?, before + 1, "one write stops it");
    alice.answers().await?;
    assert_eq!(
        alice.server().await?["started"],
        computing["started"],
        "the same run computes"
    );

    cull("alice", &[NEVER, "--max-age=1"]).await?;
    alice.has_none().await
}

/// Runs a culler with these arguments until the user has no server.
async fn cull(user: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let given = format!("user, arguments = {}, {}\n", json!(user), json!(arguments));
    let script = format!("{}{given}{CULL}", sample::PROCESSES);
    let seconds = wait::USUAL.as_secs().to_string();
    let command = ["timeout", &seconds, "python3", "-c", &script];
    cluster::exec(&sample::pods(HUB).await?, &sample::pod("hub").await?, &command).await?;
    Ok(())
}

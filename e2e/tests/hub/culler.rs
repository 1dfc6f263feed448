//! JupyterHub's idle culler, unmodified, beside an operator that stops nothing.

use std::time::Duration;

use anyhow::Context as _;
use api::{Workspace, workspace::Phase};
use e2e::{cluster, objects::workspace, wait};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use super::{
    sample::{self, HUB},
    servers,
};

/// Runs one more culler with the rights of the sample's own, until bob has no server. It calls a server idle after one second.
const CULL: &str = r"
import subprocess, sys, time, urllib.request
for arguments, environment in processes:
    # This program's own arguments have the name, too.
    if 'jupyterhub_idle_culler' in arguments and 'JUPYTERHUB_API_TOKEN' in environment:
        break
else:
    sys.exit('the hub runs no culler')
hub = 'http://127.0.0.1:8081/hub/api'
bob = urllib.request.Request(hub + '/users/bob', headers={'Authorization': 'token ' + environment['JUPYTERHUB_API_TOKEN']})
command = [sys.executable, '-m', 'jupyterhub_idle_culler', '--timeout=1', '--cull-every=1', '--url=' + hub]
culler = subprocess.Popen(command, env=environment)
try:
    while json.load(urllib.request.urlopen(bob, timeout=10))['servers']:
        time.sleep(0.5)
finally:
    culler.terminate()
";

#[tokio::test]
async fn jupyterhub_s_culler_stops_an_idle_server_once_and_no_busy_one() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let (alice, bob) = (hub.sign_in("alice").await?, hub.sign_in("bob").await?);
    tokio::try_join!(alice.start(), bob.start())?;
    let workspaces = sample::workspaces().await?;
    let generation = |of: Workspace| of.metadata.generation.context("no generation");
    let of_bob = servers::workspace_of("bob", "").await?;
    let before = generation(workspaces.get(&of_bob).await?)?;

    // It takes times of the near future, so that clocks may differ.
    let later = Timestamp::now() + Duration::from_mins(30);
    let used = json!({"servers": {"": {"last_activity": later.to_string()}}});
    alice
        .send_json(Method::POST, "/hub/api/users/alice/activity", &used)
        .await?
        .error_for_status()?;
    cluster::exec(
        &sample::pods(HUB).await?,
        &sample::pod("hub").await?,
        &[
            "timeout",
            &wait::USUAL.as_secs().to_string(),
            "python3",
            "-c",
            &format!("{}{CULL}", sample::PROCESSES),
        ],
    )
    .await?;
    bob.has_none().await?;
    let stopped = workspace::reached(&workspaces, &of_bob, Phase::Stopped).await?;
    assert_eq!(generation(stopped)?, before + 1, "one write stops it");
    alice.answers().await?;
    alice.stop().await
}

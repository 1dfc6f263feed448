//! The token that JupyterHub gives a server: where it is, and where it is not.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, ensure};
use api::workspace::Phase;
use e2e::{Environment, cluster, command, objects::workspace};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use serde::Deserialize;

use super::sample::{self, HUB, SERVERS};

/// Tokens in the environments of a pod's processes, and the arguments of all.
const PROCESSES: &str = "
import glob, json
tokens, arguments = set(), ''
for folder in glob.glob('/proc/[0-9]*'):
    try:
        environment = open(folder + '/environ', 'rb').read().decode(errors='replace')
        arguments += open(folder + '/cmdline', 'rb').read().decode(errors='replace')
    except OSError:
        continue
    for pair in environment.split('\\0'):
        if pair.startswith('JUPYTERHUB_API_TOKEN='):
            tokens.add(pair.split('=', 1)[1])
print(json.dumps({'tokens': sorted(tokens), 'arguments': arguments}))";

#[derive(Debug, Deserialize)]
struct Processes {
    tokens: BTreeSet<String>,
    arguments: String,
}

#[tokio::test]
async fn no_object_of_the_api_server_holds_a_server_s_token() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let bob = hub.sign_in("bob").await?;
    bob.start().await?;
    let running = workspace::reached(&sample::workspaces().await?, "bob", Phase::Running).await?;
    let (uid, pod) = (running.uid().context("no UID")?, workspace::pod(&running)?);
    let seen = cluster::exec(&sample::pods(SERVERS).await?, &pod, &["python3", "-c", PROCESSES]).await?;
    let seen: Processes = serde_json::from_str(&seen)?;
    let tokens: Vec<&String> = seen.tokens.iter().collect();
    let [token] = tokens[..] else {
        anyhow::bail!("{} tokens", tokens.len())
    };
    ensure!(token.len() >= 32, "a token of {} characters", token.len());
    ensure!(
        seen.arguments.contains("jupyterhub-singleuser"),
        "{}",
        seen.arguments
    );
    // Each text has something that shows that it was searched.
    let (audit, logs) = (audit()?, logs().await?);
    for (what, text, control) in [
        ("arguments of processes", &seen.arguments, "launch"),
        ("objects", &objects().await?, uid.as_str()),
        ("logs", &logs, "fetched its environment"),
        ("audit log", &audit, SERVERS),
    ] {
        // Not the text: it is for nobody's eyes if it holds the token.
        ensure!(!text.contains(token.as_str()), "the token is in: {what}");
        ensure!(
            text.contains(control) || (what == "audit log" && text.is_empty()),
            "{what} have no {control}"
        );
    }
    ensure!(
        !secrets().await?.contains(token.as_str()),
        "a Secret holds the token"
    );
    bob.stop().await
}

/// All objects that an administrator can list, events included.
async fn objects() -> anyhow::Result<String> {
    let kinds = command::administered(&["api-resources", "--verbs=list", "-o", "name"], "").await?;
    let kinds = kinds.lines().collect::<Vec<_>>().join(",");
    // A kind whose own server is away is left out by kubectl.
    let listed = command::administer(&["get", &kinds, "--all-namespaces", "-o", "json"]).await?;
    Ok(listed.stdout)
}

/// Values of all Secrets, decoded.
async fn secrets() -> anyhow::Result<String> {
    let secrets = Api::<Secret>::all(cluster::admin().await?);
    let mut text = String::new();
    for secret in secrets.list(&ListParams::default()).await? {
        for value in secret.data.unwrap_or_default().into_values() {
            text.push_str(&String::from_utf8_lossy(&value.0));
            text.push('\n');
        }
    }
    Ok(text)
}

/// Logs of the hub, its proxy, the servers and the product.
async fn logs() -> anyhow::Result<String> {
    let mut text = String::new();
    for namespace in [HUB, SERVERS, &Environment::get()?.system_namespace] {
        let pods: Api<Pod> = sample::pods(namespace).await?;
        for pod in pods.list(&ListParams::default()).await? {
            let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
            for container in containers.unwrap_or_default() {
                let of = LogParams {
                    container: Some(container.name.clone()),
                    ..LogParams::default()
                };
                // A pod that has just begun or ended has none.
                text.push_str(&pods.logs(&pod.name_any(), &of).await.unwrap_or_default());
            }
        }
    }
    Ok(text)
}

/// The API server's audit log, where it can be read.
fn audit() -> anyhow::Result<String> {
    let Some(path) = &Environment::get()?.audit_log else {
        return Ok(String::new());
    };
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

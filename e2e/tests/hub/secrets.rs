//! The token that JupyterHub gives a server: where it is, and where it is not.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
};

use anyhow::{Context as _, ensure};
use api::workspace::Phase;
use e2e::{Environment, cluster, command, objects::workspace};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::{
    sample::{self, HUB, SERVERS},
    servers,
};

#[tokio::test]
async fn no_object_of_the_api_server_holds_a_server_s_token() -> anyhow::Result<()> {
    let hub = sample::hub().await?;
    let bob = hub.sign_in("bob").await?;
    bob.start().await?;
    let name = servers::workspace_of("bob", "").await?;
    let running = workspace::reached(&sample::workspaces().await?, &name, Phase::Running).await?;
    let (uid, pod) = (running.uid().context("no UID")?, workspace::pod(&running)?);
    let (arguments, environments): (Vec<_>, Vec<_>) =
        sample::processes(SERVERS, &pod).await?.into_iter().unzip();
    let arguments: String = arguments.concat();
    let tokens = environments
        .iter()
        .filter_map(|variables| variables.get("JUPYTERHUB_API_TOKEN"));
    let tokens: Vec<_> = tokens.collect::<BTreeSet<_>>().into_iter().collect();
    let [token] = tokens[..] else {
        anyhow::bail!("{} tokens", tokens.len())
    };
    ensure!(token.len() >= 32, "a token of {} characters", token.len());
    ensure!(arguments.contains("jupyterhub-singleuser"), "{arguments}");
    // Each text has something that shows that it was searched.
    for (what, text, control) in [
        ("arguments of processes", arguments, "launch"),
        ("objects", objects().await?, uid.as_str()),
        ("logs", logs().await?, "fetched its environment"),
    ] {
        // Not the text: it is for nobody's eyes if it holds the token.
        ensure!(!text.contains(token.as_str()), "the token is in: {what}");
        ensure!(text.contains(control), "{what} have no {control}");
    }
    if let Some(log) = &Environment::get()?.audit_log {
        ensure!(!has_been_audited(log, token)?, "the token is in the audit log");
        ensure!(has_been_audited(log, SERVERS)?, "the audit log has no {SERVERS}");
        ensure!(
            !has_been_stored(log, token).await?,
            "a version of an object held the token"
        );
        ensure!(has_been_stored(log, &uid).await?, "no version has {uid}");
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
    for namespace in [HUB, SERVERS, Environment::get()?.system_namespace.as_str()] {
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

/// Whether a version of any object, also one that is gone, holds this. etcd's files lie beside the audit log's folder, unencrypted.
async fn has_been_stored(log: &Path, text: &str) -> anyhow::Result<bool> {
    let cluster = log.parent().and_then(Path::parent);
    let files = cluster.context("the audit log has no folder")?.join("etcd");
    for _ in 0..3 {
        match search(&files, text).await? {
            Some(0) => return Ok(true),
            Some(1) => return Ok(false),
            // A file that etcd removed meanwhile.
            _ => {}
        }
    }
    anyhow::bail!("{} cannot be searched", files.display())
}

/// The exit code of grep.
async fn search(files: &Path, text: &str) -> anyhow::Result<Option<i32>> {
    let mut search = Command::new("grep")
        .args(["-rqaF", "--exclude=*.tmp", "-f", "-"])
        .arg(files)
        .stdin(Stdio::piped())
        .spawn()?;
    let mut patterns = search.stdin.take().context("no standard input")?;
    patterns.write_all(text.as_bytes()).await?;
    drop(patterns);
    Ok(search.wait().await?.code())
}

/// Whether a line of the API server's audit log holds this, in files that it has moved aside, too.
fn has_been_audited(log: &Path, text: &str) -> anyhow::Result<bool> {
    for file in fs::read_dir(log.parent().context("the audit log has no folder")?)? {
        for line in BufReader::new(File::open(file?.path())?).split(b'\n') {
            if String::from_utf8_lossy(&line?).contains(text) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

//! Workspace name -> the output of its pod (IO).

use anyhow::anyhow;
use api::Workspace;
use api::condition::{DEGRADED, find};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::targets::Target;
use crate::args::Logs;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// Shows the output of the workspace's newest pod.
pub(crate) async fn run(cluster: &Cluster, args: &Logs, console: &mut Console<'_>) -> Result<(), Failure> {
    let target = Target::new(cluster, &args.name);
    let namespace = Some(target.namespace.as_str());
    let label = format!("{}={}", api::names::WORKSPACE_LABEL, target.name);
    let (workspace, pods) = futures::join!(
        target.read(cluster),
        cluster.list::<Pod>(namespace, Some(&label), None)
    );
    let workspace = workspace?;
    let mut pods = pods.map_err(|failure| without_right(failure, &workspace, &target))?;
    pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string());
    let newest = pods.last().and_then(|pod| pod["metadata"]["name"].as_str());
    let Some(pod) = newest else {
        return Err(Failure::NotAsWanted {
            name: target.name.clone(),
            wanted: "running",
            reason: "NoPod".to_owned(),
            message: format!(
                "it has no pod, so there is no output. To see why: kubectl workspace explain {} -n {}",
                target.name, target.namespace
            ),
        });
    };
    let params = LogParams {
        container: Some(args.container.clone()),
        follow: args.follow,
        previous: args.previous,
        since_seconds: args.since.and_then(|since| i64::try_from(since.as_secs()).ok()),
        tail_lines: args.tail,
        ..LogParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &target.namespace);
    let opened = pods.log_stream(pod, &params).await.map_err(|error| match error {
        kube::Error::Api(status) => without_right(Failure::Refused(status), &workspace, &target),
        error => cluster.unreachable(error.into()),
    });
    let mut lines = std::pin::pin!(opened?.lines());
    while let Some(line) = lines
        .try_next()
        .await
        .map_err(|error| cluster.unreachable(error.into()))?
    {
        writeln!(console.out, "{line}")?;
    }
    Ok(())
}

/// A missing right, with what the status says and whom to ask.
fn without_right(failure: Failure, workspace: &Workspace, target: &Target) -> Failure {
    let is_forbidden = matches!(&failure, Failure::Refused(status) if status.code == 403);
    if !is_forbidden {
        return failure;
    }
    let status = workspace.status.clone().unwrap_or_default();
    let known = match find(&status.conditions, DEGRADED) {
        Some(degraded) if degraded.status == "True" => format!("{}: {}", degraded.reason, degraded.message),
        _ => status.message.unwrap_or_else(|| "nothing is wrong".to_owned()),
    };
    Failure::Other(anyhow!(
        "{failure}\nThe workspace's status says: {known}\nAsk an administrator of namespace {} for get on pods/log.",
        target.namespace
    ))
}

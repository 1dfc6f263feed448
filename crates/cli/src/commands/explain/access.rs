//! A workspace and a user -> why the user may or may not connect (IO).

use anyhow::anyhow;
use api::{WorkspaceManager, WorkspaceShare};
use explain::Read;
use explain::access::{AccessEvidence, explain};
use k8s_openapi::jiff::Timestamp;
use rules::access::Requester;
use serde_json::json;

use super::super::identity::current_user;
use super::super::targets::Target;
use super::{may, read_all, read_one, show, text};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// The group of all signed-in users, which the gateway adds.
const SIGNED_IN: &str = "system:authenticated";

/// Explains the access of the named user, by default that of the user who runs the command.
pub(super) async fn run(
    cluster: &Cluster,
    args: &Explain,
    target: &Target,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let namespace = Some(target.namespace.as_str());
    let (workspace, user) = futures::join!(target.read(cluster), requester(cluster, args));
    let workspace = workspace?;
    let (user, groups) = user?;
    let resolved = workspace
        .status
        .as_ref()
        .and_then(|status| status.resolved.as_ref());
    let manager = resolved.and_then(|resolved| resolved.manager.as_deref());
    let (shares, manager, right) = futures::join!(
        cluster.list::<WorkspaceShare>(namespace, None, None),
        manager_of(cluster, manager),
        may(
            cluster,
            json!({
                "group": api::names::GROUP, "resource": "workspaces", "subresource": "connect", "verb": "create",
                "namespace": target.namespace, "name": target.name,
            }),
            args.user.as_ref().map(|user| (user.as_str(), groups.as_slice()))
        )
    );
    let explanation = explain(&AccessEvidence {
        requester: Requester {
            user: &user,
            groups: &groups,
        },
        workspace: &workspace,
        shares: read_all(shares),
        manager,
        right,
        now: Timestamp::now(),
    });
    show(
        args,
        "AccessExplanation",
        &explanation,
        &text::access(&explanation),
        console,
    )?;
    match explanation.allowed {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::Explained),
        None => Err(Failure::Other(anyhow!(
            "it cannot be determined whether the user may connect"
        ))),
    }
}

async fn requester(cluster: &Cluster, args: &Explain) -> Result<(String, Vec<String>), Failure> {
    if let Some(user) = &args.user {
        let signed_in = Some(SIGNED_IN.to_owned());
        return Ok((
            user.clone(),
            args.group.iter().cloned().chain(signed_in).collect(),
        ));
    }
    if !args.group.is_empty() {
        return Err(Failure::Usage(
            "--group needs --user: a group alone does not connect".to_owned(),
        ));
    }
    let user = current_user(cluster).await?;
    Ok((user.username.unwrap_or_default(), user.groups.unwrap_or_default()))
}

async fn manager_of(cluster: &Cluster, name: Option<&str>) -> Read<WorkspaceManager> {
    let Some(name) = name else {
        return Read::Unread("status.resolved.manager is not set yet".to_owned());
    };
    match read_one(cluster.get::<WorkspaceManager>(None, name).await) {
        Read::Known(Some(manager)) => Read::Known(manager),
        Read::Known(None) => Read::Unread(format!("{name} does not exist")),
        Read::Unread(why) => Read::Unread(why),
    }
}

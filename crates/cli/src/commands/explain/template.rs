//! A template and a namespace -> why it may not be used there, and why it is not gone (IO).

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use explain::Read;
use explain::template::{TemplateEvidence, explain};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::super::template::find;
use super::{conclude, may, read_all};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;

/// Explains the template for the namespace of `--for`, else for that of the command.
pub(super) async fn run(
    cluster: &Cluster,
    args: &Explain,
    name: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let namespace = args
        .in_namespace
        .as_deref()
        .unwrap_or_else(|| cluster.namespace());
    let template: WorkspaceTemplate = serde_json::from_value(find(cluster, name).await?)?;
    let users = format!("spec.templateRef={name}");
    let is_deleted = template.metadata.deletion_timestamp.is_some();
    let (right, profile, workspaces) = futures::join!(
        may(
            cluster,
            json!({
                "verb": api::names::USE_VERB, "group": api::names::GROUP, "resource": "workspacetemplates",
                "name": name, "namespace": namespace,
            }),
            None
        ),
        profile(cluster, template.spec.execution_profile_ref.as_deref(), namespace),
        // Only a deletion depends on who uses it.
        async {
            if is_deleted {
                read_all(cluster.list::<Workspace>(None, None, Some(&users)).await)
            } else {
                Read::Known(Vec::new())
            }
        },
    );
    let explanation = explain(&TemplateEvidence {
        template: &template,
        namespace,
        right,
        profile,
        workspaces,
        now: Timestamp::now(),
    });
    conclude(args, "TemplateExplanation", &explanation, console)
}

async fn profile(cluster: &Cluster, name: Option<&str>, namespace: &str) -> Option<Read<bool>> {
    let found = cluster
        .get::<WorkspaceExecutionProfile>(Some(namespace), name?)
        .await;
    Some(match found {
        Ok(_) => Read::Known(true),
        Err(failure) if failure.is_not_found() => Read::Known(false),
        Err(failure) => Read::Unread(failure.to_string()),
    })
}

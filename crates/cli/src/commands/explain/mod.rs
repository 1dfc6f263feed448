//! A workspace or manifests -> an explanation (IO).
//!
//! | file | explains |
//! |---|---|
//! | `access.rs` | why a user may or may not connect |
//! | `manifest.rs` | why manifests would be refused |
//! | `template.rs` | why a template may not be used, or is not gone |
//! | `text.rs` | explanation -> text |

mod access;
#[cfg(test)]
mod golden_tests;
mod manifest;
mod template;
mod text;

use api::workspace::Phase;
use api::{Workspace, WorkspaceTemplate};
use explain::progress::{current_pod, phase};
use explain::{Evidence, Read};
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SubjectAccessReview};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, ResourceQuota};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::targets::{Target, parse};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// The word before the name of a template.
const TEMPLATE: &str = "template";

/// Explains a workspace, its access, or manifests.
pub(crate) async fn run(cluster: &Cluster, args: &Explain, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        return manifest::run(cluster, args, console).await;
    };
    match &args.explained_template {
        Some(template) if name == TEMPLATE => return template::run(cluster, args, template, console).await,
        Some(template) => {
            return Err(Failure::Usage(format!(
                "one workspace at a time, not {name} and {template}. For a template: kubectl workspace explain template {template}"
            )));
        }
        None => {}
    }
    let target = Target::new(cluster, name);
    if args.access {
        return access::run(cluster, args, &target, console).await;
    }
    state(cluster, args, &target, console).await
}

/// Reads the workspace and what belongs to it side by side, and explains it.
async fn state(
    cluster: &Cluster,
    args: &Explain,
    target: &Target,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let namespace = Some(target.namespace.as_str());
    let name = target.name.as_str();
    let label = format!("{}={name}", api::names::WORKSPACE_LABEL);
    let regarding = format!("involvedObject.kind=Workspace,involvedObject.name={name}");
    let claim = rules::names::child(name);
    let logs = json!({
        "verb": "get", "resource": "pods", "subresource": "log", "namespace": target.namespace, "name": claim,
    });
    let (workspace, events, pods, claim, quotas, reads_logs) = futures::join!(
        cluster.get::<Workspace>(namespace, name),
        cluster.list::<Event>(namespace, None, Some(&regarding)),
        cluster.list::<Pod>(namespace, Some(&label), None),
        cluster.get::<PersistentVolumeClaim>(namespace, &claim),
        cluster.list::<ResourceQuota>(namespace, None, None),
        may(cluster, logs, None),
    );
    let workspace = match workspace {
        // The word is meant, not a workspace of that name.
        Err(failure) if name == TEMPLATE && failure.is_not_found() => {
            return Err(Failure::Usage(format!(
                "the name of the template is missing: write kubectl workspace explain template NAME, with a name of kubectl \
                 workspace template list (namespace {:?} has no workspace \"template\", either)",
                target.namespace
            )));
        }
        workspace => parse(workspace.map_err(|failure| target.missing(failure))?)?,
    };
    let claim = match claim {
        Err(failure) if failure.is_not_found() => Read::Known(None),
        claim => read_one::<PersistentVolumeClaim>(claim),
    };
    let pods = read_all(pods);
    let (template, pod_events) = of_its_template(cluster, &workspace, &pods).await;
    let explanation = explain::workspace(&Evidence {
        workspace: &workspace,
        events: read_all(events),
        pods,
        claim,
        quotas: read_all(quotas),
        template: template.as_ref(),
        pod_events: &pod_events,
        reads_logs: reads_logs.known() == Some(&true),
        now: Timestamp::now(),
    });
    conclude(args, "WorkspaceExplanation", &explanation, console)
}

/// The template, and while it starts the Events of its pod. They only add to what else is known, so a failed read is not named.
async fn of_its_template(
    cluster: &Cluster,
    workspace: &Workspace,
    pods: &Read<Vec<Pod>>,
) -> (Option<WorkspaceTemplate>, Vec<Event>) {
    let Some(name) = workspace.spec.template_ref.as_deref() else {
        return (None, Vec::new());
    };
    let starts = phase(workspace) == Phase::Starting;
    let pods = pods.known().filter(|_| starts);
    let pod = pods.and_then(|pods| current_pod(workspace, pods));
    let events = async {
        let pod = pod?;
        let about = format!("involvedObject.kind=Pod,involvedObject.name={}", pod.name_any());
        let namespace = pod.metadata.namespace.as_deref();
        let events = read_all(cluster.list::<Event>(namespace, None, Some(&about)).await);
        events.known().cloned()
    };
    let (template, events) = futures::join!(cluster.get::<WorkspaceTemplate>(None, name), events);
    let template = read_one(template).known().cloned().flatten();
    (template, events.unwrap_or_default())
}

/// Shows the explanation. What is not as wanted is the exit code's.
fn conclude(
    args: &Explain,
    kind: &str,
    explanation: &explain::Explanation,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    show(args, kind, explanation, &text::explanation(explanation), console)?;
    if explanation.as_wanted {
        return Ok(());
    }
    Err(Failure::Explained)
}

/// Prints the text, or the same as an object.
fn show(
    args: &Explain,
    kind: &str,
    explanation: &impl Serialize,
    text: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Some(format) = &args.output else {
        return Ok(console.out.block(text)?);
    };
    Ok(console.out.data(&output::report(kind, explanation, format)?)?)
}

/// Whether the user may do this; of another user, given with groups, only who has a right to it is told.
async fn may(cluster: &Cluster, attributes: Value, other: Option<(&str, &[String])>) -> Read<bool> {
    let review = |kind: &str, spec: Value| json!({"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec});
    let answer = if let Some((user, groups)) = other {
        let spec = json!({"user": user, "groups": groups, "resourceAttributes": attributes});
        let review = review("SubjectAccessReview", spec);
        cluster.create::<SubjectAccessReview>(None, &review, false).await
    } else {
        let review = review(
            "SelfSubjectAccessReview",
            json!({"resourceAttributes": attributes}),
        );
        cluster
            .create::<SelfSubjectAccessReview>(None, &review, false)
            .await
    };
    match answer {
        Ok(review) => Read::Known(review["status"]["allowed"] == true),
        Err(failure) => Read::Unread(failure.to_string()),
    }
}

/// What was read, without what this version cannot parse.
fn read_all<K: Resource + DeserializeOwned>(answer: Result<Vec<Value>, Failure>) -> Read<Vec<K>> {
    match answer {
        Ok(objects) => {
            let objects = objects.into_iter();
            Read::Known(
                objects
                    .filter_map(|object| serde_json::from_value(object).ok())
                    .collect(),
            )
        }
        Err(failure) => Read::Unread(failure.to_string()),
    }
}

fn read_one<K: DeserializeOwned>(answer: Result<Value, Failure>) -> Read<Option<K>> {
    match answer.map(serde_json::from_value) {
        Ok(Ok(object)) => Read::Known(Some(object)),
        Ok(Err(error)) => Read::Unread(error.to_string()),
        Err(failure) => Read::Unread(failure.to_string()),
    }
}

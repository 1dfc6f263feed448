//! Cell -> the request of the user's kubectl, as a dry run, and its refusal (IO).

use anyhow::{Context as _, bail};
use api::names::{APPLICATION_CONTAINER, CREATED_BY, RESTARTED_AT, WORKSPACE_LABEL};
use api::{Workspace, WorkspaceShare};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Action;
use super::cell::{NEW_OWNER, Target};
use super::places::{self, NO_NODE};

/// What the API server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    /// Its words: each of them is to be on the page.
    pub(super) words: Vec<String>,
}

/// Does what kubectl does: a patch reads first, a deletion and a creation do not. `Ok(Err)`: the API server refuses.
pub(super) async fn ask(target: &Target<'_>, action: Action) -> anyhow::Result<Result<(), Refusal>> {
    match requests(target, action).await {
        Ok(()) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(Refusal {
            code: status.code,
            words: words(&status, action),
        })),
        Err(error) => Err(error).context("kubectl"),
    }
}

/// Why the page has no events, if kubectl lists none either.
pub(super) async fn events(target: &Target<'_>) -> anyhow::Result<Option<String>> {
    let selector = format!("involvedObject.name={}", &target.name);
    let all = ListParams::default().fields(&selector);
    match api::<Event>(target).list_metadata(&all).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) => Ok(Some(status.message.clone())),
        Err(error) => bail!("kubectl: {error}"),
    }
}

async fn requests(target: &Target<'_>, action: Action) -> Result<(), kube::Error> {
    let workspaces = api::<Workspace>(target);
    let share = target.share.name_any();
    match action {
        Action::Page | Action::Text => workspaces.get(&target.name).await.map(drop),
        Action::Logs => logs(target).await,
        Action::Create => create(&workspaces, &target.another).await,
        Action::Delete => delete(&workspaces, &target.name).await,
        Action::Share => {
            let new = places::share("further", &target.name, places::user(&target.friend()));
            create(&api(target), &new).await
        }
        Action::Prolong => patch(&api::<WorkspaceShare>(target), &share, &change(target, action)).await,
        Action::EndShare => delete(&api::<WorkspaceShare>(target), &share).await,
        Action::Stop
        | Action::StopMany
        | Action::Start
        | Action::Restart
        | Action::Form
        | Action::Yaml
        | Action::HandOver => patch(&workspaces, &target.name, &change(target, action)).await,
    }
}

/// The merge patch of workspace or share.
fn change(target: &Target<'_>, action: Action) -> Value {
    let time = |day: &str| format!("{day}T00:00:00Z");
    match action {
        Action::Stop | Action::StopMany => json!({"spec": {"desiredStatus": "Stopped"}}),
        Action::Start => json!({"spec": {"desiredStatus": "Running"}}),
        Action::Restart => json!({
            "metadata": {"annotations": {RESTARTED_AT: time("2026-01-01")}},
            "spec": {"desiredStatus": "Running"},
        }),
        Action::Form => json!({"spec": {"displayName": target.mark()}}),
        Action::Yaml => json!({"spec": {"nodeSelector": {NO_NODE: target.mark()}}}),
        Action::HandOver => json!({"metadata": {"annotations": {CREATED_BY: NEW_OWNER}}}),
        Action::Prolong => json!({"spec": {"expiresAt": time(&target.day_after())}}),
        _ => Value::Null,
    }
}

fn api<K>(target: &Target<'_>) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(target.member.kubectl.clone(), target.namespace)
}

/// The output of the newest pod.
async fn logs(target: &Target<'_>) -> Result<(), kube::Error> {
    let pods = api::<Pod>(target);
    let labelled = ListParams::default().labels(&format!("{WORKSPACE_LABEL}={}", &target.name));
    let newest = pods.list(&labelled).await?.into_iter().max_by_key(|pod| {
        let is_there = pod.metadata.deletion_timestamp.is_none();
        (is_there, pod.creation_timestamp().map(|time| time.0))
    });
    match newest {
        None => Ok(()),
        Some(pod) => {
            let params = LogParams {
                container: Some(APPLICATION_CONTAINER.to_owned()),
                ..LogParams::default()
            };
            pods.logs(&pod.name_any(), &params).await.map(drop)
        }
    }
}

async fn patch<K>(objects: &Api<K>, name: &str, change: &Value) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let dry = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    objects.get(name).await?;
    objects.patch(name, &dry, &Patch::Merge(change)).await.map(drop)
}

async fn create<K>(objects: &Api<K>, object: &K) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    objects.create(&dry, object).await.map(drop)
}

async fn delete<K>(objects: &Api<K>, name: &str) -> Result<(), kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let dry = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    objects.delete(name, &dry).await.map(drop)
}

/// The message. Where a form shows a refusal by its fields, each field's part of it.
fn words(status: &Status, action: Action) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let of_fields: Vec<_> = causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| cause.message.clone())
        .collect();
    let is_form = matches!(
        action,
        Action::Form | Action::Yaml | Action::Share | Action::Prolong
    );
    if is_form && !of_fields.is_empty() {
        of_fields
    } else {
        // A policy's words follow the name of the object, which the portal may generate.
        let message = status.message.as_str();
        let (_, words) = message.split_once(" denied request: ").unwrap_or(("", message));
        vec![words.to_owned()]
    }
}

//! A change, or a due time -> status, owner reference and removal of shares (IO).

use std::{sync::Arc, time::Duration};

use api::{Workspace, WorkspaceManager, WorkspaceShare, names, share::WorkspaceShareStatus};
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use rules::shares;
use serde_json::json;

use super::due::{ShareFacts, ShareWrite, due, event};
use crate::{
    cache::stores::{self, Parsed, Stores},
    context::Context,
    controllers::{
        attempt::{Attempt, attempt},
        resync,
    },
    status::events,
};

/// A write that takes longer is stuck. It is cancelled and retried.
const LIMIT: Duration = Duration::from_secs(15);

/// How long a cache that lags behind may take to catch up.
const GRACE: Duration = Duration::from_secs(5);

/// Makes the writes that are due. Returns after which time a write becomes due without any change.
pub async fn reconcile(context: &Context) -> Option<Duration> {
    let all = context.stores.shares.state();
    let shares = all
        .iter()
        .filter_map(|share: &Arc<Parsed<WorkspaceShare>>| share.0.as_ref().ok())
        .filter(|share| share.metadata.deletion_timestamp.is_none())
        .map(|share| (share.namespace(), share));
    resync::for_each(shares, |share| Box::pin(attend(context, share))).await
}

/// Makes the writes that are due for one share.
async fn attend(context: &Context, share: &WorkspaceShare) -> Option<Duration> {
    let namespace = share.namespace().unwrap_or_default();
    if context.installation.ignores(&namespace) {
        return None;
    }
    let stores = &context.stores;
    let found = stores::get_parsed(&stores.workspaces, Some(&namespace), &share.spec.workspace_ref);
    let workspace = found.as_ref().and_then(|found| found.0.as_ref().ok());
    let unreadable = found.as_ref().and_then(|found| found.0.as_ref().err());
    let manager = workspace.and_then(|workspace| {
        let default = context.settings.default_manager.as_deref();
        manager_of(workspace, stores, default)
    });
    let due = due(&ShareFacts {
        share,
        workspace: workspace.map(AsRef::as_ref),
        unreadable: unreadable.and_then(|invalid| invalid.metadata.uid.as_deref()),
        manager: manager.as_deref(),
        is_attested: context.settings.admission,
        now: (context.now)(),
    });
    let what = Attempt {
        step: "share",
        key: format!("share {namespace}/{}", share.name_any()),
        limit: LIMIT,
        complaint: "the share cannot be written",
    };
    let again = attempt(context, &what, act(context, share, due)).await;
    again.unwrap_or_else(|failed| Some(failed.again))
}

/// The manager that routes to a workspace, or will. `default`: the one of workspaces that name none, if the settings say so.
fn manager_of(
    workspace: &Workspace,
    stores: &Stores,
    default: Option<&str>,
) -> Option<Arc<WorkspaceManager>> {
    let status = workspace.status.as_ref();
    let resolved = status.and_then(|status| status.resolved.as_ref()?.manager.clone());
    let named = resolved
        .or_else(|| workspace.spec.manager_ref.clone())
        .or_else(|| {
            let template = workspace.spec.template_ref.as_deref()?;
            let template = stores::get(&stores.templates, None, template)?;
            template.spec.manager_ref.clone()
        })
        .or_else(|| default.map(str::to_owned));
    let managers = stores::select(&stores.managers, |_| true);
    let chosen = rules::managers::choose(named.as_deref(), managers.iter().map(AsRef::as_ref)).ok()?;
    let name = chosen.name_any();
    managers.into_iter().find(|manager| manager.name_any() == name)
}

async fn act(
    context: &Context,
    share: &WorkspaceShare,
    due: ShareWrite,
) -> Result<Option<Duration>, kube::Error> {
    match due {
        ShareWrite::Remove => remove(context, share).await.map(|()| None),
        ShareWrite::Collect if is_orphan(context, share).await? => {
            remove(context, share).await.map(|()| None)
        }
        // The cache does not show the workspace yet. Its event will trigger a reconcile.
        ShareWrite::Collect => Ok(Some(GRACE)),
        ShareWrite::Keep { status, owner, again } => {
            if share.status.as_ref() != Some(&status) {
                write_status(context, share, status).await?;
            }
            if let Some(owner) = owner {
                own(context, share, &owner).await?;
            }
            Ok(again)
        }
    }
}

/// Whether the workspace of a share is really gone.
async fn is_orphan(context: &Context, share: &WorkspaceShare) -> Result<bool, kube::Error> {
    let namespace = share.namespace().unwrap_or_default();
    let workspaces: Api<Parsed<Workspace>> = Api::namespaced(context.client.clone(), &namespace);
    let found = workspaces.get_opt(&share.spec.workspace_ref).await?;
    let uid = found.and_then(|found| found.meta().uid.clone());
    Ok(uid.as_deref() != shares::bound(share))
}

/// Deletes the share only in the version that was checked: its end may have been moved meanwhile.
async fn remove(context: &Context, share: &WorkspaceShare) -> Result<(), kube::Error> {
    let params = DeleteParams::default().preconditions(Preconditions {
        uid: share.uid(),
        resource_version: share.resource_version(),
    });
    match api(context, share).delete(&share.name_any(), &params).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        deleted => {
            deleted?;
            context.metrics.write("share");
        }
    }
    Ok(())
}

/// Makes the workspace an owner of the share, so that the share is deleted with it.
async fn own(context: &Context, share: &WorkspaceShare, owner: &OwnerReference) -> Result<(), kube::Error> {
    let intent = intent(share, &json!({"ownerReferences": [owner]}));
    let params = PatchParams::apply(names::OPERATOR).force();
    api(context, share)
        .patch(&share.name_any(), &params, &Patch::Apply(&intent))
        .await?;
    context.metrics.write("share");
    Ok(())
}

/// Writes the status and the Event of the transition. An Event that cannot be written is lost: the status says the same.
async fn write_status(
    context: &Context,
    share: &WorkspaceShare,
    status: WorkspaceShareStatus,
) -> Result<(), kube::Error> {
    let mut intent = intent(share, &json!({}));
    let kind = WorkspaceShare::kind(&());
    intent["status"] = context.definitions.fit(&kind, json!(status));
    let params = PatchParams::apply(names::OPERATOR_SHARES).force();
    let answer = api(context, share)
        .patch_status(&share.name_any(), &params, &Patch::Apply(&intent))
        .await
        .inspect_err(|error| context.definitions.suspect(error))?;
    context.metrics.write("share");
    if let Some(event) = event(share.status.as_ref(), &status) {
        let regarding = ObjectReference {
            resource_version: answer.meta().resource_version.clone(),
            ..share.object_ref(&())
        };
        events::publish(context, regarding, vec![event]).await;
    }
    Ok(())
}

/// The patch of the share, with its UID as a precondition.
fn intent(share: &WorkspaceShare, metadata: &serde_json::Value) -> serde_json::Value {
    let mut intent = json!({
        "apiVersion": WorkspaceShare::api_version(&()),
        "kind": WorkspaceShare::kind(&()),
        "metadata": metadata,
    });
    intent["metadata"]["name"] = json!(share.name_any());
    intent["metadata"]["uid"] = json!(share.uid());
    intent
}

fn api(context: &Context, share: &WorkspaceShare) -> Api<Parsed<WorkspaceShare>> {
    Api::namespaced(context.client.clone(), &share.namespace().unwrap_or_default())
}

//! Request and values to record -> the smallest JSON patch (pure).

use api::names::{
    ASSIGNED_BY, ATTESTED_TEMPLATE, CLEANUP_FINALIZER, CREATED_BY, GROUP, LAST_UPDATED_BY, SHARED_FOR,
};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use crate::records::share_binding::Binding;
use crate::records::{assigned_by, attested_template, last_updated_by, omitted};
use crate::review::{Accounts, Decision, Kind, Request};

/// Values from lookups.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// For a share: its workspace.
    pub(super) binding: Binding,
    /// For a new workspace that names no template: the default one, if there is one.
    pub(super) default_template: Option<String>,
    /// For a new workspace: the UID of its template, if the template exists.
    pub(super) template_uid: Option<String>,
}

/// One of our annotations and its required value.
type Annotation = (&'static str, Option<String>);

/// The answer with the patch. The patch is idempotent.
///
/// At creation it records the owner (for a share: the creator), the finalizer, the default template, the template's UID and the binding
/// of a share. At each update by a user it records that user. At an update it restores what a full update left out.
pub(super) fn answer(request: &Request, values: &Values, accounts: &Accounts) -> Decision {
    let due = match request.kind {
        Kind::Workspace => of_workspace(request, values, accounts),
        Kind::Share => of_share(request, values),
        // Configurations of an older release still call for these kinds during an upgrade.
        Kind::Template | Kind::Manager | Kind::Profile => Vec::new(),
    };
    let mut operations = required_changes(&request.object, &due);
    match request.kind {
        Kind::Workspace => {
            let template = values.default_template.as_ref();
            operations.extend(template.map(|name| add(["spec", "templateRef"], json!(name))));
            let kept = omitted::kept(request).into_iter();
            operations.extend(kept.map(|(field, stored)| add(["spec", field], stored.clone())));
            operations.extend(finalizer(request));
        }
        Kind::Share => {
            operations.extend(bound_to(request, values.binding.uid.clone()));
            // A controller removes the owner on purpose, as the garbage collector does from orphans.
            if !accounts.is_controller(request) {
                operations.extend(owned_still(request));
            }
        }
        Kind::Template | Kind::Manager | Kind::Profile => {}
    }
    if operations.is_empty() {
        return Decision::Allow { warnings: Vec::new() };
    }
    Decision::Patch {
        patch: Patch(operations),
        warnings: due
            .iter()
            .filter_map(|due| replacement_warning(request, due))
            .collect(),
    }
}

fn of_workspace(request: &Request, values: &Values, accounts: &Accounts) -> Vec<Annotation> {
    // An omitted owner becomes the stored one or the user. No owner is assigned then.
    let assigner = if read(&request.object, CREATED_BY).is_some() {
        assigned_by::due(request)
    } else {
        request.old.as_ref().and_then(assigned_by::assigner)
    };
    let template = match &request.old {
        None => values.template_uid.as_deref(),
        Some(stored) => attested_template::template_uid(stored),
    };
    vec![
        fill(request, CREATED_BY, Some(request.user_name())),
        (LAST_UPDATED_BY, last_updated_by::due(request, accounts)),
        (ASSIGNED_BY, assigner.map(str::to_owned)),
        (ATTESTED_TEMPLATE, template.map(str::to_owned)),
    ]
}

fn of_share(request: &Request, values: &Values) -> Vec<Annotation> {
    vec![
        fill(request, CREATED_BY, Some(request.user_name())),
        fill(request, SHARED_FOR, values.binding.shared_for.as_deref()),
    ]
}

/// The value of an annotation, unless it is empty.
fn read<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    raw(object, key).filter(|value| !value.is_empty())
}

fn raw<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// An annotation that keeps the value of the request. A missing one gets `initial` at creation, else the stored value.
/// An update does not add it to an object that was stored without it.
fn fill(request: &Request, key: &'static str, initial: Option<&str>) -> Annotation {
    let missing = || match &request.old {
        None => initial,
        Some(old) => read(old, key),
    };
    let value = read(&request.object, key)
        .or_else(missing)
        .or_else(|| raw(&request.object, key));
    (key, value.map(str::to_owned))
}

/// The changes that give the annotations their required values.
fn required_changes(object: &DynamicObject, due: &[Annotation]) -> Vec<PatchOperation> {
    let changed = due
        .iter()
        .filter(|(key, value)| raw(object, key) != value.as_deref());
    if object.metadata.annotations.is_none() {
        let all: Map<String, Value> = changed
            .filter_map(|(key, value)| Some(((*key).to_owned(), json!(value.as_ref()?))))
            .collect();
        let whole = (!all.is_empty()).then(|| add(["metadata", "annotations"], Value::Object(all)));
        return whole.into_iter().collect();
    }
    let operation = |(key, value): &Annotation| {
        let path = ["metadata", "annotations", *key];
        match value {
            Some(value) => add(path, json!(value)),
            None => PatchOperation::Remove(RemoveOperation {
                path: PointerBuf::from_tokens(path),
            }),
        }
    };
    changed.map(operation).collect()
}

/// A warning if the user wrote neither the required value nor the stored one.
/// It does not show the required template, because the permission for it is not checked here.
fn replacement_warning(request: &Request, (key, value): &Annotation) -> Option<String> {
    let given = read(&request.object, key)?;
    let stored = request.old.as_ref().and_then(|old| raw(old, key));
    if Some(given) == value.as_deref() || Some(given) == stored {
        return None;
    }
    let instead = match value {
        _ if *key == ATTESTED_TEMPLATE => String::new(),
        Some(value) => format!(": it is {value:?}"),
        None => ": it is left out".to_owned(),
    };
    Some(format!(
        "metadata.annotations[{key}]: {given:?} is ignored, because only the webhook writes it{instead}"
    ))
}

fn finalizer(request: &Request) -> Option<PatchOperation> {
    let contains = |finalizers: Option<&Vec<String>>| {
        finalizers.is_some_and(|list| list.iter().any(|f| f == CLEANUP_FINALIZER))
    };
    let present = request.object.metadata.finalizers.as_ref();
    let wanted = match &request.old {
        None => true,
        // While the object is being deleted, its finalizers may be removed.
        Some(old) => !request.is_deleting() && contains(old.metadata.finalizers.as_ref()),
    };
    if !wanted || contains(present) {
        return None;
    }
    Some(match present {
        None => add(["metadata", "finalizers"], json!([CLEANUP_FINALIZER])),
        Some(_) => add(["metadata", "finalizers", "-"], json!(CLEANUP_FINALIZER)),
    })
}

/// The UID of a share's workspace: the stored one, or at creation the one from the lookup.
fn bound_to(request: &Request, workspace_uid: Option<String>) -> Option<PatchOperation> {
    let stored = stored_uid(request);
    let uid = if request.is_create() {
        workspace_uid
    } else {
        stored.map(str::to_owned)
    };
    let spec = request.object.data["spec"].as_object()?;
    let is_unset = spec.get("workspaceUID").is_none_or(Value::is_null);
    uid.filter(|_| is_unset)
        .map(|uid| add(["spec", "workspaceUID"], json!(uid)))
}

/// The owner reference to its workspace that the operator added to a share, if a full update left it out.
fn owned_still(request: &Request) -> Option<PatchOperation> {
    let uid = stored_uid(request)?;
    let group = format!("{GROUP}/");
    let is_workspace = |owner: &&OwnerReference| {
        owner.uid == uid && owner.kind == "Workspace" && owner.api_version.starts_with(&group)
    };
    let mut stored = request.old.as_ref()?.metadata.owner_references.iter().flatten();
    let owner = stored.find(is_workspace)?;
    match &request.object.metadata.owner_references {
        None => Some(add(["metadata", "ownerReferences"], json!([owner]))),
        Some(written) => {
            let is_missing = written.iter().all(|it| it.uid != uid);
            is_missing.then(|| add(["metadata", "ownerReferences", "-"], json!(owner)))
        }
    }
}

/// The UID of the workspace to which the stored share is bound.
fn stored_uid(request: &Request) -> Option<&str> {
    request.old.as_ref()?.data["spec"]["workspaceUID"].as_str()
}

fn add<const N: usize>(path: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation {
        path: PointerBuf::from_tokens(path),
        value,
    })
}

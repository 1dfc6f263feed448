//! Claims and disk size that a workspace newly requests -> violations and warnings (IO).
//!
//! The operator finds the same violations later. Where the claims cannot be read, a warning points to the
//! status.

use api::Workspace;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Resource as _, api::DynamicObject};
use rules::{Quantity, Violation, claims};

use crate::lookups::{LookupError, Lookups};
use crate::review::{Changes, Findings, Request};

const SIZE: &str = "spec.storage.size";
/// Concurrent look-ups of one request.
const AT_ONCE: usize = 8;

/// Checks the disks of a workspace as far as the request changes them.
pub(super) async fn check(
    request: &Request,
    changes: &Changes,
    workspace: &Workspace,
    lookups: &Lookups,
) -> Findings {
    let mut found = Findings::default();
    let looked_up = stream::iter(new_claims(request, changes, workspace)).map(|(field, name)| async move {
        let unknown = format!("{field}: whether the claim {name:?} is the disk of another workspace");
        match lookups.claim(&request.namespace, &name).await {
            Ok(claim) => {
                let is_a_disk = claim.is_some_and(|claim| claims::is_a_disk(&claim.metadata));
                let rule = "is or was the disk of another workspace: name another claim";
                Ok(is_a_disk.then(|| Violation::new(field, name, rule)))
            }
            Err(error) => Err((unknown, error)),
        }
    });
    let of_others: Vec<_> = looked_up.buffered(AT_ONCE).collect().await;
    for claim in of_others {
        found.add(claim);
    }
    if moves(request, changes) {
        let unknown = "spec.storage: whether the workspace has another disk".to_owned();
        let moved = move_violation(request, workspace, lookups).await;
        found.add(moved.map_err(|error| (unknown, error)));
    }
    if grows(request, changes) {
        let growth = growth(request, workspace, lookups).await;
        found.add(growth.map_err(|error| (format!("{SIZE}: whether the disk can grow"), error)));
    }
    found
}

impl Findings {
    /// Adds the violation, or a warning about the failed lookup.
    fn add(&mut self, found: Result<Option<Violation>, (String, LookupError)>) {
        match found {
            Ok(violation) => self.invalid.extend(violation),
            Err((question, error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    question,
                    "a disk cannot be checked"
                );
                self.warnings.push(format!(
                    "{question} is unknown now; the workspace's status will show it"
                ));
            }
        }
    }
}

/// Claims that the workspace newly names, each with its field.
fn new_claims(request: &Request, changes: &Changes, workspace: &Workspace) -> Vec<(String, String)> {
    if !["volumes", "storage"]
        .iter()
        .any(|field| changes.spec.contains(*field))
    {
        return Vec::new();
    }
    let before: Option<Workspace> = request.old.as_ref().and_then(|old| old.clone().try_parse().ok());
    let known = before.map(|before| all(&before)).unwrap_or_default();
    let mut new = all(workspace);
    new.retain(|(_, name)| !known.iter().any(|(_, known)| known == name));
    new
}

fn all(workspace: &Workspace) -> Vec<(String, String)> {
    let spec = &workspace.spec;
    let home = spec
        .storage
        .iter()
        .filter_map(|storage| storage.claim_name.clone());
    let home = home.map(|name| ("spec.storage.claimName".to_owned(), name));
    let volumes = spec.volumes.iter().enumerate().map(|(index, volume)| {
        let field = format!("spec.volumes[{index}].persistentVolumeClaimName");
        (field, volume.persistent_volume_claim_name.clone())
    });
    home.chain(volumes).collect()
}

/// Whether the request sets another claim or class of a stored workspace.
fn moves(request: &Request, changes: &Changes) -> bool {
    let given = |object: &DynamicObject, field: &str| object.data["spec"]["storage"][field].clone();
    let new = |old: &DynamicObject| {
        ["claimName", "storageClassName"].iter().any(|field| {
            let new = given(&request.object, field);
            !new.is_null() && new != given(old, field)
        })
    };
    changes.spec.contains("storage") && request.old.as_ref().is_some_and(new)
}

/// Why the workspace cannot have the requested disk.
async fn move_violation(
    request: &Request,
    workspace: &Workspace,
    lookups: &Lookups,
) -> Result<Option<Violation>, LookupError> {
    let own = own_disk(request, workspace, lookups).await?;
    Ok(own.and_then(|disk| claims::moves(workspace.spec.storage.as_ref(), &disk)))
}

/// The disk that the operator created for the workspace.
async fn own_disk(
    request: &Request,
    workspace: &Workspace,
    lookups: &Lookups,
) -> Result<Option<PersistentVolumeClaim>, LookupError> {
    let child = rules::names::child(&request.name);
    let claim = lookups.claim(&request.namespace, &child).await?;
    let uid = workspace.meta().uid.as_deref();
    Ok(claim.filter(|claim| uid.is_some_and(|uid| claims::belongs_to(&claim.metadata, uid))))
}

/// Whether the request changes the disk size of a stored workspace.
fn grows(request: &Request, changes: &Changes) -> bool {
    let size = |spec: &serde_json::Value| spec["storage"]["size"].clone();
    let old = request.old.as_ref().map(|old| size(&old.data["spec"]));
    let new = size(&request.object.data["spec"]);
    changes.spec.contains("storage") && !new.is_null() && old.is_some_and(|old| old != new)
}

/// Why the workspace's disk cannot get the requested size.
async fn growth(
    request: &Request,
    workspace: &Workspace,
    lookups: &Lookups,
) -> Result<Option<Violation>, LookupError> {
    let asked = workspace
        .spec
        .storage
        .as_ref()
        .and_then(|storage| storage.size.as_ref());
    let (Some(asked), Some(claim)) = (asked, own_disk(request, workspace, lookups).await?) else {
        return Ok(None);
    };
    if !claims::has_volume(&claim) {
        return Ok(None);
    }
    let (Some(has), Ok(wanted)) = (claims::size(&claim), Quantity::try_from(asked)) else {
        return Ok(None);
    };
    if wanted <= has {
        return Ok(claims::shrinks(workspace.spec.storage.as_ref(), &claim));
    }
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.as_deref())
        .unwrap_or_default();
    let why = if class.is_empty() {
        "it has no StorageClass, so that nothing can expand it".to_owned()
    } else {
        match lookups.storage_class(class).await? {
            Some(class) if class.allow_volume_expansion == Some(true) => return Ok(None),
            Some(_) => {
                format!("its StorageClass {class:?} cannot expand disks (allowVolumeExpansion is not true)")
            }
            None => {
                format!("its StorageClass {class:?} does not exist any more, so that nothing can expand it")
            }
        }
    };
    let rule = format!(
        "is more than the disk has, {has}, and {why}: keep {has}, have an administrator allow it, or copy the files to a workspace \
         with a larger disk"
    );
    Ok(Some(Violation::new(SIZE, &asked.0, rule)))
}

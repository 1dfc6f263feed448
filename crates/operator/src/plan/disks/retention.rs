//! Deleted workspace -> whether its disk is retained, and how a retained disk is marked (pure).
//!
//! A retained disk has no owner reference: otherwise the garbage collector would delete it with its owner. A foreground deletion even
//! does so before the operator's finalizer is processed. So a disk that has to be retained never has an owner reference, from its
//! creation on.

use api::{
    WorkspaceSpec, WorkspaceTemplate, names,
    workspace::{ResolvedStorage, Retain},
};
use json_patch::jsonptr::PointerBuf;
use k8s_openapi::{api::core::v1::PersistentVolumeClaim, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Value, json};

use crate::cache::observed::{Identity, controller_uid};

/// The finalizer of an object whose dependents are kept. The API server adds it.
const ORPHAN: &str = "orphan";

/// Whether the disk of a deleted workspace is retained. `spec` is `None` if it cannot be parsed. `template` is `None` if the named one
/// does not exist or cannot be parsed. If that leaves it open, the last effective value decides. Without one the disk is retained: it
/// can still be deleted later.
pub(crate) fn retention(
    spec: Option<&WorkspaceSpec>,
    template: Option<&WorkspaceTemplate>,
    resolved: Option<&ResolvedStorage>,
) -> Retain {
    let last = || {
        resolved
            .and_then(|storage| storage.retain)
            .unwrap_or(Retain::Retain)
    };
    let Some(spec) = spec else { return last() };
    let given = spec.storage.as_ref().and_then(|storage| storage.retain);
    match (given, &spec.template_ref, template) {
        (Some(given), ..) => given,
        (None, None, _) => Retain::default(),
        (None, Some(_), Some(template)) => {
            let storage = template.spec.primary_storage.as_ref();
            storage.and_then(|storage| storage.retain).unwrap_or_default()
        }
        (None, Some(_), None) => last(),
    }
}

/// Whether the disk is retained because a user deletes the workspace with `kubectl delete --cascade=orphan`.
///
/// The garbage collector removes the owner references of all dependents, then the finalizer `orphan`. Both may be done before the
/// operator sees the deletion. So a disk without owner reference is retained too, unless `last`, the policy of the last status,
/// explains that it has none. `claim`: the workspace's own.
pub(crate) fn is_orphaned(workspace: &ObjectMeta, claim: Option<&ObjectMeta>, last: Option<Retain>) -> bool {
    let keeps_dependents = workspace.finalizers.iter().flatten().any(|it| it == ORPHAN);
    let was_released = claim.is_some_and(|claim| controller_uid(claim).is_none());
    keeps_dependents || (was_released && last != Some(Retain::Retain))
}

/// Adds the annotations by which the owner gets the disk back, and removes its owner reference.
pub(crate) fn mark_retained(claim: &mut ObjectMeta, identity: &Identity, owner: Option<&str>) {
    claim.owner_references = None;
    let annotations = claim.annotations.get_or_insert_default();
    annotations.extend(marks(identity, owner));
}

/// Whether a live disk would outlive its workspace, and its owner could get it back.
pub(crate) fn is_retained(claim: &ObjectMeta, identity: &Identity, owner: Option<&str>) -> bool {
    let annotations = claim.annotations.as_ref();
    let marked = |(key, value): (String, String)| annotations.and_then(|all| all.get(&key)) == Some(&value);
    !has_owner(claim, identity) && marks(identity, owner).into_iter().all(marked)
}

/// Whether the disk would be deleted with the workspace.
pub(crate) fn has_owner(claim: &ObjectMeta, identity: &Identity) -> bool {
    let mut owners = claim.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == identity.uid)
}

/// The JSON patch that makes [`is_retained`] true. It fails if the claim's owners changed since it was read, or if a new claim has its
/// name.
pub(crate) fn retention_patch(
    claim: &PersistentVolumeClaim,
    identity: &Identity,
    owner: Option<&str>,
) -> Value {
    let meta = &claim.metadata;
    let mut steps = vec![json!({"op": "test", "path": "/metadata/uid", "value": meta.uid})];
    if let Some(owners) = &meta.owner_references {
        let others: Vec<_> = owners.iter().filter(|owner| owner.uid != identity.uid).collect();
        let path = "/metadata/ownerReferences";
        steps.push(json!({"op": "test", "path": path, "value": owners}));
        steps.push(json!({"op": "replace", "path": path, "value": others}));
    }
    if meta.annotations.is_none() {
        steps.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    for (key, value) in marks(identity, owner) {
        let path = PointerBuf::from_tokens(["metadata", "annotations", &key]);
        steps.push(json!({"op": "add", "path": path, "value": value}));
    }
    Value::Array(steps)
}

/// Annotations of a retained disk: owner, workspace and UID, and the one that keeps Argo CD from deleting it.
fn marks(identity: &Identity, owner: Option<&str>) -> Vec<(String, String)> {
    let owner = owner.map(|owner| (names::CREATED_BY.to_owned(), owner.to_owned()));
    let ours = [
        (names::WORKSPACE_LABEL.to_owned(), identity.name.clone()),
        (names::WORKSPACE_UID.to_owned(), identity.uid.clone()),
    ];
    ours.into_iter()
        .chain(rules::names::not_pruned())
        .chain(owner)
        .collect()
}

#[cfg(test)]
mod tests {
    use api::workspace::Storage;
    use testkit::objects;

    use super::*;
    use crate::{plan, testing};

    fn spec(retain: Option<Retain>, template: Option<&str>) -> WorkspaceSpec {
        let mut spec = objects::workspace("demo").spec;
        spec.template_ref = template.map(str::to_owned);
        spec.storage = Some(Storage {
            retain,
            ..Storage::default()
        });
        spec
    }

    fn template(retain: Option<Retain>) -> WorkspaceTemplate {
        let mut template = objects::template("t");
        template.spec.primary_storage.as_mut().unwrap().retain = retain;
        template
    }

    fn resolved(retain: Retain) -> ResolvedStorage {
        ResolvedStorage {
            retain: Some(retain),
            ..ResolvedStorage::default()
        }
    }

    #[test]
    fn the_workspace_decides_then_its_template_then_the_disk_goes() {
        use Retain::{Delete, Retain as Keep};
        let keeping = template(Some(Keep));
        assert_eq!(
            retention(Some(&spec(Some(Delete), Some("t"))), Some(&keeping), None),
            Delete
        );
        assert_eq!(retention(Some(&spec(Some(Keep), None)), None, None), Keep);
        assert_eq!(
            retention(Some(&spec(None, Some("t"))), Some(&keeping), None),
            Keep
        );
        assert_eq!(
            retention(Some(&spec(None, Some("t"))), Some(&template(None)), None),
            Delete
        );
        assert_eq!(
            retention(Some(&spec(None, None)), None, Some(&resolved(Keep))),
            Delete
        );
    }

    #[test]
    fn in_doubt_the_disk_is_retained() {
        use Retain::{Delete, Retain as Keep};
        let lost = spec(None, Some("t"));
        assert_eq!(retention(Some(&lost), None, None), Keep);
        assert_eq!(retention(Some(&lost), None, Some(&resolved(Delete))), Delete);
        assert_eq!(retention(None, None, Some(&resolved(Delete))), Delete);
        assert_eq!(retention(None, None, None), Keep);
    }

    #[test]
    fn a_disk_is_orphaned_by_the_finalizer_or_without_an_owner_reference_that_it_should_have() {
        use Retain::{Delete, Retain as Keep};
        let mut workspace = ObjectMeta::default();
        let owned = ObjectMeta {
            owner_references: Some(vec![testing::identity().owner_reference()]),
            ..ObjectMeta::default()
        };
        let free = ObjectMeta::default();
        for last in [Some(Delete), Some(Keep), None] {
            assert!(!is_orphaned(&workspace, Some(&owned), last), "{last:?}");
            assert!(!is_orphaned(&workspace, None, last), "{last:?}");
            assert_eq!(is_orphaned(&workspace, Some(&free), last), last != Some(Keep));
        }
        workspace.finalizers = Some(vec![names::CLEANUP_FINALIZER.to_owned(), ORPHAN.to_owned()]);
        assert!(is_orphaned(&workspace, Some(&owned), Some(Delete)));
        assert!(is_orphaned(&workspace, None, Some(Keep)));
    }

    #[test]
    fn the_patch_makes_a_disk_retainable_whatever_it_had_before() {
        let identity = testing::identity();
        let mut planned = plan::lasting(&testing::valid()).claim.unwrap();
        planned.metadata.uid = Some("c".to_owned());
        let mut bare = planned.clone();
        bare.metadata.annotations = None;
        bare.metadata.owner_references = None;
        for claim in [planned, bare] {
            let patch: json_patch::Patch =
                serde_json::from_value(retention_patch(&claim, &identity, Some("alice"))).unwrap();
            assert!(!is_retained(&claim.metadata, &identity, Some("alice")));
            let mut object = serde_json::to_value(&claim).unwrap();
            json_patch::patch(&mut object, &patch).unwrap();
            let after: PersistentVolumeClaim = serde_json::from_value(object).unwrap();
            assert!(is_retained(&after.metadata, &identity, Some("alice")));
            assert_eq!(names::owner(&after.metadata), Some("alice"));
            let annotations = after.metadata.annotations.unwrap();
            for (key, value) in names::NOT_PRUNED {
                assert_eq!(annotations[key], value);
            }
        }
    }

    #[test]
    fn a_disk_planned_to_be_kept_is() {
        let identity = testing::identity();
        let mut claim = plan::lasting(&testing::valid()).claim.unwrap();
        mark_retained(&mut claim.metadata, &identity, Some("alice"));
        assert!(is_retained(&claim.metadata, &identity, Some("alice")));
        assert!(
            !is_retained(&claim.metadata, &identity, Some("bob")),
            "after a hand-over"
        );
    }
}

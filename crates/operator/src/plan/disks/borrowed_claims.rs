//! Existing claim that a workspace mounts -> whether it may, and what else uses it (pure).

use api::{names, template::VolumeClaim};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use rules::{Home, ValidWorkspace};
use serde_json::{Value, json};

use crate::cache::{
    observed::{Identity, claims_of, has_ended},
    partial::{Pod, PodSpec},
};

/// Access modes with which several pods can use one claim.
const SHARED: [&str; 2] = ["ReadWriteMany", "ReadOnlyMany"];

/// An existing claim that a workspace or its template names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name.
    pub claim: String,
    /// Whether it is the home, which at most one pod may use at a time.
    pub home: bool,
}

/// The existing claims that a workspace or its template names: all that its pod mounts but its own disks.
pub(crate) fn named_claims(workspace: &ValidWorkspace) -> Vec<Named> {
    let home = match &workspace.home {
        Home::Claim { name, .. } => Some(name),
        Home::Disk { .. } | Home::Ephemeral { .. } => None,
    };
    let volumes = workspace.volumes.iter().map(|volume| Named {
        claim: volume.persistent_volume_claim_name.clone(),
        home: false,
    });
    let pod = workspace
        .pod
        .pod_template
        .iter()
        .filter_map(|template| template.spec.as_ref());
    let of_template = pod
        .flat_map(|pod| pod.volumes.iter().flatten())
        .filter_map(|volume| {
            let claim = &volume.persistent_volume_claim.as_ref()?.claim_name;
            let is_own =
                |disk: &VolumeClaim| rules::names::further_claim(&disk.name, &workspace.name) == *claim;
            let is_further = workspace.volume_claims.iter().any(is_own);
            (!is_further).then(|| Named {
                claim: claim.clone(),
                home: false,
            })
        });
    home.map(|name| Named {
        claim: name.clone(),
        home: true,
    })
    .into_iter()
    .chain(volumes)
    .chain(of_template)
    .collect()
}

/// Whether a claim is or was a workspace's disk. No workspace may mount such a claim by its name.
pub(crate) fn is_a_disk(claim: &PersistentVolumeClaim) -> bool {
    rules::claims::is_a_disk(&claim.metadata)
}

/// Whether several pods may use a claim at a time.
pub(crate) fn is_shared(claim: &PersistentVolumeClaim) -> bool {
    let modes = claim.spec.as_ref().and_then(|spec| spec.access_modes.as_ref());
    modes.is_some_and(|modes| modes.iter().any(|mode| SHARED.contains(&mode.as_str())))
}

/// The workspace that is recorded as the user of a claim: name and UID.
pub(crate) fn user(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    claim.annotations().get(names::IN_USE_BY)?.split_once('/')
}

/// The merge patch that sets or removes the in-use annotation of a claim. It fails if the claim changed since it was read.
pub(crate) fn note(claim: &PersistentVolumeClaim, by: Option<&Identity>) -> Value {
    let by = by.map(|identity| format!("{}/{}", identity.name, identity.uid));
    json!({"metadata": {
        "uid": claim.metadata.uid,
        "resourceVersion": claim.metadata.resource_version,
        "annotations": {names::IN_USE_BY: by},
    }})
}

/// A pod of another workspace, or of none, that mounts the claim.
pub(crate) fn other_pod<'a>(
    identity: &Identity,
    claim: &str,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Option<&'a Pod> {
    pods.into_iter()
        .find(|pod| !identity.marks(&pod.metadata) && !has_ended(pod) && mounts(pod.spec.as_ref(), claim))
}

fn mounts(pod: Option<&PodSpec>, claim: &str) -> bool {
    claims_of(pod).any(|mounted| mounted == claim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn claim(metadata: &Value, modes: &[&str]) -> PersistentVolumeClaim {
        serde_json::from_value(json!({"metadata": metadata, "spec": {"accessModes": modes}})).unwrap()
    }

    #[test]
    fn a_disk_is_recognised_by_any_of_its_marks() {
        for metadata in [
            json!({"annotations": {names::WORKSPACE_UID: "u"}}),
            json!({"labels": {names::WORKSPACE_LABEL: "w"}}),
            json!({"ownerReferences": [testing::identity().owner_reference()]}),
        ] {
            assert!(is_a_disk(&claim(&metadata, &[])), "{metadata}");
        }
        let other = json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u"}]});
        assert!(!is_a_disk(&claim(&other, &[])));
        assert!(!is_a_disk(&claim(&json!({}), &[])));
    }

    #[test]
    fn only_access_modes_for_many_let_several_use_a_claim() {
        assert!(is_shared(&claim(&json!({}), &["ReadWriteOnce", "ReadWriteMany"])));
        for modes in [&["ReadWriteOnce"][..], &["ReadWriteOncePod"], &[]] {
            assert!(!is_shared(&claim(&json!({}), modes)), "{modes:?}");
        }
    }
}

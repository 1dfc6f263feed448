//! Valid workspace -> claims of its disks (pure): the home, and further ones.

use api::{template::VolumeClaim, workspace::Retain};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use rules::{Home, ValidWorkspace};

use crate::plan::disks::retention;

/// Component label of a disk.
const COMPONENT: &str = "disk";

pub(super) fn plan(workspace: &ValidWorkspace) -> Option<PersistentVolumeClaim> {
    let Home::Disk {
        size, class, retain, ..
    } = &workspace.home
    else {
        return None;
    };
    let spec = PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        resources: Some(VolumeResourceRequirements {
            requests: Some([("storage".to_owned(), size.clone())].into()),
            limits: None,
        }),
        storage_class_name: class.clone(),
        ..PersistentVolumeClaimSpec::default()
    };
    Some(claim(workspace, workspace.child_name(), *retain, spec))
}

/// The claim of a further disk, chosen or not.
pub(crate) fn further(workspace: &ValidWorkspace, disk: &VolumeClaim) -> PersistentVolumeClaim {
    let name = rules::names::further_claim(&disk.name, &workspace.name);
    let retain = disk.retain.unwrap_or_default();
    claim(workspace, name, retain, disk.spec.to_claim())
}

fn claim(
    workspace: &ValidWorkspace,
    name: String,
    retain: Retain,
    spec: PersistentVolumeClaimSpec,
) -> PersistentVolumeClaim {
    let identity = super::identity(workspace);
    let mut metadata = super::meta(&identity, COMPONENT);
    metadata.name = Some(name);
    let labels = metadata.labels.get_or_insert_default();
    for (name, value) in &workspace.required_labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if retain == Retain::Retain {
        retention::mark_retained(&mut metadata, &identity, workspace.owner.as_deref());
    }
    PersistentVolumeClaim {
        metadata,
        spec: Some(spec),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn disks_have_the_labels_that_the_template_requires_and_ours() {
        let mut workspace = testing::valid();
        workspace.required_labels = [("course", "ml"), (api::names::WORKSPACE_LABEL, "forged")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let labels = plan(&workspace).unwrap().metadata.labels.unwrap();
        assert_eq!(
            (
                labels["course"].as_str(),
                labels[api::names::WORKSPACE_LABEL].as_str()
            ),
            ("ml", "demo")
        );
    }

    #[test]
    fn without_a_class_the_cluster_chooses() {
        let spec = plan(&testing::valid()).unwrap().spec.unwrap();
        assert_eq!(spec.storage_class_name, None);
        assert_eq!(spec.access_modes.unwrap(), ["ReadWriteOnce"]);
        assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "1Gi");
    }
}

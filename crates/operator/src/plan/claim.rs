//! Valid workspace -> its disk (pure): one claim that one node mounts at a time.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use rules::{Home, ValidWorkspace};

/// Component label of the disk.
const COMPONENT: &str = "disk";

pub(super) fn plan(workspace: &ValidWorkspace) -> Option<PersistentVolumeClaim> {
    let Home::Disk { size, class, .. } = &workspace.home else {
        return None;
    };
    Some(PersistentVolumeClaim {
        metadata: super::meta(&super::identity(workspace), COMPONENT),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size.clone())].into()),
                limits: None,
            }),
            storage_class_name: class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn without_a_class_the_cluster_chooses() {
        let spec = plan(&fixtures::valid()).unwrap().spec.unwrap();
        assert_eq!(spec.storage_class_name, None);
        assert_eq!(spec.access_modes.unwrap(), ["ReadWriteOnce"]);
        assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "1Gi");
    }
}

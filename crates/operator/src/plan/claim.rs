//! Valid workspace -> its disk (pure): one claim that one node mounts at a time.

use api::workspace::Retain;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use rules::{Home, ValidWorkspace};

use crate::plan::disks::retention;

/// Component label of the disk.
const COMPONENT: &str = "disk";

pub(super) fn plan(workspace: &ValidWorkspace) -> Option<PersistentVolumeClaim> {
    let Home::Disk {
        size, class, retain, ..
    } = &workspace.home
    else {
        return None;
    };
    let identity = super::identity(workspace);
    let mut metadata = super::meta(&identity, COMPONENT);
    if *retain == Retain::Retain {
        retention::mark_retained(&mut metadata, &identity, workspace.owner.as_deref());
    }
    Some(PersistentVolumeClaim {
        metadata,
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
    use crate::testing;

    #[test]
    fn without_a_class_the_cluster_chooses() {
        let spec = plan(&testing::valid()).unwrap().spec.unwrap();
        assert_eq!(spec.storage_class_name, None);
        assert_eq!(spec.access_modes.unwrap(), ["ReadWriteOnce"]);
        assert_eq!(spec.resources.unwrap().requests.unwrap()["storage"].0, "1Gi");
    }
}

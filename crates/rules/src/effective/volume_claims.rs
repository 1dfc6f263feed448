//! Further disks of a workspace, `podTemplate` -> the same with the names of their claims (pure).

use api::template::{PodTemplate, VolumeClaim};

use crate::names;

/// The name of a disk in `{pvcs.<name>}`, if that is the whole text.
pub(crate) fn disk_of_variable(text: &str) -> Option<&str> {
    text.strip_prefix("{pvcs.")?.strip_suffix('}')
}

/// Replaces `{pvcs.<name>}` as the claim of a volume.
pub(crate) fn name_claims(template: Option<&mut PodTemplate>, disks: &[VolumeClaim], workspace: &str) {
    let pod = template.and_then(|template| template.spec.as_mut()).into_iter();
    let volumes = pod.flat_map(|pod| pod.volumes.iter_mut().flatten());
    for source in volumes.filter_map(|volume| volume.persistent_volume_claim.as_mut()) {
        let name = disk_of_variable(&source.claim_name);
        if let Some(disk) = name.and_then(|name| disks.iter().find(|disk| disk.name == name)) {
            source.claim_name = names::further_claim(&disk.name, workspace);
        }
    }
}

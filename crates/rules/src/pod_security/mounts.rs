//! Mounts of a container -> places and ways that no pod of ours may have (pure).

use api::names::SHM_PATH;
use k8s_openapi::api::core::v1::VolumeMount;

use crate::checks::{mount_path, normal_path};
use crate::violation::Violation;

/// Checks the mounts at `path`, one by one and against each other. A path counts as the container sees it, however it is written.
pub(crate) fn of_container(path: &str, mounts: &[VolumeMount]) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut places = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let place = normal_path(&mount.mount_path);
        // Shared memory is mounted below /dev, as in the application.
        if place != SHM_PATH {
            found.extend(mount_path(&format!("{at}.mountPath"), &mount.mount_path));
        }
        if places.contains(&place) {
            let rule = "is the place of another volume already: choose another path";
            found.push(Violation::new(format!("{at}.mountPath"), &mount.mount_path, rule));
        }
        if let Some(written) = mount.sub_path_expr.as_ref().filter(|path| !path.is_empty()) {
            let rule = "is known only once the pod runs: use subPath";
            found.push(Violation::new(format!("{at}.subPathExpr"), written, rule));
        }
        if let Some(way) = mount.mount_propagation.as_ref().filter(|way| *way != "None") {
            let rule = "reaches beyond the pod: leave it out";
            found.push(Violation::new(format!("{at}.mountPropagation"), way, rule));
        }
        places.push(place);
    }
    found
}

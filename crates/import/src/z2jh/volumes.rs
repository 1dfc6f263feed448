//! `volumes` and `volume_mounts` of a profile -> further disks, Secrets and shared memory (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::names::{HOME_VOLUME, SHM_PATH, SHM_VOLUME};

use super::items::{self, Item};
use super::out::Out;
use super::traits::Leaf;
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::Path;
use crate::table::is_empty;

const MOUNT: &str = "only claims and Secrets are mounted here: a claim in the template's defaultVolumes, a Secret in the execution profile's secretMounts";
const VOLUME: &str = "only whole claims and Secrets are mounted here: put files of a ConfigMap into the image or a Secret, and make a claim for a disk of another kind";
const SUB_PATH: &str = "a further disk is mounted whole: mount it, and link the folder";
const SHM: &str =
    "/dev/shm is there, half of the memory limit; the template's defaultShmSize sets another size";

/// Takes the volumes that are mounted. Returns what the volumes that others may mount are called here. `home`: the volume
/// of the home.
pub(super) fn take(
    volumes: &[Leaf],
    mounts: &[Leaf],
    home: &str,
    out: &mut Out<'_>,
) -> BTreeMap<String, String> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for name in ["home", "volume-{username}{servername}", "volume-{user_server}"] {
        names.insert(name.to_owned(), HOME_VOLUME.to_owned());
    }
    names.insert(home.to_owned(), HOME_VOLUME.to_owned());
    let (volumes, mounts) = (items::of(volumes), items::of(mounts));
    let mut used = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let name = mount.value["name"].as_str().unwrap_or_default();
        let Some(volume) = volumes
            .iter()
            .find(|it| it.value["name"] == name && !name.is_empty())
        else {
            out.lose(&mount.leaves, MOUNT);
            used.extend(mount.leaves.iter().flat_map(|leaf| leaf.from.iter().cloned()));
            continue;
        };
        let ours = mounted(mount, volume, index, &mut used, out);
        names.extend(ours.map(|ours| (name.to_owned(), ours)));
    }
    for item in volumes.iter().chain(&mounts) {
        for leaf in &item.leaves {
            if leaf.from.iter().any(|path| used.contains(path)) {
                continue;
            }
            if is_empty(&leaf.value) {
                out.tell([leaf], Outcome::SameByDefault, "it is empty");
            } else if leaf.below == Path::of("subPath").0 || leaf.below == Path::of("subPathExpr").0 {
                out.lose([leaf], SUB_PATH);
            } else {
                out.lose([leaf], VOLUME);
            }
        }
    }
    names
}

/// One mount. Returns the name of its volume here.
fn mounted(
    mount: &Item,
    volume: &Item,
    index: usize,
    used: &mut BTreeSet<Path>,
    out: &mut Out<'_>,
) -> Option<String> {
    let path = mount.leaf("mountPath")?;
    let folder = path.value.as_str()?;
    let mut leaves: Vec<&Leaf> = [mount.leaf("name"), volume.leaf("name"), Some(path)]
        .into_iter()
        .flatten()
        .collect();
    let read_only = [
        mount.leaf("readOnly"),
        volume.leaf("persistentVolumeClaim.readOnly"),
    ];
    let ours = if let Some(claim) = volume.leaf("persistentVolumeClaim.claimName") {
        let at = Path::of("spec.defaultVolumes").index(index);
        let name = volume.leaf("name")?;
        out.put(name, Target::Template, at.key("name"), name.value.clone());
        out.put(
            claim,
            Target::Template,
            at.key("persistentVolumeClaimName"),
            claim.value.clone(),
        );
        out.put(path, Target::Template, at.key("mountPath"), folder);
        let is_read_only = read_only.iter().flatten().any(|leaf| leaf.value == true);
        for leaf in read_only.into_iter().flatten() {
            out.put(leaf, Target::Template, at.key("readOnly"), is_read_only);
            leaves.push(leaf);
        }
        leaves.push(claim);
        if let Some(of_mount) = mount.leaf("name") {
            out.put(of_mount, Target::Template, at.key("name"), name.value.clone());
        }
        None
    } else if let Some(secret) = volume.leaf("secret.secretName") {
        let at = Path::of("spec.secretMounts").index(index);
        for leaf in leaves.iter().filter(|leaf| leaf.below == Path::of("name").0) {
            out.put(leaf, Target::Profile, at.key("secretName"), secret.value.clone());
        }
        out.put(
            secret,
            Target::Profile,
            at.key("secretName"),
            secret.value.clone(),
        );
        out.put(path, Target::Profile, at.key("mountPath"), folder);
        leaves.push(secret);
        if let Some(leaf) = mount.leaf("readOnly") {
            out.tell([leaf], Outcome::SameByDefault, "a Secret is read-only");
            leaves.push(leaf);
        }
        None
    } else if volume.below("emptyDir").next().is_some() && folder.trim_end_matches('/') == SHM_PATH {
        for leaf in volume.below("emptyDir") {
            if leaf.below == Path::of("emptyDir.sizeLimit").0 {
                let at = Path::of("spec.defaultShmSize");
                out.put(leaf, Target::Template, at, leaf.value.clone());
            } else if leaf.below == Path::of("emptyDir").0 || leaf.below == Path::of("emptyDir.medium").0 {
                out.tell([leaf], Outcome::SameByDefault, SHM);
            } else {
                continue;
            }
            leaves.push(leaf);
        }
        out.tell(leaves.iter().copied().take(3), Outcome::SameByDefault, SHM);
        Some(SHM_VOLUME.to_owned())
    } else {
        return None;
    };
    used.extend(leaves.into_iter().flat_map(|leaf| leaf.from.iter().cloned()));
    ours
}

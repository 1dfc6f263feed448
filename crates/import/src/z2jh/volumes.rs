//! `volumes` and `volume_mounts` of a profile -> disks, Secrets, shared memory and others (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::names::{HOME_VOLUME, SHM_PATH, SHM_VOLUME};
use serde_json::{Value, json};

use super::fields::has_field;
use super::items::{self, Item};
use super::out::Out;
use super::traits::Leaf;
use crate::draft::Target;
use crate::ledger::Outcome;
use crate::path::Path;
use crate::pod_template::{
    APPLICATION, NAMELESS, NO_SETTING, UNKNOWN, UNMOUNTED, field, is_at, is_plain, is_usual_secret,
    volume_name,
};
use crate::table::is_empty;

const SHM: &str =
    "/dev/shm is there, half of the memory limit; the template's defaultShmSize sets another size";
/// Names of the home's volume in the chart.
const HOMES: [&str; 3] = ["home", "volume-{username}{servername}", "volume-{user_server}"];
/// The claim of all homes, as a volume of its own.
const COMMON: &str = "imported-home";
/// Its place among the volumes.
const AFTER: usize = 1000;

/// The home of the servers.
pub(super) struct Home<'l> {
    /// What its volume is called there.
    pub(super) volume: &'l str,
    /// The common claim, of which each home is a folder.
    pub(super) claim: Option<&'l Leaf>,
    /// Which folder of that claim.
    pub(super) folder: &'l str,
    /// Where the application has it.
    pub(super) path: &'l str,
}

/// What a container mounts of the common claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folder {
    /// The home of the server, where the application has it.
    Home,
    /// The home, elsewhere.
    HomeElsewhere,
    /// Another folder.
    Other,
}

/// The volumes of a pod, and what those that containers may mount are called here.
pub(super) struct Volumes<'l> {
    items: Vec<Item>,
    home: Home<'l>,
    own: BTreeMap<String, &'static str>,
    /// Leaves that are told.
    used: BTreeSet<Path>,
    /// Volumes of the `podTemplate` that its containers mount.
    mounted: BTreeSet<String>,
}

/// Takes what the application mounts. `by_others`: names of the volumes that other containers mount.
pub(super) fn take<'l>(
    volumes: &[Leaf],
    mounts: &[Leaf],
    by_others: &BTreeSet<&str>,
    home: Home<'l>,
    out: &mut Out<'_>,
) -> Volumes<'l> {
    let names = HOMES.into_iter().chain([home.volume]);
    let mut volumes = Volumes {
        items: items::of(volumes),
        own: names.map(|name| (name.to_owned(), HOME_VOLUME)).collect(),
        home,
        used: BTreeSet::new(),
        mounted: BTreeSet::new(),
    };
    // A volume of that name is another one.
    let names: Vec<String> = volumes.own.keys().cloned().collect();
    for name in names {
        if volumes.item(&name).is_some() {
            volumes.own.remove(&name);
        }
    }
    let mounts = items::of(mounts);
    let in_pod: BTreeSet<String> = mounts
        .iter()
        .filter_map(|mount| {
            let (name, item) = (mount.name()?, volumes.item(mount.name()?)?);
            let is_shm = !item.value["emptyDir"].is_null() && is_at(&mount.value, SHM_PATH);
            let is_in_pod = !is_plain(&mount.value, &item.value) || by_others.contains(name);
            (is_in_pod && !is_shm).then(|| name.to_owned())
        })
        .collect();
    for (index, mount) in mounts.iter().enumerate() {
        let Some(name) = mount.name() else { continue };
        if volumes.item(name).is_some() && !in_pod.contains(name) {
            volumes.take_plain(mount, name, index, out);
        } else if let Some(ours) = volumes.of_application(name) {
            let dest = Path::of(APPLICATION).key("volumeMounts").index(index);
            out.put_whole(mount, Some(&ours), dest);
            volumes.use_leaves(&mount.leaves);
            // A mount of each user's folder is lost, and must not take the claim along, which is the home.
            if ours != COMMON || !has_field(&mount.value) {
                volumes.mounted.insert(name.to_owned());
            }
        }
    }
    for mount in &mounts {
        let why = match mount.name() {
            None => NAMELESS,
            Some(name) if volumes.item(name).is_none() && volumes.own_name(name).is_none() => UNKNOWN,
            Some(_) => NO_SETTING,
        };
        for leaf in &mount.leaves {
            if !leaf.from.iter().any(|path| volumes.used.contains(path)) {
                lose(leaf, why, out);
            }
        }
    }
    volumes
}

fn lose(leaf: &Leaf, why: &str, out: &mut Out<'_>) {
    if is_empty(&leaf.value) {
        out.tell([leaf], Outcome::SameByDefault, "it is empty");
    } else {
        out.lose([leaf], why);
    }
}

impl Volumes<'_> {
    fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.name() == Some(name))
    }

    fn use_leaves<'i>(&mut self, leaves: impl IntoIterator<Item = &'i Leaf>) {
        let paths = leaves.into_iter().flat_map(|leaf| leaf.from.iter().cloned());
        self.used.extend(paths);
    }

    /// Whether a container that mounts it must be in the `podTemplate`.
    pub(super) fn is_in_pod(&self, name: &str) -> bool {
        self.item(name).is_some() && !self.own.contains_key(name)
    }

    /// Whether it is shared memory, which no container of a `podTemplate` mounts.
    pub(super) fn is_shared_memory(&self, name: &str) -> bool {
        self.own.get(name) == Some(&SHM_VOLUME)
    }

    /// What a mount of a container is of the common claim; `None`: it is of another volume.
    pub(super) fn of_common(&self, mount: &Value) -> Option<Folder> {
        let name = mount["name"].as_str()?;
        self.home
            .claim
            .filter(|_| self.own.get(name) == Some(&HOME_VOLUME))?;
        let is_home = mount["subPath"] == self.home.folder && is_empty(&mount["subPathExpr"]);
        Some(match is_home {
            true if is_at(mount, self.home.path.trim_end_matches('/')) => Folder::Home,
            true => Folder::HomeElsewhere,
            false => Folder::Other,
        })
    }

    /// What the volume of the common claim is called, which a container mounts.
    pub(super) fn mount_common(&mut self, name: &str) -> String {
        self.mounted.insert(name.to_owned());
        COMMON.to_owned()
    }

    /// What a volume is called that any container may mount.
    pub(super) fn own_name(&self, name: &str) -> Option<String> {
        self.own.get(name).map(|own| (*own).to_owned())
    }

    /// What a volume is called for a container of the `podTemplate`, which mounts it.
    pub(super) fn mount(&mut self, name: &str) -> Option<String> {
        if let Some(own) = self.own_name(name) {
            return Some(own);
        }
        self.item(name)?;
        self.mounted.insert(name.to_owned());
        Some(volume_name(name))
    }

    /// What a volume is called for a further mount of the application. A folder of the common claim is counted from its root.
    fn of_application(&self, name: &str) -> Option<String> {
        match self.own.get(name) {
            Some(own) if *own == HOME_VOLUME && self.home.claim.is_some() => Some(COMMON.to_owned()),
            Some(own) => Some((*own).to_owned()),
            None => self.item(name).map(|_| volume_name(name)),
        }
    }

    /// Puts the volumes of the `podTemplate`, and says that the others are lost.
    pub(super) fn put(self, out: &mut Out<'_>) {
        for (index, item) in self.items.iter().enumerate() {
            let name = item.name().unwrap_or_default();
            if self.mounted.contains(name) && !self.own.contains_key(name) {
                out.put_whole(item, Some(&volume_name(name)), field("volumes").index(index));
                continue;
            }
            let is_used = |leaf: &Leaf| leaf.from.iter().any(|path| self.used.contains(path));
            let why = if item.leaves.iter().any(is_used) {
                NO_SETTING
            } else {
                UNMOUNTED
            };
            for leaf in item.leaves.iter().filter(|leaf| !is_used(leaf)) {
                lose(leaf, why, out);
            }
        }
        let is_home = |name: &String| self.own.get(name) == Some(&HOME_VOLUME);
        if let Some(claim) = self.home.claim.filter(|_| self.mounted.iter().any(is_home)) {
            let claim_name = json!({"claimName": claim.value});
            let volume = json!({"name": COMMON, "persistentVolumeClaim": claim_name});
            out.put(claim, Target::Template, field("volumes").index(AFTER), volume);
        }
    }

    /// A mount that other fields than the `podTemplate` say.
    fn take_plain(&mut self, mount: &Item, name: &str, index: usize, out: &mut Out<'_>) {
        let Some(volume) = self.item(name) else { return };
        let mut leaves: Vec<Leaf> = Vec::new();
        let is_shm = plain(mount, volume, index, &mut leaves, out);
        self.use_leaves(&leaves);
        if is_shm {
            self.own.insert(name.to_owned(), SHM_VOLUME);
        }
    }
}

/// Puts a mount of a claim or a Secret, or says that shared memory is there, which it returns. `leaves`: those that are told.
fn plain(mount: &Item, volume: &Item, index: usize, leaves: &mut Vec<Leaf>, out: &mut Out<'_>) -> bool {
    let Some(path) = mount.leaf("mountPath").filter(|path| path.value.is_string()) else {
        return false;
    };
    let names: Vec<&Leaf> = [mount.leaf("name"), volume.leaf("name")]
        .into_iter()
        .flatten()
        .collect();
    let read_only = [
        mount.leaf("readOnly"),
        volume.leaf("persistentVolumeClaim.readOnly"),
    ];
    let read_only: Vec<&Leaf> = read_only.into_iter().flatten().collect();
    let mut is_shm = false;
    if let Some(claim) = volume.leaf("persistentVolumeClaim.claimName") {
        let at = Path::of("spec.defaultVolumes").index(index);
        let name = volume.value["name"].clone();
        for leaf in &names {
            out.put(leaf, Target::Template, at.key("name"), name.clone());
        }
        for (leaf, field) in [(claim, "persistentVolumeClaimName"), (path, "mountPath")] {
            out.put(leaf, Target::Template, at.key(field), leaf.value.clone());
        }
        let is_read_only = read_only.iter().any(|leaf| leaf.value == true);
        for leaf in &read_only {
            out.put(leaf, Target::Template, at.key("readOnly"), is_read_only);
        }
        leaves.extend([claim.clone()]);
        leaves.extend(read_only.into_iter().cloned());
    } else if let Some(secret) = volume.leaf("secret.secretName") {
        let at = Path::of("spec.secretMounts").index(index);
        for leaf in names.iter().copied().chain([secret]) {
            out.put(leaf, Target::Profile, at.key("secretName"), secret.value.clone());
        }
        out.put(path, Target::Profile, at.key("mountPath"), path.value.clone());
        out.tell(
            read_only.iter().copied(),
            Outcome::SameByDefault,
            "a Secret is read-only",
        );
        for field in ["defaultMode", "optional"] {
            let usual = volume.leaf(&format!("secret.{field}"));
            let usual = usual.filter(|leaf| is_usual_secret(field, &leaf.value));
            out.tell(usual, Outcome::SameByDefault, "it is so here");
            leaves.extend(usual.cloned());
        }
        leaves.extend([secret.clone()]);
        leaves.extend(read_only.into_iter().cloned());
    } else {
        is_shm = true;
        out.tell(names.iter().copied().chain([path]), Outcome::SameByDefault, SHM);
        for leaf in volume.below("emptyDir") {
            if leaf.below == Path::of("emptyDir.sizeLimit").0 {
                let at = Path::of("spec.defaultShmSize");
                out.put(leaf, Target::Template, at, leaf.value.clone());
            } else if leaf.below == Path::of("emptyDir").0 || leaf.below == Path::of("emptyDir.medium").0 {
                out.tell([leaf], Outcome::SameByDefault, SHM);
            } else {
                continue;
            }
            leaves.push(leaf.clone());
        }
    }
    leaves.extend(names.into_iter().cloned());
    leaves.push(path.clone());
    is_shm
}

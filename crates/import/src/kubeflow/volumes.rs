//! Volumes and mounts of a pod -> home, further disks, Secrets, shared memory, and the rest (pure).

use std::collections::{BTreeMap, BTreeSet};

use api::names::{HOME_VOLUME, SHM_PATH, SHM_VOLUME};
use serde_json::Value;

use super::source::Source;
use super::tokens;
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::pod_template::{
    APPLICATION, NAMELESS, UNKNOWN, UNMOUNTED, field, is_at, is_plain, is_usual_secret, is_whole, mounted_by,
    put_whole, volume_name,
};
use crate::table::{Place, is_empty};

const HOME: &str = "/home/jovyan";
/// What is said of a volume that is the home's.
const ONCE_MORE: &str = "the volume of the home is in each pod";

/// A volume of the pod, or a mount.
struct Volume<'a> {
    object: usize,
    /// The object's value.
    source: &'a Value,
    /// Its place among those of all objects.
    order: usize,
    at: Path,
    value: &'a Value,
}

impl<'a> Volume<'a> {
    /// One of a list of the source's.
    fn new(source: &Source<'a>, list: &Path, index: usize, value: &'a Value) -> Self {
        Self {
            object: source.object,
            source: source.value,
            order: source.offset() + index,
            at: list.index(index),
            value,
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            object: self.object,
            value: self.source,
            root: &self.at,
            offset: 0,
        }
    }
}

/// The volumes of a pod, and what those that containers may mount are called here.
pub(super) struct Volumes<'a> {
    all: BTreeMap<&'a str, Volume<'a>>,
    /// The home and shared memory, which every pod has.
    own: BTreeMap<String, &'static str>,
    /// Those of the `podTemplate` that the application mounts.
    mounted: BTreeSet<&'a str>,
    /// All that the application mounts.
    by_main: BTreeSet<&'a str>,
}

impl<'a> Volumes<'a> {
    /// Takes what the main container mounts: disks, shared memory, Secrets, and the rest by the `podTemplate`.
    pub(super) fn take(sources: &[Source<'a>], ledger: &mut Ledger, draft: &mut Draft) -> Self {
        let all = all(sources);
        let home = sources.first().and_then(|notebook| home(notebook, &all));
        let mut in_pod = in_pod(sources, &all, home);
        let (of_home, is_all) = of_home(sources, &all, home);
        in_pod.extend(&of_home);
        let mut own = BTreeMap::new();
        let mut by_application = BTreeSet::new();
        let mut by_main = BTreeSet::new();
        for source in sources {
            let mounts = source.main.key("volumeMounts");
            for (index, value) in source.list(&mounts).iter().enumerate() {
                let mount = Volume::new(source, &mounts, index, value);
                let name = value["name"].as_str();
                let Some((name, volume)) = name.and_then(|name| Some((name, all.get(name)?))) else {
                    let why = if name.is_some() { UNKNOWN } else { NAMELESS };
                    ledger.tell(mount.object, &mount.at, &Fate::new(Outcome::Lost, why));
                    continue;
                };
                by_main.insert(name);
                let is_home = source.order == 0 && home == Some(index);
                if !is_home && is_all && of_home.contains(name) {
                    let dest = Path::of(APPLICATION).key("volumeMounts").index(mount.order);
                    put_whole(&mount.place(), Some(HOME_VOLUME), dest, ledger, draft);
                    let same = Fate::new(Outcome::SameByDefault, ONCE_MORE);
                    ledger.tell(volume.object, &volume.at, &same);
                    own.insert(name.to_owned(), HOME_VOLUME);
                } else if is_home || !in_pod.contains(name) {
                    let found = mounted(&mount, volume, is_home, ledger, draft);
                    own.extend(found.map(|found| (name.to_owned(), found)));
                } else {
                    let dest = Path::of(APPLICATION).key("volumeMounts").index(mount.order);
                    let ours = volume_name(name);
                    put_whole(&mount.place(), Some(&ours), dest, ledger, draft);
                    by_application.insert(name);
                }
            }
        }
        Self {
            all,
            own,
            mounted: by_application,
            by_main,
        }
    }

    /// Whether a container that mounts it must be in the `podTemplate`.
    pub(super) fn is_in_pod(&self, name: &str) -> bool {
        self.all.contains_key(name) && !self.own.contains_key(name)
    }

    /// Whether it is shared memory, which no container of a `podTemplate` mounts.
    pub(super) fn is_shared_memory(&self, name: &str) -> bool {
        self.own.get(name) == Some(&SHM_VOLUME)
    }

    /// What a volume is called that any container may mount.
    pub(super) fn own_name(&self, name: &str) -> Option<String> {
        self.own.get(name).map(|own| (*own).to_owned())
    }

    /// What a volume is called for a container of the `podTemplate`.
    pub(super) fn name(&self, name: &str) -> Option<String> {
        self.own_name(name)
            .or_else(|| self.all.contains_key(name).then(|| volume_name(name)))
    }

    /// Puts the volumes of the `podTemplate`: those that its containers mount.
    pub(super) fn put(&self, by_others: &BTreeSet<&str>, ledger: &mut Ledger, draft: &mut Draft) {
        for (name, volume) in &self.all {
            let is_mounted = by_others.contains(name);
            let by_others = is_mounted && !self.own.contains_key(*name);
            if !is_mounted && !self.by_main.contains(name) {
                let fate = Fate::new(Outcome::Lost, UNMOUNTED);
                ledger.tell(volume.object, &volume.at, &fate);
            } else if self.mounted.contains(name) || by_others {
                let dest = field("volumes").index(volume.order);
                put_whole(&volume.place(), Some(&volume_name(name)), dest, ledger, draft);
            }
        }
    }
}
/// The volumes by name; the last one of a name counts.
fn all<'a>(sources: &[Source<'a>]) -> BTreeMap<&'a str, Volume<'a>> {
    let mut all = BTreeMap::new();
    for source in sources {
        let list = source.pod.key("volumes");
        for (index, value) in source.list(&list).iter().enumerate() {
            if let Some(name) = value["name"].as_str() {
                all.insert(name, Volume::new(source, &list, index, value));
            }
        }
    }
    all
}

/// Volumes that no other field says: those of other kinds, with more than a name, mounted in part or by other containers too. `home`: which
/// of the Notebook's mounts is the home.
fn in_pod<'a>(
    sources: &[Source<'a>],
    all: &BTreeMap<&'a str, Volume<'a>>,
    home: Option<usize>,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for source in sources {
        let (sidecars, first) = &source.sidecars;
        let others = source.list(sidecars).iter().skip(*first);
        let others = others.chain(source.list(&source.pod.key("initContainers")));
        found.extend(mounted_by(others));
        let mounts = source.list(&source.main.key("volumeMounts"));
        for (index, mount) in mounts.iter().enumerate() {
            let is_home = source.order == 0 && home == Some(index);
            if let Some(name) = mount["name"].as_str()
                && let Some(volume) = all.get(name)
                && !is_home
                && !is_plain(mount, volume.value)
                && (!is_whole(mount) || tokens::of(volume.value).is_none())
            {
                found.insert(name);
            }
        }
    }
    // Those of shared memory are one for all.
    let is_shm = |name: &str| all.get(name).is_some_and(|it| it.value["emptyDir"].is_object());
    let of_main = sources
        .iter()
        .flat_map(|it| it.list(&it.main.key("volumeMounts")));
    for mount in of_main.filter(|mount| is_at(mount, SHM_PATH)) {
        if let Some(name) = mount["name"].as_str().filter(|name| is_shm(name)) {
            found.remove(name);
        }
    }
    found
}

/// Names of the volumes that are the home's, and whether the home is all of it.
fn of_home<'a>(
    sources: &[Source<'a>],
    all: &BTreeMap<&'a str, Volume<'a>>,
    home: Option<usize>,
) -> (BTreeSet<&'a str>, bool) {
    let notebook = sources.first().zip(home);
    let mount = notebook.map(|(it, index)| &it.list(&it.main.key("volumeMounts"))[index]);
    let name = mount.and_then(|mount| mount["name"].as_str());
    let Some((mount, volume)) = mount.zip(name.and_then(|name| all.get(name))) else {
        return (BTreeSet::new(), false);
    };
    let claim = |volume: &Volume<'a>| volume.value["persistentVolumeClaim"]["claimName"].as_str();
    let is_same = |other: &Volume<'a>| claim(other).is_some() && claim(other) == claim(volume);
    let is_scratch = volume.value["emptyDir"].is_object();
    let found = all
        .iter()
        .filter(|(other, it)| is_same(it) || (is_scratch && Some(**other) == name));
    (found.map(|(name, _)| *name).collect(), is_whole(mount))
}

/// Index of the mount that is the home: that of the usual folder, of the working folder, or the first claim.
fn home(notebook: &Source<'_>, volumes: &BTreeMap<&str, Volume<'_>>) -> Option<usize> {
    let mounts = notebook.list(&notebook.main.key("volumeMounts"));
    let folder = notebook.main.key("workingDir");
    let folder = folder.get(notebook.value).as_str().unwrap_or(HOME);
    let at = |wanted: &str| mounts.iter().position(|mount| is_at(mount, wanted));
    let is_claim = |mount: &Value| {
        let volume = mount["name"].as_str().and_then(|name| volumes.get(name));
        volume.is_some_and(|volume| volume.value["persistentVolumeClaim"].is_object())
    };
    at(HOME)
        .or_else(|| at(folder))
        .or_else(|| mounts.iter().position(is_claim))
}

/// One mount of the main container. Returns the name of its volume here.
#[allow(clippy::too_many_lines, reason = "one part per kind of volume")]
fn mounted(
    mount: &Volume<'_>,
    volume: &Volume<'_>,
    is_home: bool,
    ledger: &mut Ledger,
    draft: &mut Draft,
) -> Option<&'static str> {
    let index = mount.order;
    let of_mount = |field: &str| (mount.object, mount.at.key(field));
    let of_volume = |field: &str| (volume.object, volume.at.then(Path::of(field).0));
    let names = [of_mount("name"), of_volume("name")];
    let path = mount.value["mountPath"].as_str()?;
    let mut same = |leaves: &[(usize, Path)], why: &str| {
        for (object, leaf) in leaves {
            ledger.tell(*object, leaf, &Fate::new(Outcome::SameByDefault, why));
        }
    };
    let read_only = [
        &mount.value["readOnly"],
        &volume.value["persistentVolumeClaim"]["readOnly"],
    ];
    let is_read_only = read_only.iter().any(|it| **it == true);
    if let Some(claim) = volume.value["persistentVolumeClaim"]["claimName"].as_str() {
        let from = names
            .into_iter()
            .chain([of_volume("persistentVolumeClaim.claimName")]);
        let written = [of_mount("readOnly"), of_volume("persistentVolumeClaim.readOnly")];
        if is_home {
            let at = Path::of("spec.storage");
            draft.put(from, Target::Workspace, at.key("claimName"), claim);
            draft.put(
                [of_mount("mountPath")],
                Target::Workspace,
                at.key("mountPath"),
                path,
            );
            for leaf in ["subPath", "subPathExpr"] {
                let folder = &mount.value[leaf];
                if !is_empty(folder) && folder != "" {
                    let at = at.key("subPath");
                    draft.put([of_mount(leaf)], Target::Workspace, at, folder.clone());
                }
            }
            if !is_read_only {
                same(&written, "a home is writable");
            }
            return Some(HOME_VOLUME);
        }
        let at = Path::of("spec.volumes").index(index);
        let name = volume.value["name"].as_str()?;
        draft.put(
            from,
            Target::Workspace,
            at.key("persistentVolumeClaimName"),
            claim,
        );
        draft.put([of_volume("name")], Target::Workspace, at.key("name"), name);
        draft.put(
            [of_mount("mountPath")],
            Target::Workspace,
            at.key("mountPath"),
            path,
        );
        draft.put(written, Target::Workspace, at.key("readOnly"), is_read_only);
        return None;
    }
    if let Some(tokens) = tokens::of(volume.value) {
        let places = [mount, volume].map(|it| (it.object, &it.at, it.value));
        tokens::put(&tokens, places, index, ledger, draft);
        return None;
    }
    if let Some(secret) = volume.value["secret"]["secretName"].as_str() {
        let at = Path::of("spec.secretMounts").index(index);
        let from = names.into_iter().chain([of_volume("secret.secretName")]);
        draft.put(from, Target::Profile, at.key("secretName"), secret);
        draft.put(
            [of_mount("mountPath")],
            Target::Profile,
            at.key("mountPath"),
            path,
        );
        for field in ["defaultMode", "optional"] {
            if is_usual_secret(field, &volume.value["secret"][field]) {
                same(
                    &[(volume.object, volume.at.key("secret").key(field))],
                    "it is so here",
                );
            }
        }
        if mount.value["readOnly"].is_boolean() {
            same(&[of_mount("readOnly")], "a Secret is read-only");
        }
        return None;
    }
    if volume.value["emptyDir"].is_object() && path.trim_end_matches('/') == SHM_PATH {
        let why =
            "/dev/shm is there, half of the memory limit; the template's defaultShmSize sets another size";
        let [mount_name, volume_name] = names;
        same(
            &[
                mount_name,
                volume_name,
                of_mount("mountPath"),
                of_volume("emptyDir.medium"),
            ],
            why,
        );
        same(&[(volume.object, volume.at.key("emptyDir"))], why);
        let size = &volume.value["emptyDir"]["sizeLimit"];
        if !is_empty(size) {
            draft.put(
                [of_volume("emptyDir.sizeLimit")],
                Target::Workspace,
                Path::of("spec.shmSize"),
                size.clone(),
            );
        }
        return Some(SHM_VOLUME);
    }
    if volume.value["emptyDir"].is_object() && is_home {
        let why = "without a disk the home is an emptyDir";
        let [mount_name, volume_name] = names;
        same(&[mount_name, volume_name, of_mount("mountPath")], why);
        if is_empty(&volume.value["emptyDir"]) {
            same(&[(volume.object, volume.at.key("emptyDir"))], why);
        }
        return Some(HOME_VOLUME);
    }
    None
}

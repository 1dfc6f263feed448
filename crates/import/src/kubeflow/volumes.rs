//! Volumes and mounts of a pod -> home, further disks, Secrets and shared memory (pure).

use std::collections::BTreeMap;

use api::names::{HOME_VOLUME, SHM_PATH, SHM_VOLUME};
use serde_json::Value;

use super::source::Source;
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::table::is_empty;

const HOME: &str = "/home/jovyan";

/// A volume of the pod.
#[derive(Clone)]
struct Volume<'a> {
    object: usize,
    at: Path,
    value: &'a Value,
}

/// The disks, shared memory and Secrets that the main container mounts. Returns what the mounted volumes are called here.
pub(super) fn volumes(
    sources: &[Source<'_>],
    ledger: &mut Ledger,
    draft: &mut Draft,
) -> BTreeMap<String, String> {
    let mut all: BTreeMap<&str, Volume<'_>> = BTreeMap::new();
    for source in sources {
        let list = source.pod.key("volumes");
        for (index, value) in source.list(&list).iter().enumerate() {
            if let Some(name) = value["name"].as_str() {
                let at = list.index(index);
                all.insert(
                    name,
                    Volume {
                        object: source.object,
                        at,
                        value,
                    },
                );
            }
        }
    }
    let home = sources.first().and_then(|notebook| home(notebook, &all));
    let mut names = BTreeMap::new();
    for source in sources {
        let mounts = source.main.key("volumeMounts");
        for (index, value) in source.list(&mounts).iter().enumerate() {
            let name = value["name"].as_str().unwrap_or_default();
            let Some(volume) = all.get(name) else { continue };
            let mount = Volume {
                object: source.object,
                at: mounts.index(index),
                value,
            };
            let is_home = source.order == 0 && home == Some(index);
            let ours = mounted(&mount, volume, is_home, source.offset() + index, ledger, draft);
            names.extend(ours.map(|ours| (name.to_owned(), ours)));
        }
    }
    names
}

/// Index of the mount that is the home: that of the usual folder, of the working folder, or the first claim.
fn home(notebook: &Source<'_>, volumes: &BTreeMap<&str, Volume<'_>>) -> Option<usize> {
    let mounts = notebook.list(&notebook.main.key("volumeMounts"));
    let folder = notebook.main.key("workingDir");
    let folder = folder.get(notebook.value).as_str().unwrap_or(HOME);
    let is_at = |wanted: &str| {
        let same = |mount: &Value| {
            mount["mountPath"].as_str().map(|path| path.trim_end_matches('/')) == Some(wanted)
        };
        mounts.iter().position(same)
    };
    let is_claim = |mount: &Value| {
        let volume = mount["name"].as_str().and_then(|name| volumes.get(name));
        volume.is_some_and(|volume| volume.value["persistentVolumeClaim"].is_object())
    };
    is_at(HOME)
        .or_else(|| is_at(folder))
        .or_else(|| mounts.iter().position(is_claim))
}

/// One mount of the main container. Returns the name of its volume here.
#[allow(clippy::too_many_lines, reason = "one part per kind of volume")]
fn mounted(
    mount: &Volume<'_>,
    volume: &Volume<'_>,
    is_home: bool,
    index: usize,
    ledger: &mut Ledger,
    draft: &mut Draft,
) -> Option<String> {
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
            if let Some(folder) = mount.value["subPath"].as_str() {
                draft.put(
                    [of_mount("subPath")],
                    Target::Workspace,
                    at.key("subPath"),
                    folder,
                );
            }
            if !is_read_only {
                same(&written, "a home is writable");
            }
            return Some(HOME_VOLUME.to_owned());
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
        return Some(name.to_owned());
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
        return Some(SHM_VOLUME.to_owned());
    }
    if volume.value["emptyDir"].is_object() && is_home {
        let why = "without a disk the home is an emptyDir";
        let [mount_name, volume_name] = names;
        same(&[mount_name, volume_name, of_mount("mountPath")], why);
        if is_empty(&volume.value["emptyDir"]) {
            same(&[(volume.object, volume.at.key("emptyDir"))], why);
        }
        return Some(HOME_VOLUME.to_owned());
    }
    None
}

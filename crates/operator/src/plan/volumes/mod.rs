//! Home, disks, shared memory, tokens, secrets -> volumes of the pod and their mounts (pure).

use std::collections::BTreeMap;

use api::names::{
    ASSERTION_KEYS, ASSERTION_KEYS_PATH, ASSERTION_KEYS_VOLUME, HOME_VOLUME, RECOVERY_VOLUME, RUNTIME_PATH,
    RUNTIME_VOLUME, SCRATCH_PATH, SCRATCH_VOLUME, SHM_PATH, SHM_VOLUME,
};
use k8s_openapi::{
    api::core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource,
        ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
        VolumeProjection,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use rules::{ExecutionProfile, Home, ValidWorkspace};

use super::Installation;

/// Prefixes of the volumes that come from an execution profile.
const TOKENS: &str = "jupyter-k8s-tokens";
const SECRET: &str = "jupyter-k8s-secret";
/// Size of the memory for sockets and other small files. A write beyond it fails; on a disk, it would evict the pod.
const RUNTIME_SIZE: &str = "16Mi";

/// MiB of `/dev/shm` that container runtimes give.
const RUNTIME_SHM: u64 = 64;

/// A volume, and its mount in the application's container.
struct MountedVolume {
    volume: Volume,
    mount: VolumeMount,
}

/// What the pod mounts.
pub(super) struct Volumes {
    mounted: Vec<MountedVolume>,
    home: VolumeMount,
    scratch: Volume,
}

pub(super) fn plan(workspace: &ValidWorkspace, installation: &Installation) -> Volumes {
    let home = mount(HOME_VOLUME, workspace.home.mount_path());
    let home = VolumeMount {
        sub_path: workspace.home.sub_path().map(str::to_owned),
        ..home
    };
    let empty_home = workspace.recovery_home.as_deref().map(|path| MountedVolume {
        volume: empty_dir(RECOVERY_VOLUME, &installation.scratch_limit, None),
        mount: mount(RECOVERY_VOLUME, path),
    });
    // The disk comes after the home that it is in.
    let mut mounted: Vec<_> = empty_home.into_iter().collect();
    mounted.push(MountedVolume {
        volume: home_volume(workspace),
        mount: home.clone(),
    });
    mounted.extend(shared_memory(workspace).map(|size| MountedVolume {
        volume: empty_dir(SHM_VOLUME, &size, Some("Memory")),
        mount: mount(SHM_VOLUME, SHM_PATH),
    }));
    mounted.extend(workspace.volumes.iter().map(|disk| MountedVolume {
        volume: claim(&disk.name, &disk.persistent_volume_claim_name, disk.read_only),
        mount: VolumeMount {
            read_only: disk.read_only.then_some(true),
            ..mount(&disk.name, &disk.mount_path)
        },
    }));
    mounted.extend(workspace.volume_claims.iter().filter_map(|disk| {
        let path = disk.mount_path.as_ref()?;
        let name = rules::names::further_claim(&disk.name, &workspace.name);
        Some(MountedVolume {
            volume: claim(&disk.name, &name, disk.read_only),
            mount: VolumeMount {
                read_only: disk.read_only.then_some(true),
                ..mount(&disk.name, path)
            },
        })
    }));
    if let Some(profile) = &workspace.profile {
        mounted.extend(tokens(profile));
        mounted.extend(secrets(profile));
    }
    mounted.extend(workspace.has_assertions.then(keys));
    mounted.push(MountedVolume {
        volume: empty_dir(RUNTIME_VOLUME, &Quantity(RUNTIME_SIZE.to_owned()), Some("Memory")),
        mount: mount(RUNTIME_VOLUME, RUNTIME_PATH),
    });
    Volumes {
        mounted,
        home,
        scratch: empty_dir(SCRATCH_VOLUME, &installation.scratch_limit, None),
    }
}

impl Volumes {
    /// Mounts of the application's container. `read_only`: whether its root file system is read-only.
    pub(super) fn of_application(&self, read_only: bool) -> Vec<VolumeMount> {
        let mounts = self.mounted.iter().map(|one| one.mount.clone()).collect();
        with_scratch(mounts, read_only)
    }

    /// Mounts of an init container: its own, and the home that it prepares.
    pub(super) fn of_init(&self, own: &[VolumeMount], read_only: bool) -> Vec<VolumeMount> {
        let mut mounts = own.to_vec();
        let has_home = mounts.iter().any(|mount| mount.name == HOME_VOLUME);
        if !has_home && !is_taken(&mounts, &self.home.mount_path) {
            mounts.push(self.home.clone());
        }
        with_scratch(mounts, read_only)
    }

    /// Every volume that a container mounts. `mounts`: those of all containers.
    pub(super) fn all<'a>(&self, mut mounts: impl Iterator<Item = &'a VolumeMount>) -> Vec<Volume> {
        let scratch = mounts.any(|mount| mount.name == SCRATCH_VOLUME);
        let volumes = self.mounted.iter().map(|one| one.volume.clone());
        volumes.chain(scratch.then(|| self.scratch.clone())).collect()
    }
}

/// Size of `/dev/shm`: as it is asked for, else half of the memory limit, which is Linux' own share. `None` leaves it to the container
/// runtime, whose 64 MiB are too little for data loaders of machine learning, and which no init container can mount by name.
fn shared_memory(workspace: &ValidWorkspace) -> Option<Quantity> {
    if workspace.shm_size.is_some() {
        return workspace.shm_size.clone();
    }
    let mut paths = workspace.volumes.iter().map(|disk| &disk.mount_path);
    if paths.any(|path| segments(path).eq(segments(SHM_PATH))) {
        return None;
    }
    let limit = workspace.resources.limits.get("memory");
    let limit = limit.and_then(|limit| rules::Quantity::try_from(limit).ok());
    let half = limit.map_or(Some(0), |limit| Some(limit.count("2Mi".parse().ok()?).0))?;
    let mut inits = workspace.pod.init_containers.iter();
    let is_named = inits.any(|init| {
        init.volume_mounts
            .iter()
            .flatten()
            .any(|mount| mount.name == SHM_VOLUME)
    });
    (half > RUNTIME_SHM || is_named).then(|| Quantity(format!("{}Mi", half.max(RUNTIME_SHM))))
}

/// Adds a volume for temporary files if the root file system is read-only.
fn with_scratch(mut mounts: Vec<VolumeMount>, read_only: bool) -> Vec<VolumeMount> {
    if read_only && !is_taken(&mounts, SCRATCH_PATH) {
        mounts.push(mount(SCRATCH_VOLUME, SCRATCH_PATH));
    }
    mounts
}

/// Whether a volume is mounted at this path, in any spelling.
fn is_taken(mounts: &[VolumeMount], path: &str) -> bool {
    mounts
        .iter()
        .any(|mount| segments(&mount.mount_path).eq(segments(path)))
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !matches!(*segment, "" | "."))
}

fn home_volume(workspace: &ValidWorkspace) -> Volume {
    match &workspace.home {
        Home::Ephemeral { size_limit, .. } => empty_dir(HOME_VOLUME, size_limit, None),
        Home::Disk { .. } => claim(HOME_VOLUME, &workspace.child_name(), false),
        Home::Claim { name, .. } => claim(HOME_VOLUME, name, false),
    }
}

/// The public keys with which the application checks assertions. If they do not exist yet, the pod starts all the same, and rejects all
/// assertions until they exist.
fn keys() -> MountedVolume {
    MountedVolume {
        volume: Volume {
            name: ASSERTION_KEYS_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: ASSERTION_KEYS.to_owned(),
                optional: Some(true),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        mount: read_only_mount(ASSERTION_KEYS_VOLUME, ASSERTION_KEYS_PATH),
    }
}

/// Tokens by folder: a folder is one volume.
fn tokens(profile: &ExecutionProfile) -> Vec<MountedVolume> {
    let mut folders: BTreeMap<&str, Vec<VolumeProjection>> = BTreeMap::new();
    for token in &profile.spec.projected_tokens {
        let (folder, file) = token.path.rsplit_once('/').unwrap_or(("", &token.path));
        let projection = ServiceAccountTokenProjection {
            audience: Some(token.audience.clone()),
            expiration_seconds: token.expiration_seconds,
            path: file.to_owned(),
        };
        folders.entry(folder).or_default().push(VolumeProjection {
            service_account_token: Some(projection),
            ..VolumeProjection::default()
        });
    }
    let one = |(number, (folder, sources)): (usize, (&str, Vec<VolumeProjection>))| {
        let name = format!("{TOKENS}-{number}");
        MountedVolume {
            mount: read_only_mount(&name, folder),
            volume: Volume {
                name,
                projected: Some(ProjectedVolumeSource {
                    sources: Some(sources),
                    default_mode: None,
                }),
                ..Volume::default()
            },
        }
    };
    folders.into_iter().enumerate().map(one).collect()
}

fn secrets(profile: &ExecutionProfile) -> Vec<MountedVolume> {
    let secrets = profile.spec.secret_mounts.iter().enumerate();
    secrets
        .map(|(number, secret)| {
            let name = format!("{SECRET}-{number}");
            MountedVolume {
                mount: read_only_mount(&name, &secret.mount_path),
                volume: Volume {
                    name,
                    secret: Some(SecretVolumeSource {
                        secret_name: Some(secret.secret_name.clone()),
                        ..SecretVolumeSource::default()
                    }),
                    ..Volume::default()
                },
            }
        })
        .collect()
}

fn claim(name: &str, claim_name: &str, read_only: bool) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_name.to_owned(),
            read_only: read_only.then_some(true),
        }),
        ..Volume::default()
    }
}

fn empty_dir(name: &str, size_limit: &Quantity, medium: Option<&str>) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(size_limit.clone()),
            medium: medium.map(str::to_owned),
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    }
}

fn read_only_mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(name, path)
    }
}

#[cfg(test)]
mod tests;

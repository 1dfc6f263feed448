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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn mounted(change: impl FnOnce(&mut ValidWorkspace)) -> Vec<(Value, Value)> {
        let mut workspace = testing::valid();
        change(&mut workspace);
        let volumes = plan(&workspace, &testing::installation());
        let mounted = volumes.mounted.iter();
        mounted.map(|one| (json!(one.volume), json!(one.mount))).collect()
    }

    #[test]
    fn shared_memory_is_memory_of_the_size_that_is_asked_for() {
        let found = mounted(|workspace| workspace.shm_size = Some(Quantity("256Mi".to_owned())));
        let expected = (
            json!({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}),
            json!({"name": "shm", "mountPath": "/dev/shm"}),
        );
        assert_eq!(found[1], expected);
    }

    #[test]
    fn shared_memory_that_nobody_asks_for_is_half_of_the_memory_limit() {
        let sized = |limit: Option<&str>, volume: Value, init: Value| {
            let found = mounted(|workspace| {
                workspace.shm_size = None;
                workspace.resources.limits.remove("memory");
                let limit = limit.map(|limit| ("memory".to_owned(), Quantity(limit.to_owned())));
                workspace.resources.limits.extend(limit);
                workspace.volumes = serde_json::from_value(volume).unwrap();
                workspace.pod.init_containers = serde_json::from_value(init).unwrap();
            });
            let shm = found.iter().find(|(_, mount)| mount["mountPath"] == "/dev/shm");
            shm.map(|(volume, _)| volume["emptyDir"]["sizeLimit"].clone())
        };
        let size = |limit, volume| sized(limit, volume, json!([]));
        assert_eq!(size(Some("2Gi"), json!([])), Some(json!("1024Mi")));
        assert_eq!(size(Some("3000000000"), json!([])), Some(json!("1430Mi")));
        assert_eq!(size(Some("128Mi"), json!([])), None, "the runtime gives as much");
        assert_eq!(size(None, json!([])), None);
        let disk = |path| json!([{"name": "mine", "persistentVolumeClaimName": "c", "mountPath": path}]);
        assert_eq!(size(Some("2Gi"), disk("/dev//shm/")), None);
        assert_eq!(size(Some("2Gi"), disk("/mine")), Some(json!("1024Mi")));
        let init =
            |volume| json!([{"name": "seed", "volumeMounts": [{"name": volume, "mountPath": "/seed"}]}]);
        assert_eq!(sized(None, json!([]), init("shm")), Some(json!("64Mi")));
        assert_eq!(sized(Some("128Mi"), json!([]), init("shm")), Some(json!("64Mi")));
        assert_eq!(sized(Some("128Mi"), json!([]), init(HOME_VOLUME)), None);
    }

    #[test]
    fn a_path_is_taken_however_it_is_written() {
        for path in ["/tmp", "/tmp/", "//tmp", "/./tmp/."] {
            let mounts = with_scratch(vec![mount("mine", path)], true);
            assert_eq!(mounts.len(), 1, "{path}");
        }
        assert_eq!(with_scratch(vec![mount("mine", "/tmp/below")], true).len(), 2);
    }

    #[test]
    fn further_disks_are_mounted_and_one_to_be_read_only_is_read_only_twice() {
        let found = mounted(|workspace| {
            workspace.volumes = serde_json::from_value(json!([
                {"name": "data", "persistentVolumeClaimName": "shared", "mountPath": "/data", "readOnly": true},
                {"name": "more", "persistentVolumeClaimName": "mine", "mountPath": "/more"},
            ]))
            .unwrap();
        });
        let claim =
            json!({"name": "data", "persistentVolumeClaim": {"claimName": "shared", "readOnly": true}});
        assert_eq!(
            found[2],
            (
                claim,
                json!({"name": "data", "mountPath": "/data", "readOnly": true})
            )
        );
        assert_eq!(found[3].1, json!({"name": "more", "mountPath": "/more"}));
    }

    #[test]
    fn an_existing_claim_and_a_folder_of_it_are_the_home() {
        let found = mounted(|workspace| {
            workspace.home = Home::Claim {
                name: "shared".to_owned(),
                mount_path: "/home/jovyan".to_owned(),
                sub_path: Some("alice/work".to_owned()),
            };
        });
        assert_eq!(
            found[0].0["persistentVolumeClaim"],
            json!({"claimName": "shared"})
        );
        assert_eq!(found[0].1["subPath"], "alice/work");
    }

    #[test]
    fn tokens_of_one_folder_share_a_volume_and_secrets_are_read_only() {
        let found = mounted(|workspace| {
            let spec = serde_json::from_value(json!({
                "projectedTokens": [
                    {"audience": "vault", "path": "/var/run/tokens/vault", "expirationSeconds": 900},
                    {"audience": "sts", "path": "/var/run/tokens/sts"},
                    {"audience": "x", "path": "/other/x"},
                ],
                "secretMounts": [{"secretName": "keys", "mountPath": "/etc/keys"}],
            }))
            .unwrap();
            workspace.profile = Some(ExecutionProfile {
                name: "p".to_owned(),
                spec,
                service_account: None,
            });
        });
        let paths: Vec<_> = found[1..].iter().map(|(_, mount)| &mount["mountPath"]).collect();
        assert_eq!(
            paths,
            [
                SHM_PATH,
                "/other",
                "/var/run/tokens",
                "/etc/keys",
                ASSERTION_KEYS_PATH,
                RUNTIME_PATH
            ]
        );
        let writable: Vec<_> = found[1..]
            .iter()
            .filter(|(_, mount)| mount["readOnly"] != true)
            .collect();
        let writable: Vec<_> = writable.iter().map(|(_, mount)| &mount["mountPath"]).collect();
        assert_eq!(writable, [SHM_PATH, RUNTIME_PATH]);
        let sources = json!([
            {"serviceAccountToken": {"audience": "vault", "path": "vault", "expirationSeconds": 900}},
            {"serviceAccountToken": {"audience": "sts", "path": "sts"}},
        ]);
        assert_eq!(found[3].0["projected"]["sources"], sources);
        assert_eq!(found[4].0["secret"], json!({"secretName": "keys"}));
    }

    #[test]
    fn the_assertion_keys_are_mounted_as_optional() {
        let volume =
            json!({"name": ASSERTION_KEYS_VOLUME, "configMap": {"name": ASSERTION_KEYS, "optional": true}});
        assert!(
            mounted(|_| ())
                .iter()
                .any(|(found, mount)| *found == volume && mount["readOnly"] == true)
        );
        let open = mounted(|workspace| workspace.has_assertions = false);
        assert!(!open.iter().any(|(found, _)| *found == volume));
    }

    #[test]
    fn sockets_have_a_small_memory_of_their_own() {
        let volume = json!({"name": RUNTIME_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}});
        let mount = json!({"name": RUNTIME_VOLUME, "mountPath": "/run/workspace"});
        assert!(mounted(|_| ()).contains(&(volume, mount)));
    }

    #[test]
    fn temporary_files_have_a_place_unless_there_is_one() {
        let volumes = plan(&testing::valid(), &testing::installation());
        let names = |mounts: Vec<VolumeMount>| mounts.into_iter().map(|mount| mount.name).collect::<Vec<_>>();
        let with_keys = [HOME_VOLUME, SHM_VOLUME, ASSERTION_KEYS_VOLUME, RUNTIME_VOLUME];
        assert_eq!(
            names(volumes.of_application(true)),
            [&with_keys[..], &["tmp"]].concat()
        );
        assert_eq!(names(volumes.of_application(false)), with_keys);
        assert_eq!(volumes.all(volumes.of_application(true).iter()).len(), 5);
        assert_eq!(volumes.all(volumes.of_application(false).iter()).len(), 4);
        let own = [mount("data", "/tmp/")];
        assert_eq!(names(volumes.of_init(&own, true)), ["data", HOME_VOLUME]);
        let own = [mount(HOME_VOLUME, "/prepare")];
        assert_eq!(names(volumes.of_init(&own, false)), [HOME_VOLUME]);
    }
}

//! Disks, shared memory, secrets and tokens -> conflicts of names, claims and paths (pure).

use std::collections::BTreeMap;

use api::WorkspaceExecutionProfileSpec;
use api::names::{ASSERTION_KEYS_PATH, RUNTIME_PATH, SCRATCH_PATH, SHM_PATH};
use api::workspace::SecondaryVolume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::checks::syntax::object_name;
use crate::checks::{self, mount_path, normal_path};
use crate::effective::Home;
use crate::quantity::Quantity;
use crate::violation::Violation;

/// Paths where every pod has a volume of the operator.
const OURS: [(&str, &str); 4] = [
    (SCRATCH_PATH, "scratch space"),
    (RUNTIME_PATH, "sockets"),
    (SHM_PATH, "shared memory"),
    (ASSERTION_KEYS_PATH, "the gateway's keys"),
];
/// Path where clients expect the token of the Kubernetes API.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Checks the additional disks at `path`, each on its own.
pub(in crate::validate) fn volumes(path: &str, volumes: &[SecondaryVolume]) -> Vec<Violation> {
    let mut found = Vec::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let claim = &volume.persistent_volume_claim_name;
        let claim_field = format!("{at}.persistentVolumeClaimName");
        found.extend(object_name(claim_field, claim, "PersistentVolumeClaim"));
        found.extend(mount_path(&format!("{at}.mountPath"), &volume.mount_path));
    }
    found
}

/// All volumes of a pod, for checks of their combination.
pub(in crate::validate) struct Together<'a> {
    /// Name of the workspace's own disk, if it has or would have one.
    pub(in crate::validate) own_claim: &'a str,
    pub(in crate::validate) home: &'a Home,
    pub(in crate::validate) volumes: &'a [SecondaryVolume],
    /// Whether the workspace lists the volumes itself.
    pub(in crate::validate) volumes_given: bool,
    pub(in crate::validate) profile: Option<(&'a str, &'a WorkspaceExecutionProfileSpec)>,
    /// Places in the application that the template takes by `podTemplate` and `volumeClaims`.
    pub(in crate::validate) of_template: Vec<(String, String)>,
}

/// Places of the operator's volumes, each with what is there.
pub(in crate::validate) fn ours() -> BTreeMap<String, String> {
    OURS.map(|(path, what)| (path.to_owned(), what.to_owned())).into()
}

impl Together<'_> {
    /// All conflicts between the volumes.
    pub(in crate::validate) fn clashes(&self) -> Vec<Violation> {
        let mut places = vec![(
            "spec.storage.mountPath".to_owned(),
            self.home.mount_path().to_owned(),
            "the home".to_owned(),
        )];
        places.extend(self.volumes.iter().enumerate().map(|(index, volume)| {
            let field = format!("spec.volumes[{index}].mountPath");
            let what = format!("the volume {:?}{}", volume.name, self.origin());
            (field, volume.mount_path.clone(), what)
        }));
        if let Some((name, profile)) = self.profile {
            places.extend(folders_of(profile).into_iter().map(|(path, what)| {
                let what = format!("{what} of the execution profile {name:?}");
                ("spec.executionProfileRef".to_owned(), path, what)
            }));
        }
        let mut taken = ours();
        let theirs = self.of_template.iter();
        taken.extend(theirs.map(|(path, what)| (normal_path(path), what.clone())));
        let mut found = self.claims();
        found.extend(same_places(taken, places));
        found
    }

    fn claims(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let home = match self.home {
            Home::Claim { name, .. } => {
                if name == self.own_claim {
                    let rule = "is the name of the workspace's own disk: leave claimName out, and that disk is the home";
                    found.push(Violation::new("spec.storage.claimName", name, rule));
                }
                name.as_str()
            }
            Home::Disk { .. } | Home::Ephemeral { .. } => self.own_claim,
        };
        for (index, volume) in self.volumes.iter().enumerate() {
            let claim = &volume.persistent_volume_claim_name;
            let field = format!("spec.volumes[{index}].persistentVolumeClaimName");
            if claim == home || claim == self.own_claim {
                let rule = format!(
                    "is the claim of the home: mount another one as {:?}{}, or use the home",
                    volume.name,
                    self.origin()
                );
                found.push(Violation::new(field, claim, rule));
            }
        }
        found
    }

    /// Suffix of messages about volumes that the workspace does not list.
    fn origin(&self) -> &'static str {
        if self.volumes_given {
            ""
        } else {
            " of the template"
        }
    }
}

/// Reports mounts at places that are taken. `taken`: normal paths, each with the description of what is there.
/// `places`: field, path and description of each mount.
pub(in crate::validate) fn same_places(
    mut taken: BTreeMap<String, String>,
    places: impl IntoIterator<Item = (String, String, String)>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (field, path, what) in places {
        let normal = normal_path(&path);
        if let Some(other) = taken.get(&normal) {
            let rule = format!("is the place of {other} already: mount {what} elsewhere");
            found.push(Violation::new(field, path, rule));
        } else {
            taken.insert(normal, what);
        }
    }
    found
}

/// Folders that a profile mounts, each with its description.
pub(in crate::validate) fn folders_of(profile: &WorkspaceExecutionProfileSpec) -> Vec<(String, String)> {
    let mut folders: Vec<_> = profile
        .secret_mounts
        .iter()
        .map(|mount| {
            (
                mount.mount_path.clone(),
                format!("the secret {:?}", mount.secret_name),
            )
        })
        .collect();
    let mut tokens: Vec<_> = profile
        .projected_tokens
        .iter()
        .map(|token| token_folder(&token.path))
        .collect();
    tokens.sort();
    tokens.dedup();
    folders.extend(tokens.into_iter().map(|folder| (folder, "tokens".to_owned())));
    if profile.automount_token {
        folders.push((
            TOKEN_FOLDER.to_owned(),
            "the token of the Kubernetes API".to_owned(),
        ));
    }
    folders
}

/// The folder of a token's file.
pub(in crate::validate) fn token_folder(path: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    normal_path(folder)
}

/// The field of a workspace. The author of a template has other fields to change than the author of a workspace.
pub(in crate::validate) const OF_WORKSPACE: &str = "spec.shmSize";

/// Checks the size of shared memory, which counts towards the memory limit.
pub(in crate::validate) fn shm(
    field: &str,
    size: &RawQuantity,
    most: Option<&RawQuantity>,
    memory: Option<&RawQuantity>,
) -> Vec<Violation> {
    if let Some(fault) = checks::shm_size(field, size) {
        return vec![fault];
    }
    let value = |raw: Option<&RawQuantity>| raw.and_then(|raw| Quantity::try_from(raw).ok());
    let mut found = Vec::new();
    let of_template = field != OF_WORKSPACE;
    if let (Some(size_value), Some(most)) = (value(Some(size)), value(most))
        && size_value > most
    {
        let rule = if of_template {
            format!("is more than spec.maxShmSize {most}: lower it, or raise that maximum")
        } else {
            format!("is more than the template's maximum {most}: ask for at most {most}")
        };
        found.push(Violation::new(field, &size.0, rule));
    }
    if let (Some(size_value), Some(memory)) = (value(Some(size)), value(memory))
        && size_value > memory
    {
        let advice = if of_template {
            "lower it, or raise spec.defaultResources.limits.memory"
        } else {
            "ask for less, or raise spec.resources.limits.memory"
        };
        let rule = format!("is more than the memory limit {memory}, against which it counts: {advice}");
        found.push(Violation::new(field, &size.0, rule));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list(volumes: Value) -> Vec<SecondaryVolume> {
        serde_json::from_value(volumes).unwrap()
    }

    fn volume(name: &str, claim: &str, path: &str) -> Value {
        json!({"name": name, "persistentVolumeClaimName": claim, "mountPath": path})
    }

    fn home(path: &str) -> Home {
        Home::Ephemeral {
            size_limit: RawQuantity("1Gi".into()),
            mount_path: path.into(),
        }
    }

    fn clashes(home: &Home, volumes: Value, profile: Value) -> Vec<String> {
        let profile: Option<WorkspaceExecutionProfileSpec> = serde_json::from_value(profile).unwrap();
        let together = Together {
            of_template: Vec::new(),
            own_claim: "workspace-demo",
            home,
            volumes: &list(volumes),
            volumes_given: true,
            profile: profile.as_ref().map(|profile| ("p", profile)),
        };
        together.clashes().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_without_a_name_and_relative_paths_are_refused() {
        let found = volumes(
            "v",
            &list(json!([
                volume("e", "e", "/e"),
                volume("f", "No Claim", "relative"),
            ])),
        );
        let fields: Vec<_> = found.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["v[1].persistentVolumeClaimName", "v[1].mountPath"]);
    }

    #[test]
    fn two_mounts_at_one_path_are_refused() {
        let home = home("/home/jovyan");
        assert_eq!(
            clashes(
                &home,
                json!([volume("a", "a", "/home/jovyan/data"), volume("b", "b", "/data")]),
                json!({
                    "secretMounts": [{"secretName": "s", "mountPath": "/secret"}],
                    "projectedTokens": [{"audience": "x", "path": "/tokens/x"}, {"audience": "y", "path": "/tokens/y"}],
                })
            ),
            [""; 0]
        );
        let found = clashes(
            &home,
            json!([
                volume("a", "a", "/home//jovyan/"),
                volume("b", "b", "/tmp"),
                volume("c", "c", "/dev/shm"),
                volume("d", "d", "/tokens"),
                volume("e", "e", "/var/run/secrets/kubernetes.io/serviceaccount"),
            ]),
            json!({
                "automountToken": true, "serviceAccount": {"name": "x"},
                "secretMounts": [{"secretName": "s", "mountPath": "/home/jovyan"}],
                "projectedTokens": [{"audience": "x", "path": "/tokens/x"}],
            }),
        );
        assert_eq!(found.len(), 6, "{found:#?}");
        assert_eq!(
            found[0],
            r#"spec.volumes[0].mountPath: "/home//jovyan/" is the place of the home already: mount the volume "a" elsewhere"#
        );
        assert_eq!(clashes(&self::home("/tmp/"), json!([]), json!(null)).len(), 1);
    }

    #[test]
    fn the_claim_of_the_home_is_mounted_once() {
        let claim = Home::Claim {
            name: "shared".into(),
            mount_path: "/home/jovyan".into(),
            sub_path: None,
        };
        let volumes = json!([
            volume("a", "shared", "/a"),
            volume("b", "workspace-demo", "/b"),
            volume("c", "c", "/c")
        ]);
        assert_eq!(clashes(&claim, volumes, json!(null)).len(), 2);
        let own = Home::Claim {
            name: "workspace-demo".into(),
            mount_path: "/h".into(),
            sub_path: None,
        };
        assert_eq!(clashes(&own, json!([]), json!(null)).len(), 1);
    }

    #[test]
    fn shared_memory_is_within_its_maximum_and_the_memory_limit() {
        let raw = |text: &str| RawQuantity(text.into());
        let (one, two) = (raw("1Gi"), raw("2Gi"));
        assert!(shm("s", &one, Some(&one), Some(&one)).is_empty());
        assert_eq!(shm("s", &two, Some(&one), Some(&one)).len(), 2);
        assert_eq!(shm("s", &raw("0"), None, None).len(), 1);
        let tiny = shm("spec.shmSize", &raw("64"), None, None)[0].to_string();
        assert!(tiny.contains("smaller than any shared memory"), "{tiny}");
        let of_template: Vec<_> = shm("spec.defaultShmSize", &two, Some(&one), Some(&one))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(of_template[0].contains("spec.maxShmSize"), "{of_template:?}");
        assert!(
            of_template[1].contains("raise spec.defaultResources.limits.memory"),
            "{of_template:?}"
        );
        assert!(shm("s", &raw("1024Mi"), None, None).is_empty());
    }
}

//! Valid workspace -> the Deployment of one run (pure): one pod that fits Pod Security `restricted`.
//!
//! Whatever image a workspace names runs as user and group 1000 with its disk writable by that group: a number, because
//! `runAsNonRoot` refuses images that name their user in words, and always the same one, because the files on the disk
//! outlive the image. The root file system is read-only for the installation's own images, which are made for it; other
//! images may write to theirs, since many do not start otherwise, and nothing written there outlives the pod anyway.

use api::names;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy},
        core::v1::{
            Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
            PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
            SeccompProfile, SecurityContext, TCPSocketAction, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::Resource as _;
use rules::{Home, ValidWorkspace};
use serde::Serialize;

use super::Site;
use crate::{
    record,
    world::{CONTAINER, Identity, PORT_NAME},
};

/// Component label of Deployment and pod.
pub(super) const COMPONENT: &str = "server";
/// Volume of the home directory; workspaces cannot use this name.
const HOME_VOLUME: &str = "workspace-storage";
/// Volume on `/tmp`.
const SCRATCH_VOLUME: &str = "tmp";
const SCRATCH_PATH: &str = "/tmp";
/// User, group and group of the disk: the `jovyan` of Jupyter's images.
const USER: i64 = 1000;
/// Environment variable that tells the application which run it is.
const RUN_ID_VARIABLE: &str = "WORKSPACE_RUN_ID";

pub(super) fn plan(workspace: &ValidWorkspace, site: &Site, run_id: &str) -> Deployment {
    let mut labels = workspace.labels(COMPONENT);
    labels.insert(names::RUN_ID_LABEL.to_owned(), run_id.to_owned());
    let mut metadata = super::meta(&super::identity(workspace), COMPONENT);
    if let Some(annotations) = &mut metadata.annotations {
        annotations.insert(names::STARTED_FROM.to_owned(), record::of(workspace));
    }
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // Two pods must never mount one disk.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".to_owned()),
                rolling_update: None,
            }),
            revision_history_limit: Some(0),
            selector: LabelSelector {
                match_labels: Some(workspace.selector()),
                match_expressions: None,
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    annotations: Some(super::marks(&super::identity(workspace))),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(workspace, site, run_id)),
            },
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}

/// What is written to a Deployment between starts. Not a [`Deployment`], which always carries a pod template.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    api_version: String,
    kind: String,
    /// Name, labels, marks and owner.
    pub metadata: ObjectMeta,
    spec: ScaleSpec,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ScaleSpec {
    replicas: i32,
}

pub(super) fn scale(identity: &Identity, replicas: i32) -> Scale {
    Scale {
        api_version: Deployment::api_version(&()).into_owned(),
        kind: Deployment::kind(&()).into_owned(),
        metadata: super::meta(identity, COMPONENT),
        spec: ScaleSpec { replicas },
    }
}

fn pod(workspace: &ValidWorkspace, site: &Site, run_id: &str) -> PodSpec {
    let read_only = site.own_images.contains(&workspace.image);
    let scratch = read_only.then_some((SCRATCH_VOLUME, SCRATCH_PATH));
    let mounts = [(HOME_VOLUME, workspace.home.mount_path())]
        .into_iter()
        .chain(scratch);
    let scratch_volume = read_only.then(|| empty_dir(SCRATCH_VOLUME, &site.scratch_limit));
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // A large disk is not walked through at every start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![Container {
            name: CONTAINER.to_owned(),
            image: Some(workspace.image.clone()),
            image_pull_policy: Some(workspace.image_pull_policy.to_string()),
            command: given(&workspace.container.command),
            args: given(&workspace.container.args),
            env: Some(env(workspace, run_id)),
            ports: Some(vec![ContainerPort {
                name: Some(PORT_NAME.to_owned()),
                container_port: i32::from(workspace.port),
                protocol: Some("TCP".to_owned()),
                ..ContainerPort::default()
            }]),
            resources: Some(workspace.container_resources()),
            readiness_probe: Some(Probe {
                tcp_socket: Some(TCPSocketAction {
                    port: IntOrString::String(PORT_NAME.to_owned()),
                    host: None,
                }),
                period_seconds: Some(1),
                ..Probe::default()
            }),
            security_context: Some(SecurityContext {
                allow_privilege_escalation: Some(false),
                read_only_root_filesystem: Some(read_only),
                capabilities: Some(Capabilities {
                    drop: Some(vec!["ALL".to_owned()]),
                    add: None,
                }),
                ..SecurityContext::default()
            }),
            volume_mounts: Some(
                mounts
                    .map(|(name, path)| VolumeMount {
                        name: name.to_owned(),
                        mount_path: path.to_owned(),
                        ..VolumeMount::default()
                    })
                    .collect(),
            ),
            ..Container::default()
        }],
        volumes: Some([home(workspace)].into_iter().chain(scratch_volume).collect()),
        ..PodSpec::default()
    }
}

fn home(workspace: &ValidWorkspace) -> Volume {
    match &workspace.home {
        Home::Ephemeral { size_limit, .. } => empty_dir(HOME_VOLUME, size_limit),
        Home::Disk { .. } => Volume {
            name: HOME_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: workspace.child_name(),
                read_only: None,
            }),
            ..Volume::default()
        },
        Home::Claim { name, .. } => Volume {
            name: HOME_VOLUME.to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: name.clone(),
                read_only: None,
            }),
            ..Volume::default()
        },
    }
}

fn empty_dir(name: &str, size_limit: &Quantity) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(size_limit.clone()),
            medium: None,
        }),
        ..Volume::default()
    }
}

/// `HOME` is the disk, also for images whose own user lives elsewhere, and a stock Jupyter server listens on the
/// workspace's port; both may be set otherwise. The run's identifier is ours alone. The order is kept: a value may refer to
/// variables before it.
fn env(workspace: &ValidWorkspace, run_id: &str) -> Vec<EnvVar> {
    let ours = [
        ("HOME", workspace.home.mount_path().to_owned()),
        ("JUPYTER_PORT", workspace.port.to_string()),
        (RUN_ID_VARIABLE, run_id.to_owned()),
    ];
    let set_otherwise =
        |name: &str| name != RUN_ID_VARIABLE && workspace.env.iter().any(|variable| variable.name == name);
    let ours = ours.into_iter().filter(|(name, _)| !set_otherwise(name));
    let theirs = workspace
        .env
        .iter()
        .filter(|variable| variable.name != RUN_ID_VARIABLE);
    ours.map(|(name, value)| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    })
    .chain(theirs.cloned())
    .collect()
}

fn given(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    /// What Pod Security `restricted` forbids in this pod; the checks of the Kubernetes standard, one by one.
    fn restricted_violations(pod: &PodSpec) -> Vec<&'static str> {
        let mut found = Vec::new();
        let mut check = |holds: bool, rule: &'static str| {
            if !holds {
                found.push(rule);
            }
        };
        let context = pod.security_context.clone().unwrap_or_default();
        check(pod.host_network != Some(true), "hostNetwork");
        check(pod.host_pid != Some(true), "hostPID");
        check(pod.host_ipc != Some(true), "hostIPC");
        check(context.sysctls.is_none(), "sysctls");
        check(context.se_linux_options.is_none(), "seLinuxOptions");
        check(context.windows_options.is_none(), "windowsOptions");
        check(context.app_armor_profile.is_none(), "appArmorProfile");
        check(context.run_as_non_root == Some(true), "runAsNonRoot");
        check(context.run_as_user.is_some_and(|user| user != 0), "runAsUser");
        check(
            context
                .seccomp_profile
                .is_some_and(|profile| profile.type_ == "RuntimeDefault"),
            "seccompProfile",
        );
        for volume in pod.volumes.iter().flatten() {
            let allowed = volume.config_map.is_some()
                || volume.csi.is_some()
                || volume.downward_api.is_some()
                || volume.empty_dir.is_some()
                || volume.ephemeral.is_some()
                || volume.persistent_volume_claim.is_some()
                || volume.projected.is_some()
                || volume.secret.is_some();
            check(allowed, "volume types");
        }
        check(pod.ephemeral_containers.is_none(), "ephemeral containers");
        for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
            let context = container.security_context.clone().unwrap_or_default();
            let capabilities = context.capabilities.unwrap_or_default();
            check(context.privileged != Some(true), "privileged");
            check(
                context.allow_privilege_escalation == Some(false),
                "allowPrivilegeEscalation",
            );
            check(context.run_as_non_root != Some(false), "container runAsNonRoot");
            check(context.run_as_user != Some(0), "container runAsUser");
            check(context.proc_mount.is_none(), "procMount");
            check(context.se_linux_options.is_none(), "container seLinuxOptions");
            check(context.app_armor_profile.is_none(), "container appArmorProfile");
            check(context.seccomp_profile.is_none(), "container seccompProfile");
            check(
                capabilities
                    .drop
                    .is_some_and(|drop| drop.iter().any(|name| name == "ALL")),
                "capabilities drop",
            );
            check(capabilities.add.is_none(), "capabilities add");
            check(
                container
                    .ports
                    .iter()
                    .flatten()
                    .all(|port| port.host_port.is_none()),
                "hostPort",
            );
            let probes = [
                &container.readiness_probe,
                &container.liveness_probe,
                &container.startup_probe,
            ];
            let host_free = |probe: &&Option<Probe>| {
                probe
                    .as_ref()
                    .and_then(|probe| probe.tcp_socket.as_ref())
                    .is_none_or(|tcp| tcp.host.is_none())
            };
            check(probes.iter().all(host_free), "probe host");
        }
        found
    }

    fn pod_of(workspace: &api::Workspace) -> PodSpec {
        plan(&fixtures::admit(workspace), &fixtures::site(), "run1")
            .spec
            .unwrap()
            .template
            .spec
            .unwrap()
    }

    fn workspaces() -> Vec<api::Workspace> {
        let plain = testkit::objects::workspace("demo");
        let mut ephemeral = plain.clone();
        ephemeral.spec.storage = None;
        let mut custom = plain.clone();
        custom.spec.image = Some("example.com/custom:1".to_owned());
        vec![plain, ephemeral, custom]
    }

    #[test]
    fn every_pod_fits_pod_security_restricted() {
        for workspace in workspaces() {
            assert_eq!(restricted_violations(&pod_of(&workspace)), Vec::<&str>::new());
        }
    }

    #[test]
    fn the_check_of_restricted_sees_what_is_wrong() {
        let mut pod = pod_of(&testkit::objects::workspace("demo"));
        pod.host_network = Some(true);
        pod.security_context.as_mut().unwrap().run_as_user = Some(0);
        pod.containers[0].security_context = None;
        let found = restricted_violations(&pod);
        for rule in [
            "hostNetwork",
            "runAsUser",
            "allowPrivilegeEscalation",
            "capabilities drop",
        ] {
            assert!(found.contains(&rule), "{found:?}");
        }
    }

    #[test]
    fn no_service_account_token_and_no_service_variables_reach_the_pod() {
        let pod = pod_of(&testkit::objects::workspace("demo"));
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.enable_service_links, Some(false));
    }

    #[test]
    fn only_our_own_images_get_a_read_only_root_and_with_it_a_tmp() {
        let shape = |workspace: &api::Workspace| {
            let container = pod_of(workspace).containers.remove(0);
            let read_only = container
                .security_context
                .unwrap()
                .read_only_root_filesystem
                .unwrap();
            let tmp = container
                .volume_mounts
                .unwrap()
                .iter()
                .any(|mount| mount.mount_path == "/tmp");
            (read_only, tmp)
        };
        let [plain, _, custom] = workspaces().try_into().unwrap();
        assert_eq!(shape(&plain), (true, true));
        assert_eq!(shape(&custom), (false, false));
    }

    #[test]
    fn an_ephemeral_home_is_bounded() {
        let [_, ephemeral, _] = workspaces().try_into().unwrap();
        let volumes = pod_of(&ephemeral).volumes.unwrap();
        let home = volumes.iter().find(|volume| volume.name == HOME_VOLUME).unwrap();
        assert_eq!(
            home.empty_dir.as_ref().unwrap().size_limit.as_ref().unwrap().0,
            "5Gi"
        );
    }

    #[test]
    fn the_run_is_named_on_the_pod_and_in_its_environment_and_templates_cannot_forge_it() {
        let mut workspace = fixtures::valid();
        let forged = |name: &str| EnvVar {
            name: name.to_owned(),
            value: Some("forged".to_owned()),
            value_from: None,
        };
        workspace.env = vec![forged(RUN_ID_VARIABLE), forged("HOME")];
        let template = plan(&workspace, &fixtures::site(), "run1").spec.unwrap().template;
        assert_eq!(
            template.metadata.unwrap().labels.unwrap()[names::RUN_ID_LABEL],
            "run1"
        );
        let env = template.spec.unwrap().containers.remove(0).env.unwrap();
        let value = |name: &str| {
            env.iter()
                .find(|variable| variable.name == name)
                .unwrap()
                .value
                .clone()
                .unwrap()
        };
        assert_eq!(value(RUN_ID_VARIABLE), "run1");
        assert_eq!(value("HOME"), "forged");
        assert_eq!(value("JUPYTER_PORT"), "8888");
    }

    #[test]
    fn two_runs_differ_in_nothing_but_their_identifier() {
        let text = |run_id: &str| {
            let deployment = plan(&fixtures::valid(), &fixtures::site(), run_id);
            serde_json::to_string(&deployment).unwrap().replace(run_id, "?")
        };
        assert_eq!(text("aaaa"), text("bbbb"));
    }
}

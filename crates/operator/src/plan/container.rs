//! Valid workspace -> the containers of its pod (pure).
//!
//! The installation's own images get a read-only root file system, because they are made for it. Many other images need a writable one
//! to start. Nothing written there outlives the pod.

use api::names::{
    APPLICATION_CONTAINER, ASSERTION_KEYS_PATH, ASSERTION_KEYS_VARIABLE, BASE_PATH_VARIABLE, NO_ASSERTIONS,
    PORT_VARIABLE, RECOVERY_DISK_VARIABLE, RUN_ID_VARIABLE, UID_VARIABLE, WORKSPACE_UID, instead_of_variable,
};
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, Probe, TCPSocketAction,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use rules::ValidWorkspace;

use super::{Installation, security, volumes::Volumes};
use crate::cache::observed::PORT_NAME;

/// The application's container.
pub(super) fn application(
    workspace: &ValidWorkspace,
    installation: &Installation,
    volumes: &Volumes,
    run_id: &str,
) -> Container {
    let given = workspace.pod.container_security_context.as_ref();
    let is_own = workspace.recovery_home.is_some() || installation.own_images.contains(&workspace.image);
    let security = security::container(given, is_own);
    let disk = workspace.home.mount_path();
    let in_recovery = workspace.recovery_home.as_ref();
    let ours = [
        ("HOME", in_recovery.map_or(disk, String::as_str).to_owned()),
        (PORT_VARIABLE, workspace.port.to_string()),
        (RUN_ID_VARIABLE, run_id.to_owned()),
    ]
    .into_iter()
    .chain(
        workspace
            .base_path
            .as_ref()
            .map(|path| (BASE_PATH_VARIABLE, format!("{path}/"))),
    )
    .chain(in_recovery.map(|_| (RECOVERY_DISK_VARIABLE, disk.to_owned())));
    Container {
        name: APPLICATION_CONTAINER.to_owned(),
        image: Some(workspace.pull_reference(&workspace.image)),
        image_pull_policy: Some(workspace.image_pull_policy.to_string()),
        command: some(&workspace.container.command),
        args: some(&workspace.container.args),
        env: Some(
            [
                assertion_variables(workspace.has_assertions).to_vec(),
                env(ours, &workspace.env),
            ]
            .concat(),
        ),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: i32::from(workspace.port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: Some(workspace.container_resources()),
        lifecycle: workspace.pod.lifecycle.clone(),
        readiness_probe: Some(
            workspace
                .pod
                .readiness_probe
                .clone()
                .unwrap_or_else(accepts_connections),
        ),
        volume_mounts: Some(volumes.of_application(security.read_only_root_filesystem == Some(true))),
        security_context: Some(security),
        ..Container::default()
    }
}

/// The init containers, as the rules completed them. They have the same security settings, and mount the home that they prepare. They
/// get no variables, tokens or secrets of the application.
pub(super) fn init(
    workspace: &ValidWorkspace,
    installation: &Installation,
    volumes: &Volumes,
    run_id: &str,
) -> Vec<Container> {
    let complete = |given: &Container| {
        let own = given
            .image
            .as_ref()
            .is_some_and(|image| installation.own_images.contains(image));
        let security = security::container(given.security_context.as_ref(), own);
        let read_only = security.read_only_root_filesystem == Some(true);
        let mounts = given.volume_mounts.as_deref().unwrap_or_default();
        let ours = [
            ("HOME", workspace.home.mount_path().to_owned()),
            (RUN_ID_VARIABLE, run_id.to_owned()),
        ];
        Container {
            image: given
                .image
                .as_deref()
                .map(|image| workspace.pull_reference(image)),
            image_pull_policy: Some(workspace.image_pull_policy.to_string()),
            env: Some(env(ours, given.env.as_deref().unwrap_or_default())),
            volume_mounts: Some(volumes.of_init(mounts, read_only)),
            security_context: Some(security),
            ..given.clone()
        }
    };
    workspace.pod.init_containers.iter().map(complete).collect()
}

fn accepts_connections() -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String(PORT_NAME.to_owned()),
            host: None,
        }),
        period_seconds: Some(1),
        ..Probe::default()
    }
}

/// The environment. `HOME` is the disk, even if the image's own user has another home. A stock Jupyter server listens on the
/// workspace's port. Users may override `HOME`, but not what the operator alone sets. The order is kept, because a value may refer to
/// earlier variables.
fn env<'a>(ours: impl IntoIterator<Item = (&'a str, String)>, theirs: &[EnvVar]) -> Vec<EnvVar> {
    let theirs = theirs
        .iter()
        .filter(|variable| instead_of_variable(&variable.name).is_none());
    let set_otherwise = |name: &str| theirs.clone().any(|variable| variable.name == name);
    let ours = ours.into_iter().filter(|(name, _)| !set_otherwise(name));
    ours.map(|(name, value)| EnvVar {
        name: name.to_owned(),
        value: Some(value),
        value_from: None,
    })
    .chain(theirs.clone().cloned())
    .collect()
}

/// The variables with which the application checks assertions: the audience, and the path of the keys.
fn assertion_variables(has_assertions: bool) -> [EnvVar; 2] {
    let field = ObjectFieldSelector {
        field_path: format!("metadata.annotations['{WORKSPACE_UID}']"),
        api_version: None,
    };
    let keys = if has_assertions {
        ASSERTION_KEYS_PATH
    } else {
        NO_ASSERTIONS
    };
    [
        EnvVar {
            name: UID_VARIABLE.to_owned(),
            value: None,
            value_from: Some(EnvVarSource {
                field_ref: Some(field),
                ..EnvVarSource::default()
            }),
        },
        EnvVar {
            name: ASSERTION_KEYS_VARIABLE.to_owned(),
            value: Some(keys.to_owned()),
            value_from: None,
        },
    ]
}

fn some(items: &[String]) -> Option<Vec<String>> {
    (!items.is_empty()).then(|| items.to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{plan::volumes, testing};

    fn application_of(workspace: &ValidWorkspace) -> Container {
        let installation = testing::installation();
        application(
            workspace,
            &installation,
            &volumes::plan(workspace, &installation),
            "run1",
        )
    }

    fn init_of(given: Value) -> Container {
        let mut workspace = testing::valid();
        workspace.pod.init_containers = vec![serde_json::from_value(given).unwrap()];
        let installation = testing::installation();
        init(
            &workspace,
            &installation,
            &volumes::plan(&workspace, &installation),
            "run1",
        )
        .remove(0)
    }

    fn value_of(container: &Container, name: &str) -> Option<String> {
        let mut env = container.env.iter().flatten();
        env.find(|variable| variable.name == name)?.value.clone()
    }

    #[test]
    fn the_application_gets_its_base_path() {
        let mut workspace = testing::valid();
        assert_eq!(value_of(&application_of(&workspace), BASE_PATH_VARIABLE), None);
        workspace.base_path = Some("/workspaces/team/demo".to_owned());
        let path = value_of(&application_of(&workspace), BASE_PATH_VARIABLE);
        assert_eq!(path.as_deref(), Some("/workspaces/team/demo/"));
    }

    #[test]
    fn the_run_is_in_the_environment_and_cannot_be_overridden() {
        let mut workspace = testing::valid();
        let secret = json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
        workspace.env = serde_json::from_value(json!([
            {"name": RUN_ID_VARIABLE, "value": "forged"}, {"name": "HOME", "value": "/elsewhere"},
            {"name": "JUPYTER_PORT", "value": "9999"}, secret,
        ]))
        .unwrap();
        let container = application_of(&workspace);
        assert_eq!(value_of(&container, RUN_ID_VARIABLE).as_deref(), Some("run1"));
        assert_eq!(value_of(&container, "HOME").as_deref(), Some("/elsewhere"));
        assert_eq!(value_of(&container, "JUPYTER_PORT").as_deref(), Some("8888"));
        assert_eq!(json!(container.env.unwrap().last()), secret);
    }

    #[test]
    fn only_the_operator_says_where_the_disk_is_in_recovery() {
        let mut workspace = testing::valid();
        let forged = json!([{"name": RECOVERY_DISK_VARIABLE, "value": "/elsewhere"}]);
        workspace.env = serde_json::from_value(forged).unwrap();
        let values = |workspace: &ValidWorkspace| {
            let env = application_of(workspace).env.unwrap().into_iter();
            let env = env.filter(|variable| variable.name == RECOVERY_DISK_VARIABLE);
            env.map(|variable| variable.value.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(values(&workspace), [""; 0]);
        workspace.recovery_home = Some("/home/jovyan".to_owned());
        assert_eq!(values(&workspace), [workspace.home.mount_path()]);
    }

    #[test]
    fn the_application_gets_the_path_of_the_assertion_keys_which_cannot_be_overridden() {
        let mut workspace = testing::valid();
        workspace.env = serde_json::from_value(json!([
            {"name": UID_VARIABLE, "value": "forged"}, {"name": ASSERTION_KEYS_VARIABLE, "value": "none"},
        ]))
        .unwrap();
        let variables = |workspace: &ValidWorkspace| {
            let env = application_of(workspace).env.unwrap();
            let of = |name: &str| json!(env.iter().filter(|one| one.name == name).collect::<Vec<_>>());
            (of(UID_VARIABLE), of(ASSERTION_KEYS_VARIABLE))
        };
        let field = "metadata.annotations['workspaces.jupyter.org/workspace-uid']";
        let uid = json!([{"name": "WORKSPACE_UID", "valueFrom": {"fieldRef": {"fieldPath": field}}}]);
        let keys = |value: &str| json!([{"name": "WORKSPACE_ASSERTION_KEYS", "value": value}]);
        assert_eq!(
            variables(&workspace),
            (uid.clone(), keys("/var/run/jupyter-k8s/keys"))
        );
        workspace.has_assertions = false;
        assert_eq!(variables(&workspace), (uid, keys("none")));
    }

    #[test]
    fn without_a_probe_of_its_own_the_application_is_ready_when_it_accepts_connections() {
        let probe = application_of(&testing::valid()).readiness_probe.unwrap();
        assert_eq!(
            json!(probe),
            json!({"periodSeconds": 1, "tcpSocket": {"port": "http"}})
        );
    }

    #[test]
    fn a_mirrored_image_runs_with_the_security_of_the_image_that_was_named() {
        let mut workspace = testing::valid();
        let init = json!([{"name": "clone", "image": "git:1"}]);
        workspace.pod.init_containers = serde_json::from_value(init).unwrap();
        let named = application_of(&workspace).security_context;
        workspace.image_mirrors = [
            ("localhost", "r.example.com/ours"),
            ("docker.io/library", "r.example.com/hub"),
        ]
        .map(|(source, mirror)| rules::ImageMirror {
            source: source.to_owned(),
            mirror: mirror.to_owned(),
        })
        .to_vec();
        let application = application_of(&workspace);
        let ours = "r.example.com/ours/jk8s-application-jupyter-uv:1";
        assert_eq!(application.image.as_deref(), Some(ours));
        assert_eq!(application.security_context, named);
        assert_eq!(
            workspace.resolved().image.as_deref(),
            Some(ours),
            "the status shows what runs"
        );
        let pod = crate::plan::run(&workspace, &testing::installation(), "run1")
            .spec
            .unwrap();
        assert_eq!(
            pod.init_containers.unwrap()[0].image.as_deref(),
            Some("r.example.com/hub/git:1")
        );
        // Credentials of a profile are for the registry as it is written.
        let spec = json!({"imagePullSecrets": [{"name": "own"}]});
        workspace.profile = Some(rules::ExecutionProfile {
            name: "p".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
            service_account: None,
        });
        assert_eq!(application_of(&workspace).image.as_ref(), Some(&workspace.image));
    }

    #[test]
    fn only_our_own_images_get_a_read_only_root_and_with_it_a_tmp() {
        let probes = |image: &str| {
            let mut workspace = testing::valid();
            image.clone_into(&mut workspace.image);
            let container = application_of(&workspace);
            let tmp = container
                .volume_mounts
                .iter()
                .flatten()
                .any(|mount| mount.mount_path == "/tmp");
            (
                container
                    .security_context
                    .unwrap()
                    .read_only_root_filesystem
                    .unwrap(),
                tmp,
            )
        };
        assert_eq!(probes(&testing::valid().image), (true, true));
        assert_eq!(probes("example.com/custom:1"), (false, false));
    }

    #[test]
    fn an_init_container_is_completed_with_home_run_and_security() {
        let container = init_of(json!({"name": "clone", "image": "git:1", "command": ["git", "clone"]}));
        assert_eq!(value_of(&container, "HOME").as_deref(), Some("/home/jovyan"));
        assert_eq!(value_of(&container, RUN_ID_VARIABLE).as_deref(), Some("run1"));
        assert_eq!(value_of(&container, "JUPYTER_PORT"), None);
        assert_eq!(container.image_pull_policy.as_deref(), Some("IfNotPresent"));
        assert_eq!(container.volume_mounts.unwrap()[0].mount_path, "/home/jovyan");
        let security = container.security_context.unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(false));
    }

    #[test]
    fn an_init_container_has_the_resources_that_the_rules_gave_it() {
        let resources = json!({
            "requests": {"cpu": "50m", "memory": "2Gi", "nvidia.com/gpu": "1"}, "limits": {"cpu": "50m", "memory": "2Gi"},
        });
        let container = init_of(json!({"name": "a", "image": "b:1", "resources": resources}));
        assert_eq!(json!(container.resources), resources);
    }
}

//! Workspace spec, template spec and settings -> effective values, field by field (pure).

use std::collections::BTreeMap;

use api::template::{Label, PodSecurity, VolumeClaim};
use api::workspace::{
    AccessType, ContainerConfig, IdleShutdown, Limits, OwnershipType, ResourceRequirements, SecondaryVolume,
};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::home::{Home, home};
use super::pod::{self, PodFields, listed};
use super::{idle, limits, resources};
use crate::settings::Settings;

/// Port of workspaces where neither workspace nor template names one.
const DEFAULT_PORT: i32 = 8888;

/// The effective values of a workspace: its own values, else the template's, else the installation's. They are not validated yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// Image, with aliases resolved.
    pub image: String,
    /// All requests and limits.
    pub resources: ResourceRequirements,
    /// The home directory.
    pub home: Home,
    /// Size of `/dev/shm`; `None` leaves it to the container runtime.
    pub shm_size: Option<RawQuantity>,
    /// Additional disks.
    pub volumes: Vec<SecondaryVolume>,
    /// Further disks of its own.
    pub volume_claims: Vec<VolumeClaim>,
    /// Port on which the application listens.
    pub port: i32,
    /// Command and arguments; empty where the image decides.
    pub container: ContainerConfig,
    /// Environment variables of the container. The workspace's variables override those of the template.
    pub env: Vec<EnvVar>,
    /// All other fields of the pod.
    pub pod: PodFields,
    /// The Pod Security level that the pod meets.
    pub pod_security: PodSecurity,
    /// Labels of the pod.
    pub base_labels: Vec<Label>,
    /// Annotations of the pod. The workspace's annotations override those of the template.
    pub annotations: BTreeMap<String, String>,
    /// Type of the application.
    pub app_type: Option<String>,
    /// When it is stopped for idleness, with every field set except the detection; `None`: not configured.
    pub idle: Option<IdleShutdown>,
    /// Time limits.
    pub limits: Limits,
    /// Which users may change it.
    pub ownership: OwnershipType,
    /// Which users may connect.
    pub access: AccessType,
    /// Name of the manager, if workspace or template name one.
    pub manager_ref: Option<String>,
    /// Name of the execution profile, if workspace or template name one.
    pub profile_ref: Option<String>,
}

/// Computes the effective values. `template` is the spec of the template that `spec` refers to, if any.
pub fn effective(
    spec: &WorkspaceSpec,
    template: Option<&WorkspaceTemplateSpec>,
    settings: &Settings,
) -> Effective {
    let image = spec
        .image
        .as_deref()
        .or_else(|| template.map(|template| template.default_image.as_str()))
        .unwrap_or(&settings.default_image);
    let resources = resources::fill(
        spec.resources.as_ref(),
        template.and_then(|template| template.default_resources.as_ref()),
        &settings.default_resources,
        template.and_then(|template| template.resource_bounds.as_ref()),
    );
    let home = home(
        spec.storage.as_ref(),
        template.and_then(|template| template.primary_storage.as_ref()),
        settings,
    );
    Effective {
        image: settings.resolve_image(image).to_owned(),
        shm_size: spec
            .shm_size
            .clone()
            .or_else(|| template?.default_shm_size.clone()),
        volumes: listed(&spec.volumes, template.map(|template| &template.default_volumes)),
        volume_claims: template.map_or_else(Vec::new, |template| template.volume_claims.clone()),
        port: spec
            .port
            .or_else(|| template?.default_port)
            .unwrap_or(DEFAULT_PORT),
        // Command and arguments belong together: arguments for another command make no sense.
        container: spec
            .container_config
            .clone()
            .or_else(|| template?.default_container_config.clone())
            .unwrap_or_default(),
        env: merge(
            template.map_or(&[], |template| &template.environment_variables),
            &spec.env,
        ),
        pod: pod::shape(spec, template, &resources, &home, settings),
        home,
        resources,
        pod_security: template.map(|template| template.pod_security).unwrap_or_default(),
        base_labels: template
            .map(|template| template.base_labels.clone())
            .unwrap_or_default(),
        annotations: annotations(spec, template),
        app_type: spec.app_type.clone().or_else(|| template?.app_type.clone()),
        idle: idle::effective(spec.idle_shutdown.as_ref(), template),
        limits: limits::effective(spec.limits.as_ref(), template),
        ownership: spec
            .ownership_type
            .or_else(|| template?.default_ownership_type)
            .unwrap_or_default(),
        access: spec
            .access_type
            .or_else(|| template?.default_access_type)
            .unwrap_or_default(),
        manager_ref: spec.manager_ref.clone().or_else(|| template?.manager_ref.clone()),
        profile_ref: profile_name(spec, template).map(str::to_owned),
    }
}

/// Name of the effective execution profile, if workspace or template name one.
pub fn profile_name<'a>(
    spec: &'a WorkspaceSpec,
    template: Option<&'a WorkspaceTemplateSpec>,
) -> Option<&'a str> {
    spec.execution_profile_ref
        .as_deref()
        .or_else(|| template?.execution_profile_ref.as_deref())
}

/// The annotations of the template, overridden by those of the workspace.
pub(super) fn annotations(
    spec: &WorkspaceSpec,
    template: Option<&WorkspaceTemplateSpec>,
) -> BTreeMap<String, String> {
    let base = template.map_or(&[][..], |template| &template.base_annotations);
    let mut all: BTreeMap<_, _> = base
        .iter()
        .map(|annotation| (annotation.name.clone(), annotation.value.clone()))
        .collect();
    all.extend(spec.pod_annotations.clone());
    all
}

/// The variables of `base` in their order, with those of `over` in place of variables of the same name.
/// The other variables of `over` follow.
pub(crate) fn merge(base: &[EnvVar], over: &[EnvVar]) -> Vec<EnvVar> {
    let named = |name: &str| over.iter().find(|variable| variable.name == name);
    let kept = base
        .iter()
        .map(|variable| named(&variable.name).unwrap_or(variable));
    let added = over
        .iter()
        .filter(|variable| base.iter().all(|base| base.name != variable.name));
    kept.chain(added).cloned().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use api::workspace::Retain;

    use super::*;

    fn settings() -> Settings {
        Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap()
    }

    fn spec(value: Value) -> WorkspaceSpec {
        serde_json::from_value(value).unwrap()
    }

    fn template() -> WorkspaceTemplateSpec {
        serde_json::from_value(json!({
            "displayName": "t",
            "defaultImage": "t:1",
            "defaultPort": 9000,
            "defaultAccessType": "Public",
            "managerRef": "theirs",
            "defaultContainerConfig": {"command": ["run"], "args": ["it"]},
            "environmentVariables": [{"name": "A", "value": "b"}],
            "baseAnnotations": [{"name": "x.org/a", "value": "1"}, {"name": "x.org/b", "value": "2"}],
            "appType": "jupyterlab",
            "primaryStorage": {
                "defaultSize": "3Gi", "defaultStorageClassName": "fast", "defaultMountPath": "/work"
            },
        }))
        .unwrap()
    }

    #[test]
    fn settings_apply_without_template_and_workspace_values() {
        let effective = effective(&spec(json!({"displayName": "d"})), None, &settings());
        assert_eq!(effective.image, "r/jupyter:1");
        assert_eq!(effective.port, DEFAULT_PORT);
        assert_eq!(effective.access, AccessType::OwnerOnly);
        assert_eq!(effective.container, ContainerConfig::default());
        assert_eq!(effective.manager_ref, None);
        assert_eq!(
            effective.home,
            Home::Ephemeral {
                size_limit: RawQuantity("5Gi".into()),
                mount_path: "/home/jovyan".into()
            }
        );
    }

    #[test]
    fn a_template_fills_what_the_workspace_leaves_out() {
        let effective = effective(&spec(json!({"displayName": "d"})), Some(&template()), &settings());
        assert_eq!(effective.image, "t:1");
        assert_eq!(effective.port, 9000);
        assert_eq!(effective.access, AccessType::Public);
        assert_eq!(effective.container.args, ["it"]);
        assert_eq!(effective.env[0].name, "A");
        assert_eq!(effective.manager_ref.as_deref(), Some("theirs"));
        assert_eq!(effective.app_type.as_deref(), Some("jupyterlab"));
        assert_eq!(effective.annotations["x.org/a"], "1");
        assert_eq!(
            effective.home,
            Home::Disk {
                size: RawQuantity("3Gi".into()),
                class: Some("fast".into()),
                mount_path: "/work".into(),
                sub_path: None,
                retain: Retain::Delete,
            }
        );
    }

    #[test]
    fn workspace_values_override_template_values_field_by_field() {
        let given = spec(json!({
            "displayName": "d",
            "image": "uv",
            "port": 9999,
            "accessType": "OwnerOnly",
            "managerRef": "mine",
            "appType": "code-editor",
            "podAnnotations": {"x.org/b": "mine", "x.org/c": "3"},
            "containerConfig": {"command": ["mine"]},
            "storage": {"size": "4Gi"},
        }));
        let effective = effective(&given, Some(&template()), &settings());
        assert_eq!(effective.image, "r/jupyter:1");
        assert_eq!(effective.port, 9999);
        assert_eq!(effective.access, AccessType::OwnerOnly);
        assert_eq!(effective.manager_ref.as_deref(), Some("mine"));
        assert_eq!(effective.app_type.as_deref(), Some("code-editor"));
        let annotations: Vec<_> = effective.annotations.values().map(String::as_str).collect();
        assert_eq!(annotations, ["1", "mine", "3"]);
        assert_eq!(
            effective.home,
            Home::Disk {
                size: RawQuantity("4Gi".into()),
                class: Some("fast".into()),
                mount_path: "/work".into(),
                sub_path: None,
                retain: Retain::Delete,
            }
        );
    }

    #[test]
    fn a_workspace_command_takes_no_arguments_from_the_template() {
        let given = spec(json!({"displayName": "d", "containerConfig": {"command": ["mine"]}}));
        let effective = effective(&given, Some(&template()), &settings());
        assert_eq!(effective.container.command, ["mine"]);
        assert!(effective.container.args.is_empty());
    }

    #[test]
    fn empty_storage_asks_for_the_default_disk() {
        let given = spec(json!({"displayName": "d", "storage": {}}));
        assert_eq!(
            effective(&given, None, &settings()).home,
            Home::Disk {
                size: RawQuantity("10Gi".into()),
                class: None,
                mount_path: "/home/jovyan".into(),
                sub_path: None,
                retain: Retain::Delete,
            }
        );
    }
}

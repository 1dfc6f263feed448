//! Workspace spec, template spec and settings -> the effective values, leaf by leaf (pure).

use api::template::{EnvironmentVariable, PrimaryStorage};
use api::workspace::{AccessType, ContainerConfig, ResourceRequirements, Storage};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::resources;
use crate::settings::Settings;

/// Port of workspaces where neither they nor a template name one.
pub const DEFAULT_PORT: i32 = 8888;

/// What a workspace amounts to: its own values, else the template's, else the installation's. Not yet judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// Image, aliases resolved.
    pub image: String,
    /// Every request and limit.
    pub resources: ResourceRequirements,
    /// The home directory.
    pub home: Home,
    /// Port on which the application listens.
    pub port: i32,
    /// Command and arguments; empty where the image decides.
    pub container: ContainerConfig,
    /// Environment variables of the container.
    pub env: Vec<EnvironmentVariable>,
    /// Who may connect.
    pub access: AccessType,
    /// Name of the manager, if workspace or template name one.
    pub manager_ref: Option<String>,
}

/// The home directory of a workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Home {
    /// A disk that outlives the pod.
    Disk {
        /// Size of the claim.
        size: RawQuantity,
        /// Storage class; `None` is the cluster's default class.
        class: Option<String>,
        /// Where it is mounted.
        mount_path: String,
    },
    /// Space on the node that goes with the pod.
    Ephemeral {
        /// Most that it may hold.
        size_limit: RawQuantity,
        /// Where it is mounted.
        mount_path: String,
    },
}

impl Home {
    /// Where the home is mounted.
    pub fn mount_path(&self) -> &str {
        match self {
            Self::Disk { mount_path, .. } | Self::Ephemeral { mount_path, .. } => mount_path,
        }
    }
}

/// The effective values. `template` is the spec of the template that `spec` refers to, if it refers to one.
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
    Effective {
        image: settings.resolve_image(image).to_owned(),
        resources: resources::fill(
            spec.resources.as_ref(),
            template.and_then(|template| template.default_resources.as_ref()),
            &settings.default_resources,
            template.and_then(|template| template.resource_bounds.as_ref()),
        ),
        home: home(
            spec.storage.as_ref(),
            template.and_then(|template| template.primary_storage.as_ref()),
            settings,
        ),
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
        env: template
            .map(|template| template.environment_variables.clone())
            .unwrap_or_default(),
        access: spec
            .access_type
            .or_else(|| template?.default_access_type)
            .unwrap_or_default(),
        manager_ref: spec.manager_ref.clone().or_else(|| template?.manager_ref.clone()),
    }
}

fn home(given: Option<&Storage>, template: Option<&PrimaryStorage>, settings: &Settings) -> Home {
    let default = &settings.default_storage;
    if given.is_none() && template.is_none() {
        return Home::Ephemeral {
            size_limit: settings.ephemeral_home_size_limit.clone(),
            mount_path: default.mount_path.clone(),
        };
    }
    Home::Disk {
        size: given
            .and_then(|storage| storage.size.clone())
            .or_else(|| template?.default_size.clone())
            .unwrap_or_else(|| default.size.clone()),
        class: given
            .and_then(|storage| storage.storage_class_name.clone())
            .or_else(|| template?.default_storage_class_name.clone()),
        mount_path: given
            .and_then(|storage| storage.mount_path.clone())
            .or_else(|| template?.default_mount_path.clone())
            .unwrap_or_else(|| default.mount_path.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
            "primaryStorage": {
                "defaultSize": "3Gi", "defaultStorageClassName": "fast", "defaultMountPath": "/work"
            },
        }))
        .unwrap()
    }

    #[test]
    fn without_anything_the_installation_decides() {
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
        assert_eq!(
            effective.home,
            Home::Disk {
                size: RawQuantity("3Gi".into()),
                class: Some("fast".into()),
                mount_path: "/work".into()
            }
        );
    }

    #[test]
    fn the_workspace_wins_leaf_by_leaf() {
        let given = spec(json!({
            "displayName": "d",
            "image": "uv",
            "port": 9999,
            "accessType": "OwnerOnly",
            "managerRef": "mine",
            "containerConfig": {"command": ["mine"]},
            "storage": {"size": "4Gi"},
        }));
        let effective = effective(&given, Some(&template()), &settings());
        assert_eq!(effective.image, "r/jupyter:1");
        assert_eq!(effective.port, 9999);
        assert_eq!(effective.access, AccessType::OwnerOnly);
        assert_eq!(effective.manager_ref.as_deref(), Some("mine"));
        assert_eq!(
            effective.home,
            Home::Disk {
                size: RawQuantity("4Gi".into()),
                class: Some("fast".into()),
                mount_path: "/work".into()
            }
        );
    }

    #[test]
    fn a_command_of_ones_own_takes_no_arguments_from_the_template() {
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
                mount_path: "/home/jovyan".into()
            }
        );
    }

    #[test]
    fn effective_values_written_into_the_spec_are_effective_again() {
        for (given, template) in [
            (json!({"displayName": "d", "storage": {}}), None),
            (
                json!({"displayName": "d", "image": "uv", "resources": {"limits": {"cpu": "50m"}}}),
                Some(template()),
            ),
        ] {
            let once = effective(&spec(given), template.as_ref(), &settings());
            let Home::Disk {
                size,
                class,
                mount_path,
            } = once.home.clone()
            else {
                panic!("a disk was asked for");
            };
            let written = WorkspaceSpec {
                display_name: "d".into(),
                image: Some(once.image.clone()),
                resources: Some(once.resources.clone()),
                storage: Some(Storage {
                    storage_class_name: class,
                    size: Some(size),
                    mount_path: Some(mount_path),
                }),
                port: Some(once.port),
                container_config: Some(once.container.clone()),
                access_type: Some(once.access),
                manager_ref: once.manager_ref.clone(),
                ..Default::default()
            };
            assert_eq!(effective(&written, template.as_ref(), &settings()), once);
        }
    }
}

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
            spec.resources
                .as_ref()
                .unwrap_or(&ResourceRequirements::default()),
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

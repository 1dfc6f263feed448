//! Workspace and template -> their own values, without the installation's defaults (pure).
//!
//! The effective values do not show their source. A comparison of the inputs of two runs needs it.
//! A new setting of the installation is no change of the workspace.

use std::collections::BTreeMap;

use api::WorkspaceSpec;
use api::WorkspaceTemplateSpec;
use api::workspace::ResourceRequirements;
use k8s_openapi::api::core::v1::{self as core, EnvVar};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use super::defaults::Effective;
use crate::quantity::Quantity;
use crate::settings::Settings;

/// The values that a workspace and its template set, before the installation's defaults are added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// The choice of each option, also by default. None for a template without options.
    pub options: BTreeMap<String, String>,
    /// The image, with an alias as it was written; `None`: the installation's default image.
    pub image: Option<String>,
    /// Requests and limits by name, in canonical form, without filled-in values.
    pub resources: ResourceRequirements,
    /// Where the home is mounted; `None`: the installation's default.
    pub mount_path: Option<String>,
    /// Port of the application; `None`: the built-in port.
    pub port: Option<i32>,
    /// Environment variables, without those of the execution profile.
    pub env: Vec<EnvVar>,
    /// Images of the init containers in their order, with aliases as they were written.
    pub init_images: Vec<Option<String>>,
    /// Resources of the init containers in their order, as they were written.
    pub init_resources: Vec<Option<core::ResourceRequirements>>,
}

impl Given {
    /// What still counts in recovery.
    pub(crate) fn port_alone(&self) -> Self {
        Self {
            port: self.port,
            ..Self::default()
        }
    }

    pub(crate) fn from_specs(
        spec: &WorkspaceSpec,
        template: Option<&WorkspaceTemplateSpec>,
        effective: &Effective,
        settings: &Settings,
    ) -> Self {
        let named = spec
            .image
            .as_ref()
            .or_else(|| template.map(|template| &template.default_image));
        let storage = template.and_then(|template| template.primary_storage.as_ref());
        let mount_path = spec
            .storage
            .as_ref()
            .and_then(|storage| storage.mount_path.as_ref())
            .or_else(|| storage?.default_mount_path.as_ref());
        let init_containers = if spec.init_containers.is_empty() {
            template.map_or(&[][..], |template| &template.default_init_containers)
        } else {
            &spec.init_containers
        };
        let written = |raw: Option<&String>, effective: Option<&String>| {
            let alias = raw.filter(|raw| settings.image_aliases.contains_key(*raw));
            alias.or(effective).cloned()
        };
        Self {
            options: BTreeMap::new(),
            image: named.and_then(|named| written(Some(named), Some(&effective.image))),
            resources: requests(
                spec.resources.as_ref(),
                template.and_then(|template| template.default_resources.as_ref()),
            ),
            mount_path: mount_path.map(|_| effective.home.mount_path().to_owned()),
            port: spec.port.or_else(|| template?.default_port),
            env: effective.env.clone(),
            init_images: init_containers
                .iter()
                .zip(&effective.pod.init_containers)
                .map(|(raw, effective)| written(raw.image.as_ref(), effective.image.as_ref()))
                .collect(),
            init_resources: init_containers.iter().map(|raw| raw.resources.clone()).collect(),
        }
    }
}

/// Requests and limits of the workspace, else of the template, name by name.
fn requests(
    given: Option<&ResourceRequirements>,
    template: Option<&ResourceRequirements>,
) -> ResourceRequirements {
    let mut asked = template.cloned().unwrap_or_default();
    let given = given.cloned().unwrap_or_default();
    asked.requests.extend(given.requests);
    asked.limits.extend(given.limits);
    for value in asked.requests.values_mut().chain(asked.limits.values_mut()) {
        canonical(value);
    }
    asked
}

/// Writes a quantity in the canonical form of Kubernetes. An invalid quantity stays as it is.
pub(crate) fn canonical(raw: &mut RawQuantity) {
    if let Ok(value) = Quantity::try_from(&*raw) {
        *raw = value.to_raw();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::effective::effective;

    fn given(spec: Value, template: Option<Value>) -> Given {
        let settings =
            Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1, code: r/code:1}}").unwrap();
        let mut spec = spec;
        spec["displayName"] = json!("d");
        let spec: WorkspaceSpec = serde_json::from_value(spec).unwrap();
        let template: Option<WorkspaceTemplateSpec> =
            template.map(|template| serde_json::from_value(template).unwrap());
        let effective = effective(&spec, template.as_ref(), &settings);
        Given::from_specs(&spec, template.as_ref(), &effective, &settings)
    }

    #[test]
    fn what_workspace_or_template_name_is_given_and_aliases_stay_aliases() {
        let template = json!({
            "displayName": "t", "defaultImage": "code", "defaultPort": 9000,
            "defaultResources": {"requests": {"cpu": "200m", "memory": "1Gi"}},
            "primaryStorage": {"defaultMountPath": "/work"},
            "defaultInitContainers": [{"name": "a", "image": "uv"}, {"name": "b", "image": "x:1"}, {"name": "c"}],
        });
        let theirs = given(json!({}), Some(template.clone()));
        assert_eq!(theirs.image.as_deref(), Some("code"));
        assert_eq!(
            (theirs.port, theirs.mount_path.as_deref()),
            (Some(9000), Some("/work"))
        );
        let images: Vec<_> = theirs.init_images.iter().map(Option::as_deref).collect();
        assert_eq!(images, [Some("uv"), Some("x:1"), None]);
        let mine = json!({"image": "x:2", "port": 9001, "resources": {"requests": {"cpu": "1000m"}}});
        let mine = given(mine, Some(template));
        assert_eq!((mine.image.as_deref(), mine.port), (Some("x:2"), Some(9001)));
        assert_eq!(mine.resources.requests["cpu"].0, "1");
        assert_eq!(mine.resources.requests["memory"].0, "1Gi");
        assert!(mine.resources.limits.is_empty());
    }
}

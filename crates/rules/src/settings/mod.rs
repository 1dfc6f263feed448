//! Settings file (text from the caller) -> validated defaults of the operator (pure).
//!
//! - `mirrors`: registries that replace others
//! - `object_kinds`: kinds that may be routes, or objects of templates

pub(crate) mod mirrors;
mod object_kinds;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use api::workspace::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use serde::Deserialize;

pub use mirrors::ImageMirror;
pub use object_kinds::ObjectKind;

use crate::checks::{self, resources};
use crate::violation::{Violation, Violations};

/// The administrator's decisions for all workspaces of an installation. Operator and webhook read them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the settings file, and they are independent"
)]
pub struct Settings {
    /// Image or alias of workspaces where neither workspace nor template names one.
    pub default_image: String,
    /// Short names for images, for workspaces and templates. An alias never refers to another alias.
    #[serde(default)]
    pub image_aliases: BTreeMap<String, String>,
    /// Image or alias of workspaces in recovery, whatever images their templates allow: the installation's `JupyterLab`, or one upon it. It
    /// has the door, and runs with a read-only root file system. Default: none; no workspace starts in recovery.
    #[serde(default)]
    pub recovery_image: Option<String>,
    /// When nodes pull the images of workspaces. Default: `IfNotPresent`.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,
    /// Names of Secrets with registry credentials, in each workspace's namespace. Every workspace's pod has them, besides those of its
    /// execution profile. Default: none.
    #[serde(default)]
    pub image_pull_secrets: Vec<String>,
    /// Registries that stand in for others in the images of workspaces. Rules judge images as they are written; pods get the mirror.
    /// Not for workspaces whose execution profile has pull Secrets: those are for the registry as written. Default: none.
    #[serde(default)]
    pub image_mirrors: Vec<ImageMirror>,
    /// Secrets that templates may name in variables and volumes: names, or their beginnings followed by `*`. Default: all.
    #[serde(default = "all")]
    pub template_secrets: Vec<String>,
    /// Requests and limits that are filled in, name by name. Default: requests 100m and 128Mi, limits 1 and 1Gi.
    #[serde(default = "built_in_resources")]
    pub default_resources: ResourceRequirements,
    /// Defaults for a workspace's disk. Default: 10Gi at `/home/jovyan`.
    #[serde(default)]
    pub default_storage: DefaultStorage,
    /// User and groups of pods, where neither workspace nor template sets them. Default: 1000 for each.
    #[serde(default)]
    pub pod_security_context: PodIdentifiers,
    /// Size limit of homes without a disk. Default: 5Gi.
    #[serde(default = "built_in_ephemeral_size")]
    pub ephemeral_home_size_limit: RawQuantity,
    /// Seconds for which an unschedulable pod counts as starting, so that an autoscaler can add a node.
    /// After that the workspace has failed. Default: 300.
    #[serde(default = "built_in_unschedulable_grace")]
    pub unschedulable_grace_seconds: u32,
    /// Kinds that managers may use as routes (`routing.custom`). The operator needs permissions for them.
    /// Default: Ingress, Traefik's `IngressRoute` and Middleware, and the Gateway API's `HTTPRoute`.
    /// Kinds that run code, grant permissions or hold secrets are refused.
    #[serde(default = "object_kinds::built_in_routes")]
    pub route_kinds: Vec<ObjectKind>,
    /// Kinds that templates may use for further objects of a workspace (`objects`). The operator needs permissions for them. Default: none.
    /// Kinds that run code, grant permissions or hold secrets are refused, and those that may be routes.
    #[serde(default)]
    pub object_kinds: Vec<ObjectKind>,
    /// URL at which the gateway authorizes a request: `{authentication.address}` for managers with `routing.custom` and
    /// `authentication.gateway`.
    /// Default: none; such managers are then not ready.
    #[serde(default)]
    pub gateway_address: Option<String>,
    /// Name of the `WorkspaceManager` that the gateway serves. It serves exactly one. Empty: there is no gateway.
    /// Default: none; the gateway then serves the default manager. Other managers with `authentication.gateway` are not ready.
    #[serde(default)]
    pub gateway_manager: Option<String>,
    /// Name of the `WorkspaceManager` of workspaces that name none, whatever managers are annotated as the default one. For an installation
    /// in one namespace, beside which others have managers of their own. Default: none; the annotated manager.
    #[serde(default)]
    pub default_manager: Option<String>,
    /// Whether a webhook validates every Workspace before it is stored.
    /// Then the recorded owner is true, and the webhook has attested the references.
    /// Default: false; the chart, which installs the webhook, sets it.
    #[serde(default)]
    pub admission: bool,
    /// Whether workspaces may name Secrets where no webhook checks that their authors may read them.
    /// Every user who may write a Workspace can then read all Secrets of its namespace. Default: false.
    #[serde(default, rename = "allowUnvouchedReferences")]
    pub allow_unattested_references: bool,
    /// `PriorityClass` of the product's own pods. No execution profile may name it. Default: none.
    #[serde(default)]
    pub own_priority_class: Option<String>,
    /// Whether the operator deletes stopped workspaces after `limits.stoppedRetentionDays`. It needs the right to.
    /// Default: false; nothing is deleted, and no time of a deletion is announced.
    #[serde(default)]
    pub deletes_stopped: bool,
    /// Whether every workspace must name a template.
    /// A workspace without a template has no bounds and needs no `use` permission. Default: false.
    #[serde(default)]
    pub require_template: bool,
}

/// When nodes pull an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum ImagePullPolicy {
    /// Only if the node lacks the image.
    #[default]
    IfNotPresent,
    /// Never: every node already has the images.
    Never,
    /// At each start.
    Always,
}

impl fmt::Display for ImagePullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
            Self::Always => "Always",
        })
    }
}

/// Size and mount path of a disk.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DefaultStorage {
    /// Default: 10Gi.
    pub size: RawQuantity,
    /// Default: `/home/jovyan`.
    pub mount_path: String,
}

impl Default for DefaultStorage {
    fn default() -> Self {
        Self {
            size: RawQuantity("10Gi".into()),
            mount_path: "/home/jovyan".into(),
        }
    }
}

/// User and groups of a pod. One that is unset is chosen by the platform, or else by the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodIdentifiers {
    /// User of the processes.
    pub run_as_user: Option<i64>,
    /// Group of the processes.
    pub run_as_group: Option<i64>,
    /// Group of the disks.
    pub fs_group: Option<i64>,
}

impl Default for PodIdentifiers {
    /// The `jovyan` of Jupyter's images.
    fn default() -> Self {
        let jovyan = Some(1000);
        Self {
            run_as_user: jovyan,
            run_as_group: jovyan,
            fs_group: jovyan,
        }
    }
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

fn built_in_resources() -> ResourceRequirements {
    let map = |cpu: &str, memory: &str| {
        [("cpu", cpu), ("memory", memory)]
            .map(|(name, value)| (name.to_owned(), RawQuantity(value.to_owned())))
            .into()
    };
    ResourceRequirements {
        requests: map("100m", "128Mi"),
        limits: map("1", "1Gi"),
    }
}

fn built_in_ephemeral_size() -> RawQuantity {
    RawQuantity("5Gi".into())
}

fn built_in_unschedulable_grace() -> u32 {
    300
}

/// Why a settings file is refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The text is not YAML of the expected structure. The message names key and position.
    #[error("{0}")]
    Shape(#[from] serde_saphyr::Error),
    /// Values that break rules, all of them.
    #[error("{0}")]
    Values(Violations),
}

impl Settings {
    /// Parses and validates the text of a settings file.
    pub fn parse(yaml: &str) -> Result<Self, SettingsError> {
        let settings: Self = serde_saphyr::from_str(yaml)?;
        match Violations::from_list(settings.violations()) {
            None => Ok(settings),
            Some(violations) => Err(SettingsError::Values(violations)),
        }
    }

    /// The image of the alias `name`, or `name` itself if it is no alias.
    pub fn resolve_image<'a>(&'a self, name: &'a str) -> &'a str {
        self.image_aliases.get(name).map_or(name, String::as_str)
    }

    /// The reference by which nodes pull the image of this name or alias, where no execution profile has pull Secrets of its own.
    pub fn pull_reference(&self, name: &str) -> String {
        mirrors::mirror(self.resolve_image(name), &self.image_mirrors)
    }

    /// How long an unschedulable pod counts as starting.
    pub fn unschedulable_grace(&self) -> Duration {
        Duration::from_secs(self.unschedulable_grace_seconds.into())
    }

    fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        found.extend(object_kinds::violations(
            "routeKinds",
            "a route",
            &self.route_kinds,
        ));
        found.extend(object_kinds::violations(
            "objectKinds",
            "an object of a template",
            &self.object_kinds,
        ));
        found.extend(object_kinds::repeated([
            ("routeKinds", &self.route_kinds),
            ("objectKinds", &self.object_kinds),
        ]));
        found.extend(checks::image_syntax("defaultImage", &self.default_image));
        let recovery = self.recovery_image.iter();
        found.extend(recovery.filter_map(|image| checks::image_syntax("recoveryImage", image)));
        for (alias, image) in &self.image_aliases {
            let field = format!("imageAliases.{alias}");
            found.extend(checks::image_syntax(&field, image));
            if self.image_aliases.contains_key(image) {
                found.push(Violation::new(field, image, "is itself an alias: name an image"));
            }
        }
        for (index, secret) in self.image_pull_secrets.iter().enumerate() {
            let field = format!("imagePullSecrets[{index}]");
            found.extend(checks::syntax::object_name(field, secret, "Secret"));
        }
        found.extend(mirrors::violations("imageMirrors", &self.image_mirrors));
        found.extend(resources::shape("defaultResources", &self.default_resources));
        found.extend(checks::size("defaultStorage.size", &self.default_storage.size));
        found.extend(checks::mount_path(
            "defaultStorage.mountPath",
            &self.default_storage.mount_path,
        ));
        if self.pod_security_context.run_as_user == Some(0) {
            let rule =
                "is root, and pods run as another user unless their template allows root: set 1 or more";
            found.push(Violation::new("podSecurityContext.runAsUser", "0", rule));
        }
        found.extend(checks::size(
            "ephemeralHomeSizeLimit",
            &self.ephemeral_home_size_limit,
        ));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "
defaultImage: uv
imageAliases: {uv: localhost/jk8s-application-jupyter-uv:1}
imagePullPolicy: Never
defaultResources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 1, memory: 1Gi}}
defaultStorage: {size: 10Gi, mountPath: /home/jovyan}
ephemeralHomeSizeLimit: 5Gi
unschedulableGraceSeconds: 300
";

    #[test]
    fn the_full_file_is_read() {
        let settings = Settings::parse(FULL).unwrap();
        assert_eq!(settings.image_pull_policy, ImagePullPolicy::Never);
        assert_eq!(
            settings.resolve_image("uv"),
            "localhost/jk8s-application-jupyter-uv:1"
        );
        assert_eq!(settings.resolve_image("other"), "other");
        assert_eq!(settings.default_resources.limits["cpu"].0, "1");
    }

    #[test]
    fn only_the_image_has_no_default() {
        let settings = Settings::parse("defaultImage: i:1").unwrap();
        assert_eq!(settings.default_resources, built_in_resources());
        assert_eq!(settings.default_storage, DefaultStorage::default());
        assert_eq!(settings.ephemeral_home_size_limit.0, "5Gi");
        assert_eq!(settings.unschedulable_grace(), Duration::from_mins(5));
        assert!(
            Settings::parse("{}")
                .unwrap_err()
                .to_string()
                .contains("defaultImage")
        );
    }

    #[test]
    fn an_identifier_that_is_left_out_has_no_default() {
        let parse = |text: &str| Settings::parse(&format!("defaultImage: i\n{text}"));
        assert_eq!(parse("").unwrap().pod_security_context, PodIdentifiers::default());
        let given = parse("podSecurityContext: {runAsGroup: 0, fsGroup: null}").unwrap();
        let expected = PodIdentifiers {
            run_as_user: None,
            run_as_group: Some(0),
            fs_group: None,
        };
        assert_eq!(given.pod_security_context, expected);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (text, key) in [
            ("defaultImage: i\ndefaultImag: j", "defaultImag"),
            ("defaultImage: i\ndefaultStorage: {sise: 1Gi}", "sise"),
            ("defaultImage: i\nimagePullPolicy: Sometimes", "Sometimes"),
            (
                "defaultImage: i\npodSecurityContext: {runAsUsers: 1}",
                "runAsUsers",
            ),
            (
                "defaultImage: i\nimageMirrors: [{from: docker.io, mirror: r.example.com}]",
                "from",
            ),
        ] {
            let error = Settings::parse(text).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn every_bad_value_is_named_at_once() {
        let error = Settings::parse(
            "
defaultImage: ''
imageAliases: {a: b, b: 'c d'}
imagePullSecrets: [ok, Not_OK]
imageMirrors: [{source: docker.io, mirror: 'https://r.example.com'}]
defaultResources: {requests: {cpu: 2x}, limits: {memory: -1}}
defaultStorage: {size: 0, mountPath: home}
podSecurityContext: {runAsUser: 0}
ephemeralHomeSizeLimit: many
routeKinds: [{apiVersion: v1, kind: Secret}]
objectKinds: [{apiVersion: example.com/v1, kind: Widget}, {apiVersion: apps/v1, kind: Deployment}]
",
        )
        .unwrap_err()
        .to_string();
        for field in [
            "defaultImage",
            "imageAliases.a",
            "imageAliases.b",
            "imagePullSecrets[1]",
            "imageMirrors[0].mirror",
            "defaultResources.requests.cpu",
            "defaultResources.limits.memory",
            "defaultStorage.size",
            "defaultStorage.mountPath",
            "podSecurityContext.runAsUser",
            "ephemeralHomeSizeLimit",
            "routeKinds[0]",
            "objectKinds[1]",
        ] {
            assert!(
                error.contains(&format!("{field}: ")),
                "{field} is missing in: {error}"
            );
        }
    }
}

//! Workspace and template -> Secrets, ConfigMaps and claims that its author chose (pure).
//!
//! In a template, the author chose every name that would differ for another workspace of the same user.
//! Such a name depends on `spec.variables`, on the workspace's name, port and disks, or on values derived from these.
//! The template's author attests names that depend only on UID, namespace and installation.
//! The template's author also attests names that depend on the owner, if the owner is the requester, and texts of choices: among these a
//! workspace chooses, but its author writes none.

use std::collections::BTreeMap;

use api::manager::{Authentication, PathModeSharing, Routing, RoutingMode, WorkspaceManagerSpec};
use api::names::{CREATED_BY, HOME_VOLUME};
use api::{Workspace, WorkspaceManager, WorkspaceSpec, WorkspaceTemplate, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar};
use kube::ResourceExt as _;

use crate::effective::expand::with_variables;
use crate::effective::options::laid;
use crate::effective::variables::names_in;
use crate::settings::Settings;
use crate::violation::Violation;

/// Placeholder for a value that the author chooses. No object name and no key can contain it, so no author can choose the same.
const MARK: char = '\u{fffd}';

/// A kind of object whose content is visible in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// A PersistentVolumeClaim.
    Claim,
}

/// The part of an object that is visible in a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The whole Secret or ConfigMap.
    All,
    /// One key.
    Key(String),
    /// A folder of a claim; empty for the whole claim.
    Folder {
        /// Path relative to the claim's root.
        path: String,
        /// Whether the mount is read-only.
        read_only: bool,
    },
}

impl Part {
    /// Whether access to this part includes access to the other.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All | Self::Key(_)) => true,
            (Self::Key(own), Self::Key(other)) => own == other,
            (
                Self::Folder { path, read_only },
                Self::Folder {
                    path: other,
                    read_only: reads,
                },
            ) => (path.is_empty() || path == other) && (!read_only || *reads),
            _ => false,
        }
    }
}

/// The user who creates or changes the references of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceAuthor {
    /// The owner, who was not set by another user.
    Owner,
    /// Another user, or an unknown one. This user also chooses the owner of the workspace.
    Other,
}

/// An object that the author of a workspace chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its kind.
    pub resource: Resource,
    /// Its name.
    pub name: String,
    /// The visible part.
    pub part: Part,
    /// The field with the reference. For a reference in a template it is `spec.variables` if one of these is used, else
    /// `spec.templateRef`.
    pub field: String,
}

/// All objects that `requester` chooses in `workspace`: in its spec, and by values for variables of `template`.
/// `manager` is the manager of the workspace, if it exists.
///
/// # Errors
/// The choice cannot be determined. The caller must then refuse the request.
pub fn named_by_author(
    requester: ReferenceAuthor,
    workspace: &Workspace,
    template: Option<&WorkspaceTemplate>,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Result<Vec<Named>, Vec<Violation>> {
    let mut found = in_spec(&workspace.spec);
    if let Some(template) = template {
        found.extend(chosen_by_author(
            requester, workspace, template, manager, settings,
        )?);
    }
    Ok(found)
}

fn in_spec(spec: &WorkspaceSpec) -> Vec<Named> {
    let mut found = named_in_variables("spec.env", &spec.env);
    containers("spec.initContainers", &spec.init_containers, &mut found);
    if let Some(storage) = &spec.storage
        && let Some(name) = &storage.claim_name
    {
        found.push(folder(
            name,
            storage.sub_path.as_deref(),
            false,
            "spec.storage.claimName".to_owned(),
        ));
        found.extend(of_home(spec, name));
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        let field = format!("spec.volumes[{index}].persistentVolumeClaimName");
        found.push(folder(
            &volume.persistent_volume_claim_name,
            None,
            volume.read_only,
            field,
        ));
    }
    found
}

/// The parts of the home's claim that init containers see. Their own mounts may show other folders of it.
fn of_home<'a>(spec: &'a WorkspaceSpec, claim: &'a str) -> impl Iterator<Item = Named> + 'a {
    let containers = spec.init_containers.iter().enumerate();
    containers.flat_map(move |(number, container)| {
        let mounts = container.volume_mounts.iter().flatten().enumerate();
        mounts
            .filter(|(_, mount)| mount.name == HOME_VOLUME)
            .map(move |(index, mount)| {
                let field = format!("spec.initContainers[{number}].volumeMounts[{index}]");
                // The path that results from an expression is unknown here.
                let path = mount
                    .sub_path
                    .as_deref()
                    .filter(|_| mount.sub_path_expr.is_none());
                folder(claim, path, mount.read_only.unwrap_or_default(), field)
            })
    })
}

fn folder(claim: &str, path: Option<&str>, read_only: bool, field: String) -> Named {
    let part = Part::Folder {
        path: path.unwrap_or_default().to_owned(),
        read_only,
    };
    reference(Resource::Claim, claim, part, field)
}

fn containers(path: &str, containers: &[Container], found: &mut Vec<Named>) {
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{path}[{index}]");
        let variables = container.env.as_deref().unwrap_or_default();
        found.extend(named_in_variables(&format!("{at}.env"), variables));
        for (index, source) in container.env_from.iter().flatten().enumerate() {
            let at = format!("{at}.envFrom[{index}]");
            if let Some(secret) = &source.secret_ref {
                found.push(reference(
                    Resource::Secret,
                    &secret.name,
                    Part::All,
                    format!("{at}.secretRef.name"),
                ));
            }
            if let Some(map) = &source.config_map_ref {
                found.push(reference(
                    Resource::ConfigMap,
                    &map.name,
                    Part::All,
                    format!("{at}.configMapRef.name"),
                ));
            }
        }
    }
}

/// Secrets and ConfigMaps that the environment variables at `path` name.
pub fn named_in_variables(path: &str, variables: &[EnvVar]) -> Vec<Named> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let at = format!("{path}[{index}].valueFrom");
        if let Some(secret) = &source.secret_key_ref {
            found.push(reference(
                Resource::Secret,
                &secret.name,
                Part::Key(secret.key.clone()),
                format!("{at}.secretKeyRef.name"),
            ));
        }
        if let Some(map) = &source.config_map_key_ref {
            found.push(reference(
                Resource::ConfigMap,
                &map.name,
                Part::Key(map.key.clone()),
                format!("{at}.configMapKeyRef.name"),
            ));
        }
    }
    found
}

fn reference(resource: Resource, name: &str, part: Part, field: String) -> Named {
    Named {
        resource,
        name: name.to_owned(),
        part,
        field,
    }
}

fn in_template(spec: &WorkspaceTemplateSpec) -> Vec<Named> {
    let mut found = named_in_variables("spec.environmentVariables", &spec.environment_variables);
    containers(
        "spec.defaultInitContainers",
        &spec.default_init_containers,
        &mut found,
    );
    let disks = spec.default_volumes.iter().enumerate();
    found.extend(disks.map(|(index, disk)| {
        let name = &disk.persistent_volume_claim_name;
        let field = format!("spec.defaultVolumes[{index}].persistentVolumeClaimName");
        folder(name, None, disk.read_only, field)
    }));
    found
}

/// Objects in `template` whose name or key would differ if the author had chosen other values.
pub(super) fn chosen_by_author(
    requester: ReferenceAuthor,
    workspace: &Workspace,
    template: &WorkspaceTemplate,
    manager: Option<&WorkspaceManager>,
    settings: &Settings,
) -> Result<Vec<Named>, Vec<Violation>> {
    let written = in_template(&laid(workspace, template).template.spec);
    if !written.iter().any(|it| texts(it).any(|text| text.contains('{'))) {
        return Ok(Vec::new());
    }
    let expanded = |workspace: &Workspace, manager: Option<&WorkspaceManager>| {
        let laid = laid(workspace, template);
        with_variables(&laid.workspace, laid.template, manager, settings).map(|template| {
            let found = in_template(&template.spec).into_iter();
            found.map(|it| (it.field.clone(), it)).collect::<BTreeMap<_, _>>()
        })
    };
    let unknown = |rule: &str| vec![Violation::new("spec.templateRef", template.name_any(), rule)];
    let real = expanded(workspace, manager)?;
    let theirs = manager.map(|manager| match workspace.spec.manager_ref {
        Some(_) => other_manager(manager),
        None => manager.clone(),
    });
    let other = expanded(&another(requester, workspace), theirs.as_ref()).map_err(|_| {
        unknown(
            "names Secrets, ConfigMaps or claims by variables whose origin cannot be determined: choose another template, or \
             set spec.variables to simple values",
        )
    })?;
    if manager.is_none() && real != expanded(workspace, Some(&placeholder_manager()))? {
        return Err(unknown(
            "names Secrets, ConfigMaps or claims by values of the WorkspaceManager, which does not exist yet: create the WorkspaceManager first",
        ));
    }
    let given = &workspace.spec.variables;
    let is_given = |text: &str| {
        let names = names_in(text, &|name| given.contains_key(name));
        names.iter().any(|name| given.contains_key(*name))
    };
    let chosen = written.into_iter().filter_map(|written| {
        let found = real.get(&written.field)?;
        let by_variable = texts(&written).any(is_given);
        let field = if by_variable {
            "spec.variables"
        } else {
            "spec.templateRef"
        };
        (other.get(&written.field) != Some(found)).then(|| Named {
            field: field.to_owned(),
            ..found.clone()
        })
    });
    Ok(chosen.collect())
}

/// The texts of a reference that may contain variables.
fn texts(written: &Named) -> impl Iterator<Item = &str> {
    let key = match &written.part {
        Part::Key(key) => Some(key.as_str()),
        Part::All | Part::Folder { .. } => None,
    };
    [written.name.as_str()].into_iter().chain(key)
}

/// A copy of the workspace with another value for every variable that its author can influence.
fn another(requester: ReferenceAuthor, workspace: &Workspace) -> Workspace {
    let mut other = workspace.clone();
    other.metadata.name = Some(MARK.to_string());
    if requester == ReferenceAuthor::Other {
        let annotations = other.metadata.annotations.get_or_insert_default();
        // This differs from the name's placeholder, because both may be keys of one map.
        annotations.insert(CREATED_BY.to_owned(), format!("{MARK}owner"));
    }
    let spec = &mut other.spec;
    for (index, value) in spec.variables.values_mut().enumerate() {
        // The values differ, because they may be keys of one map.
        *value = format!("{MARK}{index}");
    }
    if let Some(claim) = spec
        .storage
        .as_mut()
        .and_then(|storage| storage.claim_name.as_mut())
    {
        *claim = format!("{MARK}home");
    }
    for (index, volume) in spec.volumes.iter_mut().enumerate() {
        volume.persistent_volume_claim_name = format!("{MARK}{index}");
    }
    spec.port = spec.port.map(|port| if port == 1024 { 1025 } else { 1024 });
    other
}

/// A manager whose values differ from those of any real manager.
fn placeholder_manager() -> WorkspaceManager {
    let spec = WorkspaceManagerSpec {
        routing: Routing {
            mode: RoutingMode::default(),
            path_mode_sharing: PathModeSharing::default(),
            base_domain: MARK.to_string(),
            port: Some(1),
            traefik: None,
            custom: None,
            external: None,
        },
        authentication: Authentication {
            gateway: None,
            forward_auth: None,
            none: None,
            application: None,
        },
        authorization: None,
        network_policy: None,
        remote_access: None,
    };
    WorkspaceManager::new("", spec)
}

/// Another manager with the same kind of configuration.
fn other_manager(manager: &WorkspaceManager) -> WorkspaceManager {
    let mut other = manager.clone();
    let routing = &mut other.spec.routing;
    routing.base_domain = MARK.to_string();
    routing.mode = match routing.mode {
        RoutingMode::Subdomain => RoutingMode::Path,
        RoutingMode::Path => RoutingMode::Subdomain,
    };
    routing.port = Some(if routing.external_port() == 1 { 2 } else { 1 });
    if let Some(service) = &mut other.spec.authentication.forward_auth {
        service.address = MARK.to_string();
        service.auth_response_headers = vec![MARK.to_string()];
        service.auth_request_headers = vec![MARK.to_string()];
    }
    other
}

#[cfg(test)]
mod tests;

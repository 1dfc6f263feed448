//! Objects -> all violations, each with field, value, rule and remedy (pure).
//!
//! Apart from the rules:
//!
//! - `claims`: the disk that a workspace has, compared with the one that it asks for
//!
//! By object:
//!
//! - `manager`, `profile`, `share`, `template`: rules that hold for any user of the object
//! - `volume_claims`: further disks that a template gives each workspace
//! - `pod_template`: the pod that a template's author wrote
//! - `size`: the size of any spec
//! - `unbounded`, `unattested`: a workspace without a template, and unattested references
//! - `named`: references that the author of a workspace chose
//!
//! By part of a workspace, also within its template's bounds:
//!
//! - `pod`: containers, mounts, scheduling, security contexts, metadata of the pod
//! - `requirements`: a template's requirements on labels and variables
//! - `image`, `variables`, `storage`: the image, `spec.variables`, the disk
//! - `idle`, `limits`, `minutes`: idle shutdown and time limits
//! - `custom`: fields that only some templates allow
//! - `identities`: users and groups of security contexts
//! - `recovery`: recovery mode

pub mod claims;
mod custom;
mod identities;
mod idle;
mod image;
mod limits;
mod manager;
mod minutes;
mod named;
mod pod;
mod pod_template;
mod profile;
mod recovery;
mod requirements;
mod share;
mod size;
mod storage;
mod template;
mod unattested;
mod unbounded;
mod variables;
mod volume_claims;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};
use kube::ResourceExt;

pub(crate) use idle::may_switch_idle_off;
pub use image::allowed_images;
pub use manager::manager;
pub use named::{Named, Part, ReferenceAuthor, Resource, named_by_author, named_in_variables};
pub use profile::profile;
pub use recovery::may_recover;
pub(crate) use recovery::violations as recovery;
pub use share::share;
pub use size::spec_size;
pub(crate) use template::expansion_violation;
pub use template::{no_manager, no_profile, presentation, template, template_advice};
pub use unattested::is_attested;
pub(crate) use unattested::violations as unattested;
pub use unbounded::without_template;

use self::pod::{annotations, mounts, parts, totals};
use crate::checks::{self, resources};
use crate::effective::Effective;
use crate::names;
use crate::settings::Settings;
use crate::violation::Violation;

/// The input of a workspace's validation.
pub(crate) struct Case<'a> {
    /// The workspace as it is stored, or as it will be.
    pub(crate) workspace: &'a Workspace,
    /// Its effective values.
    pub(crate) effective: &'a Effective,
    /// Its template with the workspace's variables replaced.
    pub(crate) template: Option<&'a WorkspaceTemplate>,
    /// Its template as it is stored.
    pub(crate) raw_template: Option<&'a WorkspaceTemplate>,
    /// Its execution profile.
    pub(crate) profile: Option<&'a WorkspaceExecutionProfile>,
    /// The settings of the installation.
    pub(crate) settings: &'a Settings,
}

/// All rules about the values of a workspace.
pub(crate) fn workspace(case: &Case<'_>) -> Vec<Violation> {
    let Case {
        workspace,
        effective,
        template,
        raw_template,
        profile,
        settings,
    } = *case;
    let given = &workspace.spec;
    let mut found: Vec<_> = spec_size(given).into_iter().collect();
    if let (Some(template), Some(raw)) = (template, raw_template) {
        found.extend(template::as_reference(template, raw, settings));
    }
    let bounds = template.map(|template| &template.spec);
    found.extend(image::workspace(given, effective, bounds, settings));
    found.extend(resources::workspace(
        given.resources.as_ref(),
        &effective.resources,
        bounds.and_then(|bounds| bounds.resource_bounds.as_ref()),
    ));
    found.extend(storage::workspace(given, &effective.home, bounds));
    found.extend(checks::port("spec.port", effective.port));
    let volumes = parts::volume_names(
        &effective.volumes,
        volume_claims::volume_names(&effective.volume_claims),
    );
    let has_patterns =
        bounds.is_some_and(|bounds| bounds.env_requirements.iter().any(|it| it.regex.is_some()));
    found.extend(parts::PodParts::of_workspace(given).faults(effective.pod_security, &volumes, has_patterns));
    found.extend(variables::names("spec.variables", &given.variables));
    found.extend(annotations::given(&given.pod_annotations));
    found.extend(together(case));
    if let Some(bounds) = bounds {
        found.extend(within(case, bounds));
    }
    found.extend(profile.and_then(|profile| profile::as_reference(profile, settings)));
    found
}

/// Rules about several parts of the effective workspace.
fn together(case: &Case<'_>) -> Vec<Violation> {
    let (given, effective) = (&case.workspace.spec, case.effective);
    let name = case.profile.map(ResourceExt::name_any).unwrap_or_default();
    let own_claim = names::child(&case.workspace.name_any());
    let mut found = mounts::Together {
        own_claim: &own_claim,
        home: &effective.home,
        volumes: &effective.volumes,
        volumes_given: !given.volumes.is_empty(),
        profile: case.profile.map(|profile| (name.as_str(), &profile.spec)),
        of_template: volume_claims::template_places(effective),
    }
    .clashes();
    let template = case.template.map(|template| &template.spec);
    found.extend(limits::unsaid_fates(case.workspace, effective, template));
    found.extend(pod_template::with_workspace(given, effective));
    found.extend(volume_claims::with_workspace(
        given,
        effective,
        &case.workspace.name_any(),
    ));
    if let Some(size) = &effective.shm_size {
        let most = case
            .template
            .and_then(|template| template.spec.max_shm_size.as_ref());
        let memory = effective.resources.limits.get("memory");
        found.extend(mounts::shm(mounts::OF_WORKSPACE, size, most, memory));
    }
    found
}

/// Rules that depend on the template.
fn within(case: &Case<'_>, bounds: &api::WorkspaceTemplateSpec) -> Vec<Violation> {
    let (given, effective) = (&case.workspace.spec, case.effective);
    let name = case.profile.map(ResourceExt::name_any).unwrap_or_default();
    let mut found = custom::violations(given, bounds);
    found.extend(identities::within(
        given,
        bounds,
        case.settings.pod_security_context,
    ));
    found.extend(annotations::within(given, bounds));
    found.extend(idle::within(given, effective.idle.as_ref(), bounds));
    found.extend(limits::within(given, effective.limits, bounds));
    found.extend(totals::beyond(
        (!given.init_containers.is_empty()).then_some("spec.initContainers"),
        &effective.resources,
        &effective.pod.init_containers,
        bounds.resource_bounds.as_ref(),
    ));
    if !given.init_containers.is_empty() {
        found.extend(totals::missing_limits(
            "spec.initContainers",
            &effective.pod.init_containers,
            bounds.resource_bounds.as_ref(),
        ));
    }
    found.extend(requirements::env(
        &bounds.env_requirements,
        &requirements::Environment {
            effective: &effective.env,
            given: &given.env,
            profile: case
                .profile
                .map(|profile| (name.as_str(), profile.spec.env.as_slice())),
        },
    ));
    for (index, container) in given.init_containers.iter().enumerate() {
        found.extend(requirements::init_env(
            &bounds.env_requirements,
            &format!("spec.initContainers[{index}]"),
            container.env.as_deref().unwrap_or_default(),
        ));
    }
    found.extend(requirements::labels(
        &bounds.label_requirements,
        case.workspace.labels(),
        &bounds.base_labels,
    ));
    found
}

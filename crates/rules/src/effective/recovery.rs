//! Effective values -> those with which the workspace runs in recovery (pure).
//!
//! What a user or a template set for the application may be what is broken, and the recovery image is not meant to have it. What belongs to
//! the place stays: disk, port, nodes, identities, the template's labels and annotations, time limits. Only owner and shares give access.

use api::template::PodTemplate;
use api::workspace::{AccessType, ContainerConfig, ResourceRequirements};
use api::{Workspace, WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1 as core;

use super::defaults::{Effective, annotations};
use super::home::Home;
use super::pod::PodFields;
use super::resources::fill;
use crate::checks;
use crate::quantity::Quantity;
use crate::settings::Settings;

/// Most that a workspace in recovery requests and may use. Limits that nobody sets are these.
const MOST: [(&str, Quantity); 2] = [("cpu", Quantity::units(1)), ("memory", Quantity::binary(2, 30))];
/// The folder of the home that is the disk.
const DISK: &str = "disk";

/// The path of the empty home: that of the installation, because the recovery image is the installation's.
pub(crate) fn home(settings: &Settings) -> String {
    checks::normal_path(&settings.default_storage.mount_path)
}

/// The image with which a workspace runs in recovery. `None`: it does not ask for that, or the installation has none.
pub(crate) fn image<'a>(workspace: &Workspace, settings: &'a Settings) -> Option<&'a str> {
    let image = settings.recovery_image.as_deref();
    image.filter(|_| workspace.spec.recovery_mode)
}

/// The values with which a workspace runs: in recovery, or those that it has otherwise.
pub(crate) fn or_ordinary(
    workspace: &Workspace,
    ordinary: Effective,
    template: Option<&WorkspaceTemplateSpec>,
    settings: &Settings,
) -> Effective {
    match image(workspace, settings) {
        Some(image) => values(ordinary, image, template, settings),
        None => ordinary,
    }
}

/// The values in recovery, with this image.
fn values(
    ordinary: Effective,
    image: &str,
    template: Option<&WorkspaceTemplateSpec>,
    settings: &Settings,
) -> Effective {
    let Effective {
        home: disk,
        port,
        pod,
        pod_security,
        base_labels,
        app_type,
        idle,
        limits,
        ownership,
        access: _,
        manager_ref,
        image: _,
        resources: _,
        shm_size: _,
        volumes: _,
        volume_claims: _,
        container: _,
        env: _,
        annotations: _,
        profile_ref: _,
    } = ordinary;
    Effective {
        image: settings.resolve_image(image).to_owned(),
        resources: resources(template, settings),
        home: at(disk, format!("{}/{DISK}", home(settings))),
        shm_size: None,
        volumes: Vec::new(),
        volume_claims: Vec::new(),
        port,
        container: ContainerConfig::default(),
        env: Vec::new(),
        pod: place(pod),
        pod_security,
        base_labels,
        annotations: annotations(&WorkspaceSpec::default(), template),
        app_type,
        idle,
        limits,
        ownership,
        // A terminal beside all files is more than what others were let in for.
        access: AccessType::OwnerOnly,
        manager_ref,
        profile_ref: None,
    }
}

/// What decides where and as whom the pod runs.
fn place(ordinary: PodFields) -> PodFields {
    let PodFields {
        node_selector,
        affinity,
        tolerations,
        user_namespace,
        pod_security_context,
        container_security_context,
        init_containers: _,
        lifecycle: _,
        readiness_probe: _,
        pod_template,
    } = ordinary;
    PodFields {
        init_containers: Vec::new(),
        lifecycle: None,
        readiness_probe: None,
        // Its labels and annotations, as those of the template itself.
        pod_template: pod_template.map(|template| PodTemplate {
            spec: None,
            ..template
        }),
        node_selector,
        affinity,
        tolerations,
        user_namespace,
        pod_security_context,
        // The recovery image is made for a read-only root file system, whatever the template's own image needs.
        container_security_context: container_security_context.map(|context| core::SecurityContext {
            read_only_root_filesystem: None,
            ..context
        }),
    }
}

/// Requests and limits of the template, else of the installation, without devices and within [`MOST`].
fn resources(template: Option<&WorkspaceTemplateSpec>, settings: &Settings) -> ResourceRequirements {
    let mut filled = fill(
        None,
        template.and_then(|template| template.default_resources.as_ref()),
        &settings.default_resources,
        template.and_then(|template| template.resource_bounds.as_ref()),
    );
    for amounts in [&mut filled.requests, &mut filled.limits] {
        amounts.retain(|name, _| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()));
    }
    for (name, most) in MOST {
        let limit = filled.limits.get(name).and_then(|it| Quantity::try_from(it).ok());
        let limit = limit.map_or(most, |limit| limit.min(most));
        filled.limits.insert(name.to_owned(), limit.to_raw());
        if let Some(request) = filled.requests.get_mut(name)
            && Quantity::try_from(&*request).is_ok_and(|request| request > limit)
        {
            *request = limit.to_raw();
        }
    }
    filled
}

/// The same disk at another path.
fn at(home: Home, mount_path: String) -> Home {
    match home {
        Home::Disk {
            size,
            class,
            sub_path,
            retain,
            mount_path: _,
        } => Home::Disk {
            size,
            class,
            mount_path,
            sub_path,
            retain,
        },
        Home::Claim {
            name,
            sub_path,
            mount_path: _,
        } => Home::Claim {
            name,
            mount_path,
            sub_path,
        },
        Home::Ephemeral {
            size_limit,
            mount_path: _,
        } => Home::Ephemeral {
            size_limit,
            mount_path,
        },
    }
}

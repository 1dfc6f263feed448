//! Validated workspace and its manager -> workspace that can be planned without errors (pure).

use std::collections::BTreeMap;
use std::time::Duration;

use api::manager::{NetworkPolicySettings, Routing};
use api::template::{Label, PodSecurity, VolumeClaim};
use api::workspace::{
    AccessType, ContainerConfig, Limits, OwnershipType, Resolved, ResolvedStorage, ResourceRequirements,
    SecondaryVolume,
};
use api::{Workspace, WorkspaceManager, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt as _;

use super::managers;
use super::references::References;
use crate::effective::idle::{self, Idle};
use crate::effective::profile::{self, ExecutionProfile};
use crate::effective::{Effective, Given, Home, PodFields, canonical, limits, merge};
use crate::effective::{recovery, service, volume_claims};
use crate::objects::Objects;
use crate::pod_security::labels;
use crate::routes::{self, Routes};
use crate::settings::{ImageMirror, ImagePullPolicy, Settings, mirrors};
use crate::violation::Violation;
use crate::{checks, keep, names};

/// A workspace that breaks no rule, with all values resolved. Only [`admit`](crate::admit) creates one.
/// So planning its children cannot fail.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ValidWorkspace {
    /// Namespace.
    pub namespace: String,
    /// Name: a DNS-1035 label of at most 50 characters.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Values that workspace and template set, before settings fill in the rest.
    pub given: Given,
    /// The time in the annotation `restarted-at`, if there is one.
    pub restarted_at: Option<String>,
    /// Kubernetes user name of the recorded owner; `None` if no owner is recorded.
    pub owner: Option<String>,
    /// Kubernetes user name of the last user who changed it, as recorded.
    pub last_updated_by: Option<String>,
    /// Whether another user set the owner, and so chose what runs in the owner's name.
    pub owner_is_assigned: bool,
    /// Image, with aliases resolved, as users, template or settings name it. [`Self::pull_reference`] says where nodes get it.
    pub image: String,
    /// When nodes pull the image.
    pub image_pull_policy: ImagePullPolicy,
    /// Pull Secrets of the installation.
    pub image_pull_secrets: Vec<String>,
    /// Mirrors of the installation.
    pub image_mirrors: Vec<ImageMirror>,
    /// All requests and limits, in the canonical form of Kubernetes.
    pub resources: ResourceRequirements,
    /// The home directory, with sizes in canonical form. In recovery it is in a folder of [`Self::recovery_home`].
    pub home: Home,
    /// Where the empty home is mounted in recovery; `None`: the workspace is not in recovery.
    pub recovery_home: Option<String>,
    /// Size of `/dev/shm`, in canonical form; `None` leaves it to the container runtime.
    pub shm_size: Option<RawQuantity>,
    /// Additional disks.
    pub volumes: Vec<SecondaryVolume>,
    /// Further disks of its own.
    pub volume_claims: Vec<VolumeClaim>,
    /// Port on which the application listens.
    pub port: u16,
    /// Command and arguments; empty where the image decides.
    pub container: ContainerConfig,
    /// Environment variables of the container. The profile overrides the workspace, which overrides the template.
    pub env: Vec<core::EnvVar>,
    /// All other fields of the pod.
    pub pod: PodFields,
    /// The Pod Security level that the pod meets.
    pub pod_security: PodSecurity,
    /// Labels of the pod, by its template.
    pub base_labels: Vec<Label>,
    /// Labels of the workspace that its template's requirements name: for the pod, where they win, and the disks.
    pub required_labels: BTreeMap<String, String>,
    /// Annotations of the pod, from template and workspace.
    pub annotations: BTreeMap<String, String>,
    /// Type of the application.
    pub app_type: Option<String>,
    /// The execution profile; `None`: the pod has none.
    pub profile: Option<ExecutionProfile>,
    /// When it is stopped for idleness; `None`: never.
    pub idle: Option<Idle>,
    /// Time limits.
    pub limits: Limits,
    /// How long users may keep it while it is not used.
    pub longest_keep: SignedDuration,
    /// Which users may change it.
    pub ownership: OwnershipType,
    /// Which users may connect.
    pub access: AccessType,
    /// Name of the `WorkspaceManager` that routes to the workspace.
    pub manager: String,
    /// Settings of the pod's network policy, from the manager.
    pub network_policy: NetworkPolicySettings,
    /// Whether the gateway authorizes each request and signs an assertion for the application.
    pub has_assertions: bool,
    /// Why the workspace cannot be reached, if no gateway serves its manager.
    pub not_served: Option<String>,
    /// UID of the applied `WorkspaceTemplate`, if one is named.
    pub template_uid: Option<String>,
    /// Path prefix of the application, without trailing `/`; `None` if the workspace has its own host.
    pub base_path: Option<String>,
    /// URL of the workspace as browsers see it; `None` if others route and its manager states none.
    pub url: Option<String>,
    /// How requests reach the workspace.
    pub routes: Routes,
    /// Further objects, from its template.
    pub objects: Objects,
    /// Whether it has a Service: routes are objects, or a text names one.
    pub has_service: bool,
}

/// What follows from the choices of a workspace.
pub(crate) struct Choices {
    /// Option -> choice.
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) objects: Objects,
}

/// Resolves a workspace that breaks no rule. `template`: with its choices and variables. It fails only for an
/// object that the API server never stored.
pub(crate) fn resolve(
    workspace: &Workspace,
    choices: Choices,
    effective: Effective,
    references: &References<'_>,
    template: Option<&WorkspaceTemplateSpec>,
    manager: &WorkspaceManager,
    settings: &Settings,
) -> Result<ValidWorkspace, Violation> {
    let namespace = stored("metadata.namespace", workspace.namespace())?;
    let uid = stored("metadata.uid", workspace.uid())?;
    let name = workspace.name_any();
    let (routes, url) =
        routes::render(workspace, &effective, manager, settings).map_err(|mut found| found.swap_remove(0))?;
    let mut given = Given::from_specs(&workspace.spec, template, &effective, settings);
    given.options = choices.options;
    let is_recovery = recovery::image(workspace, settings).is_some();
    if is_recovery {
        given = given.port_alone();
    }
    let Effective {
        image,
        mut resources,
        mut home,
        mut shm_size,
        volumes,
        volume_claims,
        port,
        container,
        env,
        mut pod,
        pod_security,
        base_labels,
        annotations,
        app_type,
        idle,
        limits,
        ownership,
        access,
        manager_ref: _,
        profile_ref: _,
    } = recovery::or_ordinary(workspace, effective, template, settings);
    volume_claims::name_claims(pod.pod_template.as_mut(), &volume_claims, &name);
    canonical_resources(&mut resources);
    shm_size.iter_mut().for_each(canonical);
    canonical_home(&mut home);
    let profile = references
        .profile
        .filter(|_| !is_recovery)
        .and_then(|found| profile::resolve(workspace, found).ok());
    let env = profile
        .as_ref()
        .map_or_else(|| env.clone(), |profile| merge(&env, &profile.spec.env));
    let routing = &manager.spec.routing;
    let base_path =
        Some(names::place(routing, &namespace, &name, &uid).1).filter(|folder| !folder.is_empty());
    let idle = idle::resolve(idle.as_ref()).map(|idle| below(idle, base_path.as_deref()));
    Ok(ValidWorkspace {
        recovery_home: is_recovery.then(|| recovery::home(settings)),
        base_path,
        url,
        routes,
        objects: choices.objects,
        has_service: service::is_used(workspace, references.template, references.profile, manager),
        image,
        image_pull_policy: settings.image_pull_policy,
        image_pull_secrets: settings.image_pull_secrets.clone(),
        image_mirrors: settings.image_mirrors.clone(),
        resources,
        home,
        shm_size,
        volumes,
        volume_claims,
        port: u16::try_from(port).map_err(|_| checks::port_violation("spec.port", port))?,
        container,
        env,
        pod,
        pod_security,
        base_labels,
        required_labels: required_labels(workspace, template),
        annotations,
        app_type,
        profile,
        idle,
        limits: Limits {
            stopped_retention_days: limits.stopped_retention_days.filter(|_| settings.deletes_stopped),
            ..limits
        },
        longest_keep: keep::longest(template),
        ownership,
        access: routed_access(routing, access),
        template_uid: references
            .template
            .map(|template| template.uid().unwrap_or_default()),
        network_policy: manager.spec.network_policy.clone().unwrap_or_default(),
        has_assertions: manager.spec.authentication.gateway.is_some(),
        manager: manager.name_any(),
        not_served: managers::not_served(manager, settings),
        restarted_at: workspace.annotations().get(api::names::RESTARTED_AT).cloned(),
        last_updated_by: workspace.annotations().get(api::names::LAST_UPDATED_BY).cloned(),
        given,
        owner: api::names::owner(&workspace.metadata).map(str::to_owned),
        owner_is_assigned: api::names::is_assigned(&workspace.metadata),
        namespace,
        name,
        uid,
    })
}

fn required_labels(
    workspace: &Workspace,
    template: Option<&WorkspaceTemplateSpec>,
) -> BTreeMap<String, String> {
    let requirements = template.iter().flat_map(|template| &template.label_requirements);
    let names = requirements
        .map(|it| &it.name)
        .filter(|name| labels::key("", name).is_none());
    let found = names.filter_map(|name| workspace.labels().get_key_value(name));
    found.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Which users may connect: the owner alone, where the manager shares no workspaces.
fn routed_access(routing: &Routing, access: AccessType) -> AccessType {
    if routing.disables_sharing() {
        AccessType::OwnerOnly
    } else {
        access
    }
}

/// Idle shutdown that asks the application below its path prefix.
fn below(idle: Idle, base_path: Option<&str>) -> Idle {
    Idle {
        question: idle.question.rebase("", base_path.unwrap_or_default()),
        ..idle
    }
}

/// A value that each object has that the API server has stored.
fn stored(field: &str, value: Option<String>) -> Result<String, Violation> {
    let value = value.filter(|value| !value.is_empty());
    value.ok_or_else(|| {
        Violation::new(
            field,
            "",
            "is missing: only an object that the API server has stored can run",
        )
    })
}

fn canonical_resources(resources: &mut ResourceRequirements) {
    let amounts = resources.requests.values_mut();
    amounts.chain(resources.limits.values_mut()).for_each(canonical);
}

fn canonical_home(home: &mut Home) {
    match home {
        Home::Disk { size, .. } => canonical(size),
        Home::Ephemeral { size_limit, .. } => canonical(size_limit),
        Home::Claim { .. } => {}
    }
}

impl ValidWorkspace {
    /// Name of every child.
    pub fn child_name(&self) -> String {
        names::child(&self.name)
    }

    /// Labels that select every child and pod; they never change.
    pub fn selector(&self) -> BTreeMap<String, String> {
        names::selector(&self.name)
    }

    /// Labels of the child with the role `component`.
    pub fn labels(&self, component: &str) -> BTreeMap<String, String> {
        names::labels(&self.name, component)
    }

    /// Requests and limits in the type of a container.
    pub fn container_resources(&self) -> core::ResourceRequirements {
        self.resources.clone().into()
    }

    /// The reference by which nodes pull an image of this workspace. With pull Secrets of its profile or template no mirror applies: the
    /// credentials are for the registry as written.
    pub fn pull_reference(&self, image: &str) -> String {
        let mirrors = if self.own_pull_secrets().next().is_none() {
            self.image_mirrors.as_slice()
        } else {
            &[]
        };
        mirrors::mirror(image, mirrors)
    }

    /// Names of the pod's pull Secrets: those of its profile and template, then those of the installation, each once.
    pub fn pull_secrets(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let shared = self.image_pull_secrets.iter().map(String::as_str);
        for name in self.own_pull_secrets().chain(shared) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn own_pull_secrets(&self) -> impl Iterator<Item = &str> {
        let profile = self.profile.iter();
        let secrets = profile.flat_map(|profile| &profile.spec.image_pull_secrets);
        let template = self.pod.pod_template.iter();
        let pod = template.filter_map(|template| template.spec.as_ref());
        let of_template = pod.flat_map(|pod| pod.image_pull_secrets.iter().flatten());
        let of_template = of_template.map(|secret| secret.name.as_str());
        secrets.map(|secret| secret.name.as_str()).chain(of_template)
    }

    /// Maximum time of a start; `None`: unlimited.
    pub fn start_timeout(&self) -> Option<Duration> {
        self.limits.start_timeout_minutes.map(limits::span)
    }

    /// The effective values for the status.
    pub fn resolved(&self) -> Resolved {
        let mut storage = ResolvedStorage {
            mount_path: self.home.mount_path().to_owned(),
            ..ResolvedStorage::default()
        };
        match &self.home {
            Home::Disk {
                size, class, retain, ..
            } => {
                storage.size = Some(size.clone());
                storage.class_name.clone_from(class);
                storage.retain = Some(*retain);
            }
            Home::Claim { name, .. } => storage.claim_name = Some(name.clone()),
            Home::Ephemeral { size_limit, .. } => {
                storage.size = Some(size_limit.clone());
                storage.ephemeral = true;
            }
        }
        Resolved {
            options: self.given.options.clone(),
            image: Some(self.pull_reference(&self.image)),
            resources: Some(self.resources.clone()),
            storage: Some(storage),
            execution_profile: self.profile.as_ref().map(|profile| profile.name.clone()),
            idle_timeout_in_minutes: self.idle.as_ref().map(|idle| idle.minutes),
            open_tab_minutes: self.idle.as_ref().map(|idle| idle.open_tab_minutes),
            start_timeout_minutes: self.limits.start_timeout_minutes,
            max_age_minutes: self.limits.max_age_minutes,
            failed_timeout_minutes: self.limits.failed_timeout_minutes,
            stopped_retention_days: self.limits.stopped_retention_days,
            ownership_type: Some(self.ownership),
            manager: Some(self.manager.clone()),
            access_type: Some(self.access),
            app_type: self.app_type.clone(),
            template_uid: self.template_uid.clone(),
        }
    }
}

//! Parts of a pod, from any author -> violations of each part on its own (pure).

use std::collections::BTreeMap;

use api::names::{HOME_VOLUME, SCRATCH_VOLUME, SHM_VOLUME};
use api::template::PodSecurity;
use api::workspace::{ContainerConfig, SecondaryVolume};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, Lifecycle, PodSecurityContext, Probe, SecurityContext, Toleration,
};

use super::{
    Author, affinity, affinity_scope, containers, env, hooks, identities, labels, mounts, pod_security,
};
use crate::checks;
use crate::violation::Violation;

/// Names of the application's ports.
const APPLICATION_PORTS: [&str; 1] = [api::names::APPLICATION_PORT];

/// A field's path and its value.
type Part<'a, T> = (&'static str, &'a T);

/// Fields of the pod that both workspace and template can set.
pub(in crate::validate) struct Parts<'a> {
    author: Author,
    container: Part<'a, Option<ContainerConfig>>,
    env: Part<'a, Vec<EnvVar>>,
    init_containers: Part<'a, Vec<Container>>,
    volumes: Part<'a, Vec<SecondaryVolume>>,
    lifecycle: Part<'a, Option<Lifecycle>>,
    readiness_probe: Part<'a, Option<Probe>>,
    node_selector: Part<'a, BTreeMap<String, String>>,
    affinity: Part<'a, Option<Affinity>>,
    tolerations: Part<'a, Vec<Toleration>>,
    pod_context: Part<'a, Option<PodSecurityContext>>,
    container_context: Part<'a, Option<SecurityContext>>,
}

impl<'a> Parts<'a> {
    pub(in crate::validate) fn of_workspace(spec: &'a WorkspaceSpec) -> Self {
        Self {
            author: Author::Workspace,
            container: ("spec.containerConfig", &spec.container_config),
            env: ("spec.env", &spec.env),
            init_containers: ("spec.initContainers", &spec.init_containers),
            volumes: ("spec.volumes", &spec.volumes),
            lifecycle: ("spec.lifecycle", &spec.lifecycle),
            readiness_probe: ("spec.readinessProbe", &spec.readiness_probe),
            node_selector: ("spec.nodeSelector", &spec.node_selector),
            affinity: ("spec.affinity", &spec.affinity),
            tolerations: ("spec.tolerations", &spec.tolerations),
            pod_context: ("spec.podSecurityContext", &spec.pod_security_context),
            container_context: ("spec.containerSecurityContext", &spec.container_security_context),
        }
    }

    pub(in crate::validate) fn of_template(spec: &'a WorkspaceTemplateSpec) -> Self {
        Self {
            author: Author::Administrator,
            container: ("spec.defaultContainerConfig", &spec.default_container_config),
            env: ("spec.environmentVariables", &spec.environment_variables),
            init_containers: ("spec.defaultInitContainers", &spec.default_init_containers),
            volumes: ("spec.defaultVolumes", &spec.default_volumes),
            lifecycle: ("spec.defaultLifecycle", &spec.default_lifecycle),
            readiness_probe: ("spec.defaultReadinessProbe", &spec.default_readiness_probe),
            node_selector: ("spec.defaultNodeSelector", &spec.default_node_selector),
            affinity: ("spec.defaultAffinity", &spec.default_affinity),
            tolerations: ("spec.defaultTolerations", &spec.default_tolerations),
            pod_context: (
                "spec.defaultPodSecurityContext",
                &spec.default_pod_security_context,
            ),
            container_context: (
                "spec.defaultContainerSecurityContext",
                &spec.default_container_security_context,
            ),
        }
    }

    /// All violations. `volumes` are the names of the pod's volumes.
    /// `has_patterns`: the template has patterns for environment variables, which the author must match.
    pub(in crate::validate) fn faults(
        &self,
        level: PodSecurity,
        volumes: &[&str],
        has_patterns: bool,
    ) -> Vec<Violation> {
        let site = containers::Site {
            author: self.author,
            level,
            volumes,
            has_patterns: has_patterns && self.author == Author::Workspace,
        };
        let mut found = env::shape(self.env.0, self.env.1, self.author);
        let (path, container) = self.container;
        found.extend(
            container
                .iter()
                .filter_map(|it| checks::command(&format!("{path}.command"), &it.command)),
        );
        found.extend(containers::init(
            self.init_containers.0,
            self.init_containers.1,
            &site,
        ));
        found.extend(mounts::volumes(self.volumes.0, self.volumes.1));
        let (path, hooks) = self.lifecycle;
        found.extend(
            hooks
                .iter()
                .flat_map(|hooks| hooks::lifecycle(path, hooks, &APPLICATION_PORTS)),
        );
        let (path, probe) = self.readiness_probe;
        found.extend(
            probe
                .iter()
                .flat_map(|probe| hooks::readiness(path, probe, &APPLICATION_PORTS)),
        );
        found.extend(labels::selector(self.node_selector.0, self.node_selector.1));
        let (path, affinity) = self.affinity;
        found.extend(affinity.iter().flat_map(|it| affinity::affinity(path, it)));
        if self.author == Author::Workspace {
            found.extend(
                affinity
                    .iter()
                    .flat_map(|it| affinity_scope::violations(path, it)),
            );
        }
        found.extend(labels::tolerations(self.tolerations.0, self.tolerations.1));
        let (path, context) = self.pod_context;
        if let Some(context) = context {
            found.extend(pod_security::pod(path, context, level));
            found.extend(identities::pod(path, context));
        }
        let (path, context) = self.container_context;
        if let Some(context) = context {
            found.extend(pod_security::container(path, context, level));
            found.extend(identities::container(path, context));
        }
        found
    }
}

/// Names of a pod's volumes: its home, the listed ones, and shared memory if it has a size.
pub(in crate::validate) fn volume_names(volumes: &[SecondaryVolume], has_shm: bool) -> Vec<&str> {
    let mut names = vec![HOME_VOLUME];
    names.extend(volumes.iter().map(|volume| volume.name.as_str()));
    names.extend(has_shm.then_some(SHM_VOLUME));
    names.push(SCRATCH_VOLUME);
    names
}

//! Parts of a pod, whoever wrote them -> what each breaks by itself (pure).

use std::collections::BTreeMap;

use api::names::{HOME_VOLUME, SCRATCH_VOLUME, SHM_VOLUME};
use api::template::PodSecurity;
use api::workspace::SecondaryVolume;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, Lifecycle, PodSecurityContext, Probe, SecurityContext, Toleration,
};

use super::{Author, containers, env, hooks, labels, mounts, pod_security};
use crate::violation::Violation;

/// A field's path and its value.
type Part<'a, T> = (&'static str, &'a T);

/// What a workspace and a template may both say about the pod.
pub(super) struct Parts<'a> {
    author: Author,
    env: Part<'a, Vec<EnvVar>>,
    init_containers: Part<'a, Vec<Container>>,
    volumes: Part<'a, Vec<SecondaryVolume>>,
    lifecycle: Part<'a, Option<Lifecycle>>,
    readiness_probe: Part<'a, Option<Probe>>,
    node_selector: Part<'a, BTreeMap<String, String>>,
    tolerations: Part<'a, Vec<Toleration>>,
    pod_context: Part<'a, Option<PodSecurityContext>>,
    container_context: Part<'a, Option<SecurityContext>>,
}

impl<'a> Parts<'a> {
    pub(super) fn of_workspace(spec: &'a WorkspaceSpec) -> Self {
        Self {
            author: Author::Workspace,
            env: ("spec.env", &spec.env),
            init_containers: ("spec.initContainers", &spec.init_containers),
            volumes: ("spec.volumes", &spec.volumes),
            lifecycle: ("spec.lifecycle", &spec.lifecycle),
            readiness_probe: ("spec.readinessProbe", &spec.readiness_probe),
            node_selector: ("spec.nodeSelector", &spec.node_selector),
            tolerations: ("spec.tolerations", &spec.tolerations),
            pod_context: ("spec.podSecurityContext", &spec.pod_security_context),
            container_context: ("spec.containerSecurityContext", &spec.container_security_context),
        }
    }

    pub(super) fn of_template(spec: &'a WorkspaceTemplateSpec) -> Self {
        Self {
            author: Author::Administrator,
            env: ("spec.environmentVariables", &spec.environment_variables),
            init_containers: ("spec.defaultInitContainers", &spec.default_init_containers),
            volumes: ("spec.defaultVolumes", &spec.default_volumes),
            lifecycle: ("spec.defaultLifecycle", &spec.default_lifecycle),
            readiness_probe: ("spec.defaultReadinessProbe", &spec.default_readiness_probe),
            node_selector: ("spec.defaultNodeSelector", &spec.default_node_selector),
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

    /// Every fault. `volumes` are the names of the pod's volumes, `has_patterns` tells whether the template has patterns for
    /// environment variables that its author has to keep to.
    pub(super) fn faults(&self, level: PodSecurity, volumes: &[&str], has_patterns: bool) -> Vec<Violation> {
        let site = containers::Site {
            author: self.author,
            level,
            volumes,
            has_patterns: has_patterns && self.author == Author::Workspace,
        };
        let mut found = env::shape(self.env.0, self.env.1, self.author);
        found.extend(containers::init(
            self.init_containers.0,
            self.init_containers.1,
            &site,
        ));
        found.extend(mounts::volumes(self.volumes.0, self.volumes.1));
        let (path, hooks) = self.lifecycle;
        found.extend(hooks.iter().flat_map(|hooks| hooks::lifecycle(path, hooks)));
        let (path, probe) = self.readiness_probe;
        found.extend(probe.iter().flat_map(|probe| hooks::readiness(path, probe)));
        found.extend(labels::selector(self.node_selector.0, self.node_selector.1));
        found.extend(labels::tolerations(self.tolerations.0, self.tolerations.1));
        let (path, context) = self.pod_context;
        found.extend(context.iter().flat_map(|it| pod_security::pod(path, it, level)));
        let (path, context) = self.container_context;
        found.extend(
            context
                .iter()
                .flat_map(|it| pod_security::container(path, it, level)),
        );
        found
    }
}

/// Names of the volumes that a pod has: its home, what is listed, and shared memory if it has a size.
pub(super) fn volume_names(volumes: &[SecondaryVolume], has_shm: bool) -> Vec<&str> {
    let mut names = vec![HOME_VOLUME];
    names.extend(volumes.iter().map(|volume| volume.name.as_str()));
    names.extend(has_shm.then_some(SHM_VOLUME));
    names.push(SCRATCH_VOLUME);
    names
}

//! Parts of a pod, from any author -> what each part may not have (pure).

use api::names::{HOME_VOLUME, SCRATCH_VOLUME, SHM_VOLUME};
use api::template::PodSecurity;
use api::workspace::SecondaryVolume;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, Lifecycle, PodSecurityContext, Probe, SecurityContext,
};

use super::{Author, affinity_scope, containers, env, mounts};
use crate::pod_security::{hooks, standards};
use crate::violation::Violation;

/// A field's path and its value.
type Part<'a, T> = (&'static str, &'a T);

/// Fields of the pod that both workspace and template can set.
pub(in crate::validate) struct PodParts<'a> {
    author: Author,
    env: Part<'a, Vec<EnvVar>>,
    init_containers: Part<'a, Vec<Container>>,
    volumes: Part<'a, Vec<SecondaryVolume>>,
    lifecycle: Part<'a, Option<Lifecycle>>,
    readiness_probe: Part<'a, Option<Probe>>,
    affinity: Part<'a, Option<Affinity>>,
    pod_context: Part<'a, Option<PodSecurityContext>>,
    container_context: Part<'a, Option<SecurityContext>>,
}

impl<'a> PodParts<'a> {
    pub(in crate::validate) fn of_workspace(spec: &'a WorkspaceSpec) -> Self {
        Self {
            author: Author::Workspace,
            env: ("spec.env", &spec.env),
            init_containers: ("spec.initContainers", &spec.init_containers),
            volumes: ("spec.volumes", &spec.volumes),
            lifecycle: ("spec.lifecycle", &spec.lifecycle),
            readiness_probe: ("spec.readinessProbe", &spec.readiness_probe),
            affinity: ("spec.affinity", &spec.affinity),
            pod_context: ("spec.podSecurityContext", &spec.pod_security_context),
            container_context: ("spec.containerSecurityContext", &spec.container_security_context),
        }
    }

    pub(in crate::validate) fn of_template(spec: &'a WorkspaceTemplateSpec) -> Self {
        Self {
            author: Author::Administrator,
            env: ("spec.environmentVariables", &spec.environment_variables),
            init_containers: ("spec.defaultInitContainers", &spec.default_init_containers),
            volumes: ("spec.defaultVolumes", &spec.default_volumes),
            lifecycle: ("spec.defaultLifecycle", &spec.default_lifecycle),
            readiness_probe: ("spec.defaultReadinessProbe", &spec.default_readiness_probe),
            affinity: ("spec.defaultAffinity", &spec.default_affinity),
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
        let pod = containers::PodFacts {
            author: self.author,
            level,
            volumes,
            has_patterns: has_patterns && self.author == Author::Workspace,
        };
        let mut found = env::shape(self.env.0, self.env.1, self.author);
        found.extend(containers::init(
            self.init_containers.0,
            self.init_containers.1,
            &pod,
        ));
        found.extend(mounts::volumes(self.volumes.0, self.volumes.1));
        let (path, hooks) = self.lifecycle;
        found.extend(
            hooks
                .iter()
                .flat_map(|hooks| hooks::lifecycle(path, hooks, level)),
        );
        let (path, probe) = self.readiness_probe;
        found.extend(probe.iter().flat_map(|probe| hooks::probe(path, probe, level)));
        let (path, affinity) = self.affinity;
        if self.author == Author::Workspace {
            found.extend(
                affinity
                    .iter()
                    .flat_map(|it| affinity_scope::violations(path, it)),
            );
        }
        let (path, context) = self.pod_context;
        if let Some(context) = context {
            found.extend(standards::pod_context(path, context, level));
        }
        let (path, context) = self.container_context;
        if let Some(context) = context {
            found.extend(standards::container_context(path, context, level));
        }
        found
    }
}

/// Names of a pod's volumes that an init container may mount: its home, the listed ones, `disks`, shared memory and scratch space.
pub(in crate::validate) fn volume_names<'a>(
    volumes: &'a [SecondaryVolume],
    disks: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut names = vec![HOME_VOLUME];
    names.extend(volumes.iter().map(|volume| volume.name.as_str()));
    names.extend(disks);
    names.extend([SHM_VOLUME, SCRATCH_VOLUME]);
    names
}

//! A pod, or the part of one in a template -> what breaks Pod Security or a bound of ours (pure).
//!
//! The gate of every pod that this product makes. Each rule about a finished pod is here alone: `validate` asks the same functions about
//! the fields of workspaces and templates, so that a message names the field that its reader wrote.
//!
//! - `standards`: the checks of the Pod Security Standards, as a table
//! - `contexts`: their checks of security contexts
//! - `hooks`: their check of hosts in probes and hooks
//! - `host`: their checks of what a pod shares with its node: namespaces, ports, volumes
//! - `bounds`: our own bounds of any pod, as a table
//! - `identity`: our bounds of service accounts and tokens
//! - `mounts`: our bounds of mounts
//! - `labels`: labels that are the operator's
//! - `faults`: where checks put what they find

pub(crate) mod bounds;
mod contexts;
mod faults;
pub(crate) mod hooks;
mod host;
mod identity;
pub(crate) mod labels;
pub(crate) mod mounts;
pub(crate) mod standards;

use api::template::PodSecurity;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::effective::profile::ExecutionProfile;
use crate::violation::Violation;

/// A pod, or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// What the paths of its fields begin with, such as `spec.podTemplate.`; empty for a finished pod.
    pub prefix: &'a str,
    /// Its labels and annotations.
    pub metadata: &'a ObjectMeta,
    /// Its spec.
    pub spec: &'a PodSpec,
}

/// How complete a pod is, and what it may have.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// A template's author wrote it. A generated pod is laid over it, and gives it identity, labels of ours, the application's container, and
    /// the security settings that are unset. So only what is set can break a rule.
    Template,
    /// It is about to be created.
    Finished(Grants<'a>),
}

/// What a finished pod may have because other objects give it.
#[derive(Clone, Copy, Debug)]
pub struct Grants<'a> {
    /// The execution profile, which gives service account and tokens.
    pub profile: Option<&'a ExecutionProfile>,
    /// Labels that network policies select, with the values that the pod must have. `None`: it must not have the label.
    pub policy_labels: &'a [(&'static str, Option<String>)],
}

/// A container or init container, and its path.
struct Placed<'a> {
    path: String,
    container: &'a Container,
}

/// A pod while it is judged.
struct Judged<'a> {
    pod: Pod<'a>,
    stage: Stage<'a>,
    init_containers: Vec<Placed<'a>>,
    containers: Vec<Placed<'a>>,
}

/// Everything that the pod breaks: of the Pod Security Standards at this level, and of our own bounds.
pub fn violations(pod: Pod<'_>, level: PodSecurity, stage: Stage<'_>) -> Vec<Violation> {
    let judged = Judged::new(pod, stage);
    let mut found = standards::violations(&judged, level);
    found.extend(bounds::violations(&judged));
    found
}

impl<'a> Judged<'a> {
    fn new(pod: Pod<'a>, stage: Stage<'a>) -> Self {
        let placed = |field: &str, containers: &'a [Container]| {
            let containers = containers.iter().enumerate();
            let path = |index| format!("{}spec.{field}[{index}]", pod.prefix);
            containers
                .map(|(index, container)| Placed {
                    path: path(index),
                    container,
                })
                .collect()
        };
        Self {
            init_containers: placed(
                "initContainers",
                pod.spec.init_containers.as_deref().unwrap_or_default(),
            ),
            containers: placed("containers", &pod.spec.containers),
            pod,
            stage,
        }
    }

    /// Init containers and containers.
    fn all_containers(&self) -> impl Iterator<Item = &Placed<'a>> {
        self.init_containers.iter().chain(&self.containers)
    }

    /// The path of a field of the spec.
    fn field(&self, name: &str) -> String {
        format!("{}spec.{name}", self.pod.prefix)
    }
}

#[cfg(test)]
mod tests;

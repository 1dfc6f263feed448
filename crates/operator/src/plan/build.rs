//! Planned children -> children as another build plans them (pure). This build changes nothing.
//!
//! A test checks that an upgrade restarts no workspace. It uses a second program, `examples/another_build.rs`, which plans differently.
//! No flag, variable or setting selects another build, and no image contains an example.

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::Plan;

/// The changes that a build makes to the plan.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Changes every child's metadata.
    pub meta: fn(&mut ObjectMeta),
    /// Changes the pod of a run and its record.
    pub pod: fn(&mut Pod),
}

impl Default for Build {
    fn default() -> Self {
        Self {
            meta: |_| {},
            pod: |_| {},
        }
    }
}

impl Build {
    pub(super) fn lasting(self, plan: &mut Plan) {
        let children = [
            plan.claim.as_mut().map(|it| &mut it.metadata),
            plan.service.as_mut().map(|it| &mut it.metadata),
            plan.account.as_mut().map(|it| &mut it.metadata),
        ];
        children.into_iter().flatten().for_each(self.meta);
    }

    pub(super) fn run(self, pod: &mut Pod) {
        (self.meta)(&mut pod.metadata);
        (self.pod)(pod);
    }
}

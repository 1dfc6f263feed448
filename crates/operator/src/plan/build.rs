//! Planned children -> children as another build plans them (pure). This build changes nothing.
//!
//! A test checks that an upgrade restarts no workspace. It uses a second program, `examples/another_build.rs`, which plans differently.
//! No flag, variable or setting selects another build, and no image contains an example.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::Plan;

/// The changes that a build makes to the plan.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Changes every child's metadata.
    pub meta: fn(&mut ObjectMeta),
    /// Changes the Deployment of a run: its pod template and its record.
    pub deployment: fn(&mut Deployment),
}

impl Default for Build {
    fn default() -> Self {
        Self {
            meta: |_| {},
            deployment: |_| {},
        }
    }
}

impl Build {
    pub(super) fn lasting(self, plan: &mut Plan) {
        (self.meta)(&mut plan.service.metadata);
        let others = [
            plan.claim.as_mut().map(|it| &mut it.metadata),
            plan.policy.as_mut().map(|it| &mut it.metadata),
            plan.account.as_mut().map(|it| &mut it.metadata),
        ];
        others.into_iter().flatten().for_each(self.meta);
    }

    pub(super) fn run(self, deployment: &mut Deployment) {
        (self.meta)(&mut deployment.metadata);
        (self.deployment)(deployment);
    }
}

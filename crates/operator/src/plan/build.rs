//! Planned children -> the same as another build would plan them (pure): this one changes nothing.
//!
//! That an upgrade restarts nobody is tested by a second program, `examples/another_build.rs`, which plans otherwise. No flag, no
//! variable and no setting leads here, and no image holds an example.

use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::Plan;

/// What a build makes otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    /// Of every child's metadata.
    pub meta: fn(&mut ObjectMeta),
    /// Of the Deployment of a run: its pod template and its record.
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

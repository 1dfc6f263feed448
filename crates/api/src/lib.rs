//! YAML of the custom resources -> their types, names and schemas (pure).
//!
//! This is the contract of `workspaces.jupyter.org/v1alpha1`. A field exists only when a component acts on it.
//! Bounds (lengths, item counts) are part of the schema: the API server refuses oversized objects before our code sees them.
//!
//! Modules from top to bottom. Each imports only from modules further down (`crates/xtask/tests/modules.rs`):
//!
//! - `response`: answers, without what is nested too deep to be read.
//! - `request`: requests with strict validation of fields; patches that start and stop.
//! - `fields`: fields of the specs, by what a change of each does.
//! - `gateway_session`: `GatewaySession`, one login session.
//! - `share`: `WorkspaceShare`, access of other users.
//! - `execution_profile`: `WorkspaceExecutionProfile`, the identity of a pod.
//! - `manager`: `WorkspaceManager`, routing and sign-in.
//! - `template`: `WorkspaceTemplate`, defaults and bounds.
//! - `workspace`: `Workspace`, one user's compute, disk and URL.
//! - `condition`: condition types and reasons.
//! - `schema`: schema fragments.
//! - `names`: API group, labels, annotations, finalizers and field managers.
//! - `lenient`: statuses of other versions.

#![expect(
    unreachable_pub,
    reason = "KubeSchema derives a second, local copy of each public type"
)]
#![allow(
    dead_code,
    reason = "the copies of statuses have functions where others have impls, and no code calls them"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "the lint takes the fields of several printer columns for one attribute's"
)]
#![allow(
    clippy::struct_excessive_bools,
    reason = "a template's switches are independent of each other"
)]

pub mod condition;
pub mod execution_profile;
pub mod fields;
mod gateway_session;
mod lenient;
pub mod manager;
pub mod names;
pub mod request;
pub mod response;
mod schema;
pub mod share;
pub mod template;
pub mod workspace;

pub use execution_profile::{WorkspaceExecutionProfile, WorkspaceExecutionProfileSpec};
pub use gateway_session::{GatewaySession, GatewaySessionSpec};
pub use manager::{WorkspaceManager, WorkspaceManagerSpec};
pub use schema::controls_display;
pub use share::{WorkspaceShare, WorkspaceShareSpec};
pub use template::{WorkspaceTemplate, WorkspaceTemplateSpec};
pub use workspace::{Workspace, WorkspaceSpec, WorkspaceStatus};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt as _, ResourceExt as _};

/// Every custom resource definition of the product, in the order in which they are installed.
pub fn crds() -> Vec<CustomResourceDefinition> {
    let mut crds = vec![
        Workspace::crd(),
        WorkspaceTemplate::crd(),
        WorkspaceManager::crd(),
        WorkspaceExecutionProfile::crd(),
        WorkspaceShare::crd(),
        GatewaySession::crd(),
    ];
    for crd in &mut crds {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        crd.annotations_mut()
            .insert(names::CRD_VERSION.to_owned(), version);
    }
    crds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crd_is_small_enough_for_client_side_apply() {
        for crd in crds() {
            let size = serde_json::to_string(&crd).unwrap().len();
            assert!(size < 200 * 1024, "{:?} has {size} bytes", crd.metadata.name);
        }
    }

    #[test]
    fn crd_names_are_the_documented_ones() {
        let names: Vec<_> = crds().into_iter().filter_map(|crd| crd.metadata.name).collect();
        assert_eq!(
            names,
            [
                "workspaces.workspaces.jupyter.org",
                "workspacetemplates.workspaces.jupyter.org",
                "workspacemanagers.workspaces.jupyter.org",
                "workspaceexecutionprofiles.workspaces.jupyter.org",
                "workspaceshares.workspaces.jupyter.org",
                "gatewaysessions.gateway.workspaces.jupyter.org",
            ]
        );
    }
}

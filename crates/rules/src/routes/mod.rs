//! A manager's manifests and a workspace -> route objects, or why there are none (pure).
//!
//! - `render`: the objects of one workspace
//! - `check`: violations in a manager, independent of workspaces
//! - `collisions`: names and paths that workspaces would share
//! - `manifest`: kind, name and variables of a manifest

mod check;
mod collisions;
mod manifest;
mod render;

use serde_json::{Map, Value};

pub use self::check::{check, kinds_of};
pub(crate) use self::render::of;
pub use crate::settings::RouteKind;
use crate::violation::Violations;

/// Path of the manifests in a manager.
const RESOURCES: &str = "spec.routing.custom.resources";
/// Path of the URL template in a manager.
const URL_TEMPLATE: &str = "spec.routing.custom.urlTemplate";

/// How requests reach a workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Routes {
    /// Through a proxy that gets its routes from the gateway: there are no objects.
    Fed,
    /// Through these objects, at least one.
    Objects(Vec<Route>),
    /// Unknown, because the manager has these violations. Existing routes stay as they are.
    Unknown(Violations),
}

/// One route object as the manager describes it, without namespace, owner and labels of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its kind, which the settings allow.
    pub kind: RouteKind,
    /// Its name, a DNS subdomain.
    pub name: String,
    /// Labels that the manager adds.
    pub labels: Map<String, Value>,
    /// Annotations that the manager adds.
    pub annotations: Map<String, Value>,
    /// All fields but `apiVersion`, `kind`, `metadata` and `status`.
    pub body: Map<String, Value>,
}

#[cfg(test)]
mod tests;

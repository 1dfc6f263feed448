//! A manager's manifests and a workspace -> the objects that route to it, or why there are none (pure).
//!
//! `kinds` says what may be a route at all, [`check`] what is wrong with a manager whoever uses it, and `render` makes one
//! workspace's objects.

mod check;
mod kinds;
mod namesakes;
mod render;

use serde_json::{Map, Value};

pub use self::check::{check, kinds_of};
pub use self::kinds::RouteKind;
pub(crate) use self::kinds::{built_in, violations as kind_violations};
pub(crate) use self::render::of;
use crate::violation::Violations;

/// Path of the manifests in a manager.
const RESOURCES: &str = "spec.routing.custom.resources";
/// Path of the URL template in a manager.
const URL_TEMPLATE: &str = "spec.routing.custom.urlTemplate";

/// How requests reach a workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Routes {
    /// By a proxy that asks the gateway: there are no objects.
    Fed,
    /// By these objects, at least one.
    Objects(Vec<Route>),
    /// Nobody can tell, because the manager breaks these rules. What was made before stays as it is.
    Unknown(Violations),
}

/// One object of a route, as the manager wants it. Namespace, owner and labels are not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Its kind: one that the settings allow.
    pub kind: RouteKind,
    /// Its name: a DNS subdomain.
    pub name: String,
    /// Labels that the manager adds.
    pub labels: Map<String, Value>,
    /// Annotations that the manager adds.
    pub annotations: Map<String, Value>,
    /// Everything but `apiVersion`, `kind`, `metadata` and `status`.
    pub body: Map<String, Value>,
}

#[cfg(test)]
mod tests;

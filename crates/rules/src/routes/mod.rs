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

use api::manager::Routing;
use serde_json::{Map, Value};

pub use self::check::{check, kinds_of};
pub(crate) use self::render::render;
pub use crate::settings::RouteKind;
use crate::violation::Violations;

/// Path of the manifests in a manager.
const RESOURCES: &str = "spec.routing.custom.resources";

/// The manager's URL template, and its path.
fn url_template(routing: &Routing) -> Option<(&'static str, &str)> {
    let custom = routing
        .custom
        .iter()
        .map(|it| ("spec.routing.custom.urlTemplate", &it.url_template));
    let external = routing
        .external
        .iter()
        .map(|it| ("spec.routing.external.urlTemplate", &it.url_template));
    custom
        .chain(external)
        .find_map(|(path, template)| Some((path, template.as_deref()?)))
}

/// How requests reach a workspace.
#[derive(Debug, Clone, PartialEq)]
pub enum Routes {
    /// Without objects: a proxy gets its routes from the gateway.
    NoObjects,
    /// Without objects: others route, such as a hub. The operator may not reach the pod.
    External,
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

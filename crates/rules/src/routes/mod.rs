//! A manager's manifests and a workspace -> route objects, or why there are none (pure).
//!
//! - `render`: the objects of one workspace
//! - `check`: violations in a manager, independent of workspaces
//! - `collisions`: names and paths that workspaces would share
//! - `scope`: the variables of manifests

mod check;
mod collisions;
mod render;
mod scope;

pub use self::check::{check, kinds_of};
pub(crate) use self::render::render;
use crate::objects::RenderedObject;
use crate::violation::Violations;
use api::manager::Routing;

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
    Objects(Vec<RenderedObject>),
    /// Unknown, because the manager has these violations. Existing routes stay as they are.
    Unknown(Violations),
}

#[cfg(test)]
mod tests;

//! Manifests of managers and templates -> objects of a workspace (pure).
//!
//! - `identity`: kind and name of a manifest, and whether two are one object
//! - `check`: violations of one manifest, whoever wrote it
//! - `render`: a manifest and variables -> the object of one workspace
//! - `of_template`: objects of a template: violations, and those of one workspace

mod check;
mod identity;
mod of_template;
mod render;

use serde_json::{Map, Value};

pub(crate) use check::{AllowList, depth as manifest_depth, each_text, name, shape};
pub use identity::kind_of;
pub(crate) use identity::{Described, Identity};
pub(crate) use of_template::render as render_template;
pub use of_template::{check as check_template, kinds_of, of_choices, unlisted_kinds};
pub(crate) use render::render;

pub use crate::settings::ObjectKind;
use crate::violation::Violations;

/// One object as a manifest describes it, without namespace, owner and labels of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedObject {
    /// Its kind, which the settings allow.
    pub kind: ObjectKind,
    /// Its name, a DNS subdomain.
    pub name: String,
    /// Labels that the manifest adds.
    pub labels: Map<String, Value>,
    /// Annotations that the manifest adds.
    pub annotations: Map<String, Value>,
    /// All fields but `apiVersion`, `kind`, `metadata` and `status`.
    pub body: Map<String, Value>,
}

impl RenderedObject {
    /// Which object it is.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            kind: self.kind.clone(),
            name: self.name.clone(),
        }
    }
}

/// Further objects of a workspace, from its template.
#[derive(Debug, Clone, PartialEq)]
pub enum Objects {
    /// Exactly these.
    These(Vec<RenderedObject>),
    /// Unknown, because the template has these violations. Existing objects stay as they are.
    Unknown(Violations),
}

impl Objects {
    /// No objects.
    pub(crate) fn none() -> Self {
        Self::These(Vec::new())
    }
}

#[cfg(test)]
mod naming_tests;
#[cfg(test)]
mod tests;

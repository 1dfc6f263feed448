//! Template, settings and workspace -> form; form values -> workspace (pure).
//!
//! - `model`: the parts of a form
//! - `fields`: the table of fields: path, label, unit, bound of the template
//! - `amounts`: template -> the bounds of one quantity
//! - `choices`: the values of choices
//! - `options`: the template's options, as fields and as a user chose them
//! - `values`: form values -> workspace, workspace -> form values
//!
//! A form has what most users set. The rest is written as YAML, and a form leaves it as it is. It decides nothing: the API server decides
//! when the workspace is sent.

mod amounts;
mod choices;
mod fields;
mod model;
mod options;
mod values;

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceTemplate};

use crate::settings::Settings;
use crate::violation::Violation;

pub use choices::image_name;
pub use model::{Change, Choice, Field, Form, ImageChoice, Kind, Scale, Values};
pub use options::{Chosen, choose, option_path};

/// Input of a form.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The template; `None`: a workspace without template.
    pub template: Option<&'a WorkspaceTemplate>,
    /// The settings of the installation.
    pub settings: &'a Settings,
    /// What is chosen of the template's options. What other fields offer depends on it.
    pub options: &'a BTreeMap<String, String>,
}

/// The result of reading form values. `workspace` has every value that could be read, also if others could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// The base with the changes.
    pub workspace: Workspace,
    /// Values of the controls: as stored where the user left them alone, else as they were typed.
    pub values: Values,
    /// Values that could not be read, by field path. Rules of the webhook are not checked here.
    pub errors: Vec<Violation>,
}

/// The form of a new workspace (`None`), or of an existing one.
pub fn form(offer: &Offer<'_>, workspace: Option<&Workspace>) -> Form {
    fields::form(offer, workspace)
}

/// The values of the form's controls for a workspace. Fields that it leaves unset are absent.
pub fn values(form: &Form, workspace: &Workspace) -> Values {
    values::values(form, workspace)
}

/// Values of the form's controls, as a browser sent them -> workspace. A control that is absent, or has the value that it showed of `base`,
/// keeps the value of `base`. An emptied one unsets the field, so that the template's default applies.
pub fn filled(form: &Form, sent: &Values, base: &Workspace) -> Filled {
    values::filled(form, sent, base)
}

/// Paths of the fields that `workspace` sets and that the form has no control for, such as `spec.affinity`. [`filled`] keeps them.
pub fn not_shown(form: &Form, workspace: &Workspace) -> Vec<String> {
    values::not_shown(form, workspace)
}

#[cfg(test)]
mod tests;

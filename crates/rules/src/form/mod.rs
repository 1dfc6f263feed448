//! Template, settings and workspace -> form; form values -> workspace (pure).
//!
//! - `model`: the parts of a form
//! - `build`: template, settings and workspace -> form
//! - `amounts`: the bounds of one quantity
//! - `choices`: the values of choices: images, profiles
//! - `changes`: whether a field may change, and when a change takes effect
//! - `values`: form values -> workspace, workspace -> form values
//! - `rows`: environment variables and further disks: rows of form values
//!
//! A form offers only what the rules admit. It decides nothing: the API server decides when the workspace is sent.

mod amounts;
mod build;
mod changes;
mod choices;
mod model;
mod rows;
mod values;

use api::{Workspace, WorkspaceExecutionProfile, WorkspaceTemplate};

use crate::settings::Settings;
use crate::violation::Violation;

pub use model::{
    Bound, By, Change, Choice, EnvRule, Field, Form, Group, ImageChoice, Kind, Scale, Source, Values,
};

/// Input of a form.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The template; `None`: a workspace without template.
    pub template: Option<&'a WorkspaceTemplate>,
    /// Execution profiles of the namespace that the user may use. Those that break a rule with this template are not offered.
    pub profiles: &'a [&'a WorkspaceExecutionProfile],
    /// The settings of the installation.
    pub settings: &'a Settings,
}

/// The result of reading form values. `workspace` has every value that could be read, also if others could not.
#[derive(Debug, Clone, PartialEq)]
pub struct Filled {
    /// The workspace to send. With a base: the base with the changes, `metadata.resourceVersion` included.
    pub workspace: Workspace,
    /// Values of the controls: as stored where the user left them alone, else as they were typed.
    pub values: Values,
    /// Values that could not be read, by field path. Rules of the webhook are not checked here.
    pub errors: Vec<Violation>,
}

/// The form of a new workspace (`None`), or of an existing one.
pub fn form(offer: &Offer<'_>, workspace: Option<&Workspace>) -> Form {
    build::form(offer, workspace)
}

/// The values of the form's controls for a workspace. Fields that it leaves unset are absent.
pub fn values(form: &Form, workspace: &Workspace) -> Values {
    values::values(form, workspace)
}

/// Values of the form's controls, as a browser sent them -> workspace. A control that is absent, or has the value that it showed of `base`,
/// keeps the value of `base`. An emptied one unsets the field, so that the template's default applies. Without `base` the workspace is a
/// new one.
pub fn filled(form: &Form, sent: &Values, base: Option<&Workspace>) -> Filled {
    values::filled(form, sent, base)
}

/// Whether a form that shows the values, and is sent as it is shown, gives them. If not, only [`filled`] with the base keeps them: a browser
/// drops line ends, and nobody types blanks at the ends.
pub fn are_sent_whole(values: &Values) -> bool {
    values::are_sent_whole(values)
}

/// Paths of the fields that `workspace` sets and that the form has no control for, such as `spec.affinity`. [`filled`] keeps them.
pub fn not_shown(form: &Form, workspace: &Workspace) -> Vec<String> {
    values::not_shown(form, workspace)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod untouched_tests;

//! Action -> page that asks before a delete, stop, restart or end of a share (pure).

use askama::Template;
use serde::Serialize;

use super::layout::Layout;
use super::text::filters;

/// A question. With scripts its part `#confirm` is shown as a dialog over the page that led here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/confirm.html")]
pub struct Confirm {
    /// What surrounds it; its title is the question.
    pub layout: Layout,
    /// Sentences; text between two backticks is shown as code.
    pub text: Vec<String>,
    /// What goes and what stays.
    pub consequences: Vec<Consequence>,
    /// Names of what it is done to, where they are several.
    pub names: Vec<String>,
    /// Where it goes, by POST.
    pub to: String,
    /// Hidden fields, such as `uid`, `resourceVersion`.
    pub hidden: Vec<(String, String)>,
    /// What must be typed, into the field `name`. Empty: nothing.
    pub typed: String,
    /// What was typed and is not it. Empty: nothing was.
    pub error: String,
    /// Such as `Delete workspace`.
    pub button: String,
    /// It deletes something.
    pub danger: bool,
    /// Where `Cancel` leads.
    pub cancel: String,
    /// The command that does it, where nothing can be changed here. Empty: the button.
    pub command: String,
}

/// What happens to something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Consequence {
    /// It is lost.
    pub lost: bool,
    /// Such as `Disk workspace-demo`.
    pub what: String,
    /// Such as `10 GiB, deleted with all files`.
    pub effect: String,
}

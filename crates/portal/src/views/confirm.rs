//! Action -> page that asks before a delete, stop, restart or end of a share (pure).

use askama::Template;
use serde::Serialize;

use super::layout::Layout;
use super::text::filters;

/// A question. With scripts its part `#confirm` is shown as a dialog over the page that led here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/confirm.html")]
pub(crate) struct Confirm {
    /// What surrounds it; its title is the question.
    pub(crate) layout: Layout,
    /// Sentences; text between two backticks is shown as code.
    pub(crate) text: Vec<String>,
    /// What goes and what stays.
    pub(crate) consequences: Vec<Consequence>,
    /// Names of what it is done to, where they are several.
    pub(crate) names: Vec<String>,
    /// Where it goes, by POST.
    pub(crate) to: String,
    /// Hidden fields, such as `uid`, `resourceVersion`.
    pub(crate) hidden: Vec<(String, String)>,
    /// What must be typed, into the field `name`. Empty: nothing.
    pub(crate) typed: String,
    /// What was typed and is not it. Empty: nothing was.
    pub(crate) error: String,
    /// Such as `Delete workspace`.
    pub(crate) button: String,
    /// It deletes something.
    pub(crate) danger: bool,
    /// Where `Cancel` leads.
    pub(crate) cancel: String,
    /// The command that does it, where nothing can be changed here. Empty: the button.
    pub(crate) command: String,
}

/// What happens to something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Consequence {
    /// It is lost.
    pub(crate) lost: bool,
    /// Such as `Disk workspace-demo`.
    pub(crate) what: String,
    /// Such as `10 GiB, deleted with all files`.
    pub(crate) effect: String,
}

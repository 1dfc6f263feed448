//! Error or other answer -> page with reason and next step (pure).

use askama::Template;
use serde::Serialize;

use super::layout::Layout;
use super::parts::{Action, Tone};
use super::text::filters;

/// An error, or another answer. Its title says what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "views/message.html")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Its colour.
    pub(crate) tone: Tone,
    /// Such as `Not found`. Empty: none.
    pub(crate) kind: String,
    /// Why; text between two backticks is shown as code.
    pub(crate) why: Vec<String>,
    /// In the words of the API server. Empty: it said nothing.
    pub(crate) server: String,
    /// What now; text between two backticks is shown as code.
    pub(crate) now: Vec<String>,
    /// What the reader typed, to copy. Empty: nothing.
    pub(crate) typed: String,
    /// Ways on.
    pub(crate) actions: Vec<Action>,
}

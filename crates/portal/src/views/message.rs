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
pub struct Message {
    /// What surrounds it.
    pub layout: Layout,
    /// Its colour.
    pub tone: Tone,
    /// Such as `Not found`. Empty: none.
    pub kind: String,
    /// Why; text between two backticks is shown as code.
    pub why: Vec<String>,
    /// In the words of the API server. Empty: it said nothing.
    pub server: String,
    /// What now; text between two backticks is shown as code.
    pub now: Vec<String>,
    /// What the reader typed, to copy. Empty: nothing.
    pub typed: String,
    /// Ways on.
    pub actions: Vec<Action>,
}

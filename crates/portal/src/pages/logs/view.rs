//! Output of a container -> its page (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Layout, Note, filters};

/// The page `…/logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/logs/logs.html")]
pub(crate) struct Logs {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Containers that can be chosen.
    pub(crate) containers: Vec<Container>,
    /// Value of the chosen one.
    pub(crate) container: String,
    /// The run before the present one is shown.
    pub(crate) previous: bool,
    /// Whether there was one.
    pub(crate) has_previous: bool,
    /// The last lines, each as [`crate::views::plain_log`] leaves it.
    pub(crate) lines: Vec<String>,
    /// What was left out, such as `Earlier lines are left out (5,000 are shown).` Empty: nothing.
    pub(crate) cut: String,
    /// Address of the stream of further lines (event `line`). Empty: there are no further lines.
    pub(crate) stream: String,
    /// Where the lines end: the stream takes it as `after`.
    pub(crate) last: String,
    /// Address of the text as a file. Empty: none.
    pub(crate) download: String,
    /// Address of this page, to read on without scripts.
    pub(crate) reload: String,
    /// In place of the lines: no right, no pod; what is known of the last end, whom to ask.
    pub(crate) absent: Option<Note>,
}

/// A container of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Container {
    /// Its name.
    pub(crate) name: String,
    /// Such as `workspace (running)`.
    pub(crate) label: String,
}

//! Output of a container -> its page (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Layout, Note, filters};

/// The page `…/logs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/logs/logs.html")]
pub struct Logs {
    /// What surrounds it.
    pub layout: Layout,
    /// Containers that can be chosen.
    pub containers: Vec<Container>,
    /// Value of the chosen one.
    pub container: String,
    /// The run before the present one is shown.
    pub previous: bool,
    /// Whether there was one.
    pub has_previous: bool,
    /// The last lines, each as [`crate::views::plain_log`] leaves it.
    pub lines: Vec<String>,
    /// What was left out, such as `Earlier lines are left out (5,000 are shown).` Empty: nothing.
    pub cut: String,
    /// Address of the stream of further lines (event `line`). Empty: there are no further lines.
    pub stream: String,
    /// Where the lines end: the stream takes it as `after`.
    pub last: String,
    /// Address of the text as a file. Empty: none.
    pub download: String,
    /// Address of this page, to read on without scripts.
    pub reload: String,
    /// In place of the lines: no right, no pod; what is known of the last end, whom to ask.
    pub absent: Option<Note>,
}

/// A container of the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Such as `workspace (running)`.
    pub label: String,
}

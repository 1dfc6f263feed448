//! Signed-in user -> page with names, commands and sign-out (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Layout, Moment, Note, filters};

/// The page `/account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/account/account.html")]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Name as Kubernetes has it.
    pub(crate) name: String,
    /// Groups as Kubernetes has them.
    pub(crate) groups: Vec<String>,
    /// When the session ends.
    pub(crate) session_end: Option<Moment>,
    /// Commands for kubectl, ssh and editors.
    pub(crate) commands: Vec<Command>,
    /// Namespaces whose workspaces the reader may list: name and address.
    pub(crate) namespaces: Vec<(String, String)>,
    /// Sign out.
    pub(crate) sign_out: Option<Action>,
    /// Something to say beside.
    pub(crate) note: Option<Note>,
}

/// A command to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Command {
    /// What it does.
    pub(crate) what: String,
    /// For a shell.
    pub(crate) command: String,
}

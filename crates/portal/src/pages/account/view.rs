//! Signed-in user -> page with names, commands and sign-out (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Layout, Moment, Note, filters};

/// The page `/account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/account/account.html")]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// What surrounds it.
    pub layout: Layout,
    /// Name as Kubernetes has it.
    pub name: String,
    /// Groups as Kubernetes has them.
    pub groups: Vec<String>,
    /// When the session ends.
    pub session_end: Option<Moment>,
    /// Commands for kubectl, ssh and editors.
    pub commands: Vec<Command>,
    /// Namespaces whose workspaces the reader may list: name and address.
    pub namespaces: Vec<(String, String)>,
    /// Sign out.
    pub sign_out: Option<Action>,
    /// Something to say beside.
    pub note: Option<Note>,
}

/// A command to copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Command {
    /// What it does.
    pub what: String,
    /// For a shell.
    pub command: String,
}

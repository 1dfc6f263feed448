//! Shares of a workspace -> their page (pure).

use askama::Template;
use serde::Serialize;

use super::form::Form;
use super::layout::Layout;
use super::parts::{Action, Moment, Note, State, part};
use super::text::filters;

/// The page `…/share`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "share.html")]
pub struct Shares {
    /// What surrounds it.
    pub layout: Layout,
    /// What there is.
    pub list: ShareList,
    /// The form of a new one: fields `kind`, `name`, `until` and `date`, `reason`. `None`: the reader may not.
    pub form: Option<Form>,
    /// What does not count, such as shares in mode Path.
    pub note: Option<Note>,
    /// The link to send. Empty: none.
    pub link: String,
}

/// The shares that there are (`id="shares"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "parts/shares.html")]
pub struct ShareList {
    /// In order of their ends.
    pub shares: Vec<Share>,
}

/// One share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Name of the object.
    pub name: String,
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Exact name as Kubernetes has it.
    pub with: String,
    /// `Active`, or not.
    pub state: State,
    /// Why not. Empty: it is.
    pub why: String,
    /// Its end.
    pub until: Option<Moment>,
    /// Reason for others. Empty: none.
    pub reason: String,
    /// Prolong, end.
    pub actions: Vec<Action>,
}

part!(ShareList);

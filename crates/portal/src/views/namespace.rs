//! Workspaces of a namespace -> their page, and the results of a stop of many (pure).

use askama::Template;
use serde::Serialize;

use super::form::Quotas;
use super::layout::Layout;
use super::list::{Bulk, Counts, Rows};
use super::parts::{Action, State, part};
use super::text::filters;

/// The page `/namespaces/<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "namespace.html")]
pub struct Namespace {
    /// What surrounds it.
    pub layout: Layout,
    /// Quotas.
    pub quotas: Option<Quotas>,
    /// Numbers of workspaces.
    pub counts: Counts,
    /// The rows.
    pub rows: Rows,
    /// Stop of several.
    pub bulk: Option<Bulk>,
    /// What can be done to all, such as `Stop all…`.
    pub actions: Actions,
}

/// What can be done to all workspaces of a page (`id="actions"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "parts/actions.html")]
pub struct Actions {
    /// In order.
    pub actions: Vec<Action>,
}

/// Progress of an action on many workspaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "bulk.html")]
pub struct BulkProgress {
    /// What surrounds it.
    pub layout: Layout,
    /// How far it is.
    pub result: BulkResults,
    /// Where it leads afterwards.
    pub back: Action,
}

/// How far it is (`id="bulk"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "parts/bulk.html")]
pub struct BulkResults {
    /// How many are done, well or not.
    pub done: usize,
    /// How many there are.
    pub total: usize,
    /// Such as `12 of 40 are stopped, 1 failed.`
    pub sentence: String,
    /// Failures first.
    pub results: Vec<BulkResult>,
    /// Ends it half way. `None`: it is over.
    pub end: Option<Action>,
}

/// What became of one workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BulkResult {
    /// Namespace and name.
    pub name: String,
    /// Address of its page.
    pub to: String,
    /// In words and sign.
    pub state: State,
    /// Why it failed. Empty: it did not.
    pub reason: String,
}

part!(BulkResults, Actions);

//! Results of a stop of many -> their page (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Layout, State, filters, part};

/// Progress of an action on many workspaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/stopping/stopping.html")]
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
#[template(path = "pages/stopping/results.html")]
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

part!(BulkResults);

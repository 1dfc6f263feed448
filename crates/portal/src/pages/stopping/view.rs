//! Results of a stop of many -> their page (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Layout, State, filters, part};

/// Progress of an action on many workspaces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/stopping/stopping.html")]
pub(crate) struct BulkProgress {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// How far it is.
    pub(crate) result: BulkResults,
    /// Where it leads afterwards.
    pub(crate) back: Action,
}

/// How far it is (`id="bulk"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/stopping/results.html")]
pub(crate) struct BulkResults {
    /// How many are done, well or not.
    pub(crate) done: usize,
    /// How many there are.
    pub(crate) total: usize,
    /// Such as `12 of 40 are stopped, 1 failed.`
    pub(crate) sentence: String,
    /// Failures first.
    pub(crate) results: Vec<BulkResult>,
    /// Ends it half way. `None`: it is over.
    pub(crate) end: Option<Action>,
}

/// What became of one workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BulkResult {
    /// Namespace and name.
    pub(crate) name: String,
    /// Address of its page.
    pub(crate) to: String,
    /// In words and sign.
    pub(crate) state: State,
    /// Why it failed. Empty: it did not.
    pub(crate) reason: String,
}

part!(BulkResults);

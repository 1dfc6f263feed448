//! Workspaces of a namespace -> their page (pure).

use askama::Template;
use serde::Serialize;

use crate::pages::form::view::Quotas;
use crate::pages::list::view::{Bulk, Counts, Rows};
use crate::views::{Action, Layout, filters, part};

/// The page `/namespaces/<name>`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/namespace/namespace.html")]
pub(crate) struct Namespace {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Quotas.
    pub(crate) quotas: Option<Quotas>,
    /// Numbers of workspaces.
    pub(crate) counts: Counts,
    /// The rows.
    pub(crate) rows: Rows,
    /// Stop of several.
    pub(crate) bulk: Option<Bulk>,
    /// What can be done to all, such as `Stop all…`.
    pub(crate) actions: Actions,
}

/// What can be done to all workspaces of a page (`id="actions"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/namespace/actions.html")]
pub(crate) struct Actions {
    /// In order.
    pub(crate) actions: Vec<Action>,
}

part!(Actions);

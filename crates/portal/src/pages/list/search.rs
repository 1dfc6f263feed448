//! The address of a list -> which workspaces it shows (pure).

use api::workspace::Phase;
use explain::progress;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::pages::summary;
use crate::visible::{AccessLevel, VisibleWorkspace};

/// Labels of the filter `state`, which name phases.
pub(in crate::pages) const STATES: [(&str, &str); 5] = [
    ("", "Any state"),
    ("running", "Running"),
    ("starting", "Starting"),
    ("stopped", "Stopped"),
    ("attention", "Needs attention"),
];

/// The address of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Search {
    /// Part of a name, display name or owner.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) q: String,
    /// `mine` or `shared`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) of: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) namespace: String,
    /// See [`STATES`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) template: String,
    /// Key of a column, with `-` before it for the largest first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::pages) sort: String,
    /// From 1.
    #[serde(skip_serializing_if = "is_first")]
    pub(in crate::pages) page: usize,
    /// `<namespace>/<name>` that was just deleted. Links of the page do not repeat it.
    #[serde(skip_serializing)]
    pub(in crate::pages) deleted: String,
    /// The namespace that the page is about; its name is in the path. Empty: the page is the list of all.
    #[serde(skip)]
    pub(in crate::pages) place: String,
    /// `owner`: a workspace was just handed over, and is on the list no more.
    #[serde(skip_serializing)]
    pub(in crate::pages) done: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_first(page: &usize) -> bool {
    *page <= 1
}

impl Search {
    /// The address of the list at `path`.
    pub(in crate::pages) fn address(&self, path: &str) -> String {
        let query = serde_urlencoded::to_string(self).unwrap_or_default();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }

    /// The order: a key of [`Search::sort`]. Empty: one's own first.
    pub(in crate::pages) fn order(&self) -> &str {
        match (&*self.sort, &*self.place) {
            ("", "") => "",
            ("", _) => "name",
            (sort, _) => sort,
        }
    }

    /// The address of the page.
    pub(in crate::pages) fn page_address(&self) -> String {
        self.address(&self.path())
    }

    /// Path of the page.
    pub(in crate::pages) fn path(&self) -> String {
        if self.place.is_empty() {
            "/".to_owned()
        } else {
            format!("/namespaces/{}", self.place)
        }
    }

    /// The address of the stream that keeps the page up to date.
    pub(in crate::pages) fn live_address(&self) -> String {
        let view = if self.place.is_empty() {
            "view=list".to_owned()
        } else {
            format!("view=namespace&in={}", self.place)
        };
        let address = self.address("/events");
        let mark = if address.contains('?') { '&' } else { '?' };
        format!("{address}{mark}{view}")
    }

    /// The same of one namespace.
    pub(in crate::pages) fn within(self, namespace: &str) -> Self {
        Self {
            place: namespace.to_owned(),
            ..self
        }
    }

    /// Whether the page may show the workspace, whatever is searched for.
    pub(in crate::pages) fn covers(&self, seen: &VisibleWorkspace) -> bool {
        self.place.is_empty() || seen.namespace() == self.place
    }

    pub(in crate::pages) fn has_filter(&self) -> bool {
        let Self {
            q,
            of,
            namespace,
            state,
            template,
            ..
        } = self;
        [q, of, namespace, state, template]
            .iter()
            .any(|it| !it.is_empty())
    }

    /// Whether the page shows a workspace.
    pub(in crate::pages) fn filter(&self) -> impl Fn(&VisibleWorkspace) -> bool {
        let wanted = self.q.trim().to_lowercase();
        move |seen| self.matches(seen, &wanted)
    }

    /// `wanted`: what is searched for, in lower case.
    fn matches(&self, seen: &VisibleWorkspace, wanted: &str) -> bool {
        let workspace = &*seen.workspace;
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let of = match &*self.of {
            "mine" => seen.level == AccessLevel::Owner,
            "shared" => seen.is_shared,
            _ => true,
        };
        // Guests learn neither the template nor what is wrong.
        let template = || workspace.spec.template_ref.as_deref().unwrap_or_default();
        self.covers(seen)
            && of
            && is(&self.namespace, seen.namespace())
            && (self.template.is_empty() || !seen.is_guest() && self.template == template())
            && (self.state.is_empty() || state_of(seen) == self.state)
            && finds(wanted, workspace)
    }
}

fn finds(wanted: &str, workspace: &api::Workspace) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let owner = api::names::owner(&workspace.metadata).unwrap_or_default();
    [&*workspace.name_any(), &*workspace.spec.display_name, owner]
        .iter()
        .any(|text| text.to_lowercase().contains(wanted))
}

/// The value of the filter `state` that finds the workspace.
pub(in crate::pages) fn state_of(seen: &VisibleWorkspace) -> &'static str {
    if !seen.is_guest() && summary::blocked_by(&seen.workspace).is_some() {
        return "attention";
    }
    match progress::phase(&seen.workspace) {
        Phase::Running => "running",
        Phase::Starting => "starting",
        Phase::Stopped | Phase::Stopping => "stopped",
        Phase::Failed | Phase::Invalid => "attention",
        Phase::Deleting => "",
    }
}

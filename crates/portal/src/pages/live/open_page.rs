//! Address of a stream -> the page that is open, when it is read again, and its parts as HTML (IO).

use std::collections::HashMap;
use std::time::Duration;

use api::Workspace;
use api::condition::{DEGRADED, holds};
use api::workspace::{DesiredStatus, Phase};
use askama::Template as _;
use explain::progress::phase;
use kube::api::ObjectMeta;
use serde::Deserialize;

use super::{INTERVAL, READ_PAUSE};
use crate::app::Context;
use crate::index::Index;
use crate::pages::form::view::Quotas;
use crate::pages::list::search::Search;
use crate::pages::list::{self, Page};
use crate::pages::may::May;
use crate::pages::{namespace, workspace};
use crate::visible::{AccessLevel, Visible, VisibleWorkspace};

/// Which page is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenPage {
    List(Search),
    Workspace { namespace: String, name: String },
}

#[derive(Debug, Deserialize)]
struct OfWorkspace {
    namespace: String,
    name: String,
}

impl OpenPage {
    pub(super) fn parse(query: &str) -> Option<Self> {
        let (view, rest) = split(query, "view")?;
        match &*view {
            "list" => serde_urlencoded::from_str(&rest).ok().map(Self::List),
            "namespace" => {
                // The list of one namespace.
                let (namespace, rest) = split(&rest, "in")?;
                let search: Search = serde_urlencoded::from_str(&rest).ok()?;
                (!namespace.is_empty()).then(|| Self::List(search.within(&namespace)))
            }
            "workspace" => {
                let OfWorkspace { namespace, name } = serde_urlencoded::from_str(&rest).ok()?;
                Some(Self::Workspace { namespace, name })
            }
            _ => None,
        }
    }

    /// Address of the page.
    pub(super) fn page(&self) -> String {
        match self {
            Self::List(search) => search.page_address(),
            Self::Workspace { namespace, name } => format!("/w/{namespace}/{name}"),
        }
    }

    /// The namespace that the page is about, if it is about one.
    pub(super) fn namespace(&self) -> Option<String> {
        match self {
            Self::List(search) => Some(search.place.clone()).filter(|place| !place.is_empty()),
            Self::Workspace { namespace, .. } => Some(namespace.clone()),
        }
    }

    /// Time until it is read again although nothing in memory changed, if it is; and shortest time between two reads.
    pub(super) fn pace(&self, index: &Index) -> (Option<Duration>, Duration) {
        match self {
            Self::List(_) => (Some(INTERVAL), Duration::ZERO),
            Self::Workspace { namespace, name } => {
                let workspace = index.workspace(namespace, name);
                (interval(workspace.as_deref()), READ_PAUSE)
            }
        }
    }

    /// Versions of the objects in memory that the page shows. `None`: any may matter.
    pub(super) fn versions(&self, index: &Index) -> Option<Vec<String>> {
        let Self::Workspace { namespace, name } = self else {
            return None;
        };
        let version = |metadata: &ObjectMeta| metadata.resource_version.clone().unwrap_or_default();
        let Some(workspace) = index.workspace(namespace, name) else {
            return Some(Vec::new());
        };
        let shares = index.shares_of(&workspace);
        let mut versions: Vec<_> = shares.iter().map(|share| version(&share.metadata)).collect();
        versions.sort();
        versions.push(version(&workspace.metadata));
        versions.extend(
            index
                .manager_of(&workspace)
                .map(|manager| version(&manager.metadata)),
        );
        Some(versions)
    }
}

/// How often the page of the workspace is read again. `None`: not on this stream, because the workspace is as its owner wants it.
fn interval(workspace: Option<&Workspace>) -> Option<Duration> {
    let is_calm = |workspace: &&Workspace| {
        let status = workspace.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        let conditions = status.map(|status| &*status.conditions);
        observed == workspace.metadata.generation
            && !holds(conditions.unwrap_or_default(), DEGRADED)
            && matches!(
                (phase(workspace), workspace.spec.desired_status),
                (Phase::Running, DesiredStatus::Running) | (Phase::Stopped, DesiredStatus::Stopped)
            )
    };
    match workspace.filter(is_calm) {
        Some(_) => None,
        None => Some(INTERVAL),
    }
}

/// The parameter of this name, and the query without it.
fn split(query: &str, name: &str) -> Option<(String, String)> {
    let mut pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    let at = pairs.iter().position(|(own, _)| own == name)?;
    let (_, value) = pairs.remove(at);
    Some((value, serde_urlencoded::to_string(pairs).ok()?))
}

/// What the page about a namespace shows beside its rows.
pub(super) type Beside = (May, Option<Quotas>);

/// What an open page shows.
#[derive(Default)]
pub(super) struct PageParts {
    /// Its parts by their ids.
    pub(super) parts: Vec<(&'static str, String)>,
    /// State of the user's own workspaces by UID, in a sentence.
    pub(super) own: HashMap<String, String>,
}

impl PageParts {
    pub(super) fn list(
        context: &Context,
        search: &Search,
        visible: &Visible,
        page: &Page<'_>,
        beside: Option<Beside>,
    ) -> askama::Result<Self> {
        let rows = list::rows(context, search, visible, page);
        let counts = list::counts(search, &visible.workspaces);
        let mut parts = vec![("rows", rows.render()?), ("counts", counts.render()?)];
        if let Some((may, quotas)) = beside {
            let actions = namespace::stop_all(context, search, visible, may);
            parts.push(("actions", actions.render()?));
            if let Some(quotas) = quotas {
                parts.push(("quotas", quotas.render()?));
            }
        }
        let own = rows.rows.iter().filter(|row| row.owner.is_empty());
        let own = own.map(|row| (row.uid.clone(), format!("{}: {}.", row.display, row.state.word)));
        Ok(Self {
            parts,
            own: own.collect(),
        })
    }

    pub(super) async fn workspace(context: &Context, seen: &VisibleWorkspace) -> askama::Result<Self> {
        let view = workspace::view(context, seen).await;
        let mut parts = vec![
            ("head", view.head.render()?),
            ("explanation", view.explanation.render()?),
            ("progress", view.progress.render()?),
            ("pending", view.pending.render()?),
        ];
        let optional = [
            ("facts", view.facts.map(|part| part.render())),
            ("usage", view.usage.map(|part| part.render())),
            ("access", view.access.map(|part| part.render())),
            ("events", view.events.map(|part| part.render())),
        ];
        for (id, part) in optional {
            if let Some(html) = part.transpose()? {
                parts.push((id, html));
            }
        }
        let uid = seen.workspace.metadata.uid.clone().unwrap_or_default();
        let text = format!("{}: {}.", seen.workspace.spec.display_name, view.head.state.word);
        let own = (seen.level == AccessLevel::Owner).then_some((uid, text));
        Ok(Self {
            parts,
            own: own.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_workspace_as_its_owner_wants_it_is_read_less_often() {
        let interval = |wanted: &str, phase: &str, observed: i64| {
            let workspace = json!({
                "metadata": {"name": "lab", "generation": 2},
                "spec": {"displayName": "lab", "desiredStatus": wanted},
                "status": {"phase": phase, "observedGeneration": observed},
            });
            interval(Some(&serde_json::from_value(workspace).unwrap()))
        };
        assert_eq!(interval("Running", "Running", 2), None);
        assert_eq!(interval("Stopped", "Stopped", 2), None);
        for (wanted, phase) in [
            ("Running", "Starting"),
            ("Running", "Stopped"),
            ("Running", "Failed"),
            ("Running", "Invalid"),
            ("Stopped", "Running"),
            ("Stopped", "Stopping"),
            ("Stopped", "Deleting"),
        ] {
            assert_eq!(interval(wanted, phase, 2), Some(INTERVAL), "{wanted} {phase}");
        }
        let degraded = json!({
            "metadata": {"name": "lab"}, "spec": {"displayName": "lab"},
            "status": {"phase": "Running", "conditions": [{
                "type": "Degraded", "status": "True", "reason": "CrashLooping", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        });
        let degraded = serde_json::from_value(degraded).unwrap();
        assert_eq!(super::interval(Some(&degraded)), Some(INTERVAL));
        assert_eq!(
            interval("Running", "Running", 1),
            Some(INTERVAL),
            "a change is not applied yet"
        );
        assert_eq!(super::interval(None), Some(INTERVAL));
    }

    #[test]
    fn the_address_says_which_page_is_open() {
        let parsed = OpenPage::parse("q=x&page=2&view=list");
        let search = Search {
            q: "x".to_owned(),
            page: 2,
            ..Search::default()
        };
        assert_eq!(parsed, Some(OpenPage::List(search)));
        assert_eq!(
            OpenPage::parse("view=workspace&namespace=team&name=lab"),
            Some(OpenPage::Workspace {
                namespace: "team".to_owned(),
                name: "lab".to_owned(),
            })
        );
        let of_team = Search::default().within("team");
        assert_eq!(
            OpenPage::parse("view=namespace&in=team"),
            Some(OpenPage::List(of_team))
        );
        for wrong in [
            "",
            "view=other",
            "view=namespace",
            "view=workspace&name=lab",
            "view=list&what=1",
        ] {
            assert_eq!(OpenPage::parse(wrong), None, "{wrong}");
        }
    }
}

//! A page -> its parts as HTML, each with its id.

use std::collections::HashMap;

use askama::Template as _;

use crate::app::Context;
use crate::pages::list::{self, Page};
use crate::pages::may::May;
use crate::pages::search::Search;
use crate::pages::{namespace, workspace};
use crate::views::Quotas;
use crate::visible::{AccessLevel, Visible, VisibleWorkspace};

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

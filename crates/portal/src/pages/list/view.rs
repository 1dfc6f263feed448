//! Workspaces -> rows, search, filters, sort order and counts of the list (pure).

use api::names::owner;
use askama::Template;
use kube::ResourceExt as _;
use serde::Serialize;

use crate::app::Context;
use crate::pages::may::May;
use crate::pages::summary;
use crate::pages::words::{short, short_of};
use crate::views::{Action, Empty, Icon, Layout, Menu, Moment, State, Way, filters, part};
use crate::visible::{AccessLevel, VisibleWorkspace};

/// The page `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/list.html")]
#[serde(rename_all = "camelCase")]
pub struct List {
    /// What surrounds it.
    pub layout: Layout,
    /// Text of the search field.
    pub search: String,
    /// Filters beside the search field.
    pub filters: Vec<Select>,
    /// Parts of the address that a search keeps, such as the sort.
    pub keep: Vec<(String, String)>,
    /// Address without search and filters. Empty: there are none to clear.
    pub clear: String,
    /// Numbers of workspaces, each a filter.
    pub counts: Counts,
    /// The rows.
    pub rows: Rows,
    /// Stop of several. `None`: the user may not, or there are no scripts of ours for it.
    pub bulk: Option<Bulk>,
}

/// A filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Select {
    /// Name in the address.
    pub name: String,
    /// Such as `State`.
    pub label: String,
    /// Value and text; the value of `any` is empty.
    pub options: Vec<(String, String)>,
    /// The chosen value.
    pub value: String,
}

/// Numbers of workspaces (`id="counts"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "counts")]
pub struct Counts {
    /// In order.
    pub counts: Vec<Count>,
}

impl Counts {
    /// Of the largest number: each has that much room, so that a change does not move the others.
    fn digits(&self) -> usize {
        let most = self.counts.iter().map(|count| count.count).max();
        most.unwrap_or_default().to_string().len()
    }
}

/// A number of workspaces that is a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Such as `Running`.
    pub label: String,
    /// How many.
    pub count: usize,
    /// Address of the list of these.
    pub to: String,
    /// The list shows these.
    pub current: bool,
}

/// The table with its caption and pages (`id="rows"`). A stream sends it whole where rows come, go or move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "rows")]
#[serde(rename_all = "camelCase")]
pub struct Rows {
    /// Such as `Your workspaces`.
    pub caption: String,
    /// Sort of the columns: name, state, image, times.
    pub columns: [Column; 4],
    /// The rows of this page.
    pub rows: Vec<Row>,
    /// In place of the table.
    pub empty: Option<Empty>,
    /// Shown large: the only workspace that there is.
    pub single: bool,
    /// There is a column of boxes; the page must have a [`Bulk`], and each row a `select`.
    pub select: bool,
    /// Other pages.
    pub pages: Pages,
    /// What is not known yet, such as rights in further namespaces. Empty: everything is.
    pub waiting: String,
}

/// Head of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Address of the list sorted by it. Empty: it cannot be.
    pub to: String,
    /// Whether the list is.
    pub sort: Sort,
}

/// Order of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Sort {
    /// Not sorted by it.
    #[default]
    None,
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Sort {
    /// The value of `aria-sort`.
    pub fn aria(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }
}

/// One workspace (`id="row-<uid>"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "row")]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its UID.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its name for users.
    pub display: String,
    /// Address of its page.
    pub to: String,
    /// Its owner, unless it is the reader. Empty: it is.
    pub owner: String,
    /// State in words and sign.
    pub state: State,
    /// What is wrong. Empty: nothing. The row shows the beginning in one line.
    pub reason: String,
    /// Sign of its image.
    pub icon: Icon,
    /// Its image, by the name for users.
    pub image: String,
    /// The whole reference of the image. Empty: the name says it.
    pub exact: String,
    /// Such as `2 CPU`, `4 GiB`, `1 GPU`.
    pub size: Vec<String>,
    /// Since when it runs.
    pub since: Option<Moment>,
    /// When a rule stops it.
    pub stops: Option<Moment>,
    /// That rule, such as `maximum age`. Empty: none, or it is not known.
    pub stops_because: &'static str,
    /// How a guest sees it: `Shared until`, with the end.
    pub shared: Option<Moment>,
    /// What fits now.
    pub action: Option<Action>,
    /// Everything else.
    pub more: Vec<Action>,
    /// Value of the box that chooses it; empty: this one cannot be chosen. `None`: the table has no column of boxes.
    pub select: Option<String>,
}

/// Where in the list the page is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pages {
    /// Number of the first row, from 1.
    pub first: usize,
    /// Number of the last row.
    pub last: usize,
    /// Number of all rows.
    pub total: usize,
    /// Address of the page before. Empty: none.
    pub previous: String,
    /// Address of the page after. Empty: none.
    pub next: String,
}

/// The form that holds the boxes of the rows; it leads to a page that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "bulk")]
pub struct Bulk {
    /// Hidden fields.
    pub hidden: Vec<(String, String)>,
}

/// Names of [`Rows::columns`].
const COLUMNS: [&str; 4] = ["Name", "State", "Image", "Running"];

part!(Counts, Rows, Row, Bulk);

/// The row of a workspace. Guests see state, owner, link, and the end of their share.
pub(super) fn row(context: &Context, seen: &VisibleWorkspace, may: May) -> Row {
    let workspace = &*seen.workspace;
    let status = workspace.status.as_ref();
    let template = context.app.index.template_of(workspace);
    let image = summary::image(workspace, template.as_deref());
    let blocked = summary::blocked_by(workspace).filter(|_| !seen.is_guest());
    let reason = match blocked {
        Some((reason, "")) => reason,
        Some((_, message)) => message,
        None => "",
    };
    let mut more = summary::actions(context, seen, may);
    let first = more.iter().position(|action| action.primary).unwrap_or(0);
    let action = if !reason.is_empty() {
        Some(Action {
            label: "See why".to_owned(),
            of: workspace.name_any(),
            way: Way::Link {
                to: summary::path(workspace),
            },
            ..Action::default()
        })
    } else if more.is_empty() {
        None
    } else {
        Some(more.remove(first))
    };
    let owner = match seen.level {
        AccessLevel::Owner => "",
        _ => owner(&workspace.metadata).unwrap_or_default(),
    };
    let full = Row {
        uid: workspace.metadata.uid.clone().unwrap_or_default(),
        namespace: workspace.namespace().unwrap_or_default(),
        name: workspace.name_any(),
        display: workspace.spec.display_name.clone(),
        to: summary::path(workspace),
        owner: owner.to_owned(),
        state: summary::state(workspace),
        action,
        more,
        ..Row::default()
    };
    if let AccessLevel::Guest { until } = seen.level {
        return Row {
            shared: until.map(short),
            select: Some(String::new()),
            ..full
        };
    }
    Row {
        reason: reason.to_owned(),
        icon: image.icon,
        image: image.name,
        exact: image.exact,
        size: summary::size(workspace),
        since: short_of(status.and_then(|status| status.started_at.as_ref())),
        stops: short_of(status.and_then(|status| status.stops_at.as_ref())),
        stops_because: summary::stop_rule(workspace),
        select: Some(
            if may.stops(seen) && context.read_only_in(&full.namespace).is_none() {
                format!("{}/{}", full.namespace, full.name)
            } else {
                String::new()
            },
        ),
        ..full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_the_room_of_the_largest_one() {
        let style = include_str!("../../../assets/portal.css");
        for (largest, class) in [
            (7, "digits-1"),
            (12, "digits-2"),
            (5_000, "digits-4"),
            (54_321, "digits-5"),
        ] {
            let counts = [largest, 3].map(|count| Count {
                count,
                ..Count::default()
            });
            let html = Counts {
                counts: counts.into(),
            };
            let html = html.render().unwrap();
            assert!(html.contains(&format!("<ul class=\"counts {class}\">")), "{html}");
            assert!(
                largest < 10 || style.contains(&format!(".{class} b{{min-width")),
                "{class}"
            );
        }
    }
}

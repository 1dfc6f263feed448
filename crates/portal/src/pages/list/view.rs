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
pub(crate) struct List {
    /// What surrounds it.
    pub(crate) layout: Layout,
    /// Text of the search field.
    pub(crate) search: String,
    /// Filters beside the search field.
    pub(crate) filters: Vec<Select>,
    /// Parts of the address that a search keeps, such as the sort.
    pub(crate) keep: Vec<(String, String)>,
    /// Address without search and filters. Empty: there are none to clear.
    pub(crate) clear: String,
    /// Numbers of workspaces, each a filter.
    pub(crate) counts: Counts,
    /// The rows.
    pub(crate) rows: Rows,
    /// Stop of several. `None`: the user may not, or there are no scripts of ours for it.
    pub(crate) bulk: Option<Bulk>,
}

/// A filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Select {
    /// Name in the address.
    pub(crate) name: String,
    /// Such as `State`.
    pub(crate) label: String,
    /// Value and text; the value of `any` is empty.
    pub(crate) options: Vec<(String, String)>,
    /// The chosen value.
    pub(crate) value: String,
}

/// Numbers of workspaces (`id="counts"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "counts")]
pub(crate) struct Counts {
    /// In order.
    pub(crate) counts: Vec<Count>,
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
#[expect(clippy::struct_field_names, reason = "the answer as JSON has this name")]
pub(crate) struct Count {
    /// Such as `Running`.
    pub(crate) label: String,
    /// How many.
    pub(crate) count: usize,
    /// Address of the list of these.
    pub(crate) to: String,
    /// The list shows these.
    pub(crate) current: bool,
}

/// The table with its caption and pages (`id="rows"`). A stream sends it whole where rows come, go or move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "rows")]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the answer as JSON has this name")]
pub(crate) struct Rows {
    /// Such as `Your workspaces`.
    pub(crate) caption: String,
    /// Sort of the columns: name, state, image, times.
    pub(crate) columns: [Column; 4],
    /// The rows of this page.
    pub(crate) rows: Vec<Row>,
    /// In place of the table.
    pub(crate) empty: Option<Empty>,
    /// Shown large: the only workspace that there is.
    pub(crate) single: bool,
    /// There is a column of boxes; the page must have a [`Bulk`], and each row a `select`.
    pub(crate) select: bool,
    /// Other pages.
    pub(crate) pages: Pages,
    /// What is not known yet, such as rights in further namespaces. Empty: everything is.
    pub(crate) waiting: String,
}

/// Head of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Column {
    /// Address of the list sorted by it. Empty: it cannot be.
    pub(crate) to: String,
    /// Whether the list is.
    pub(crate) sort: Sort,
}

/// Order of a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Sort {
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
    pub(crate) fn aria(self) -> &'static str {
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
pub(crate) struct Row {
    /// Its UID.
    pub(crate) uid: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its name for users.
    pub(crate) display: String,
    /// Address of its page.
    pub(crate) to: String,
    /// Its owner, unless it is the reader. Empty: it is.
    pub(crate) owner: String,
    /// State in words and sign.
    pub(crate) state: State,
    /// What is wrong. Empty: nothing. The row shows the beginning in one line.
    pub(crate) reason: String,
    /// Sign of its image.
    pub(crate) icon: Icon,
    /// Its image, by the name for users.
    pub(crate) image: String,
    /// The whole reference of the image. Empty: the name says it.
    pub(crate) exact: String,
    /// Such as `2 CPU`, `4 GiB`, `1 GPU`.
    pub(crate) size: Vec<String>,
    /// Since when it runs.
    pub(crate) since: Option<Moment>,
    /// When a rule stops it.
    pub(crate) stops: Option<Moment>,
    /// That rule, such as `maximum age`. Empty: none, or it is not known.
    pub(crate) stops_because: &'static str,
    /// When it is deleted, because nobody starts it.
    pub(crate) deletes: Option<Moment>,
    /// How a guest sees it: `Shared until`, with the end.
    pub(crate) shared: Option<Moment>,
    /// What fits now.
    pub(crate) action: Option<Action>,
    /// Everything else.
    pub(crate) more: Vec<Action>,
    /// Value of the box that chooses it; empty: this one cannot be chosen. `None`: the table has no column of boxes.
    pub(crate) select: Option<String>,
}

/// Where in the list the page is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Pages {
    /// Number of the first row, from 1.
    pub(crate) first: usize,
    /// Number of the last row.
    pub(crate) last: usize,
    /// Number of all rows.
    pub(crate) total: usize,
    /// Address of the page before. Empty: none.
    pub(crate) previous: String,
    /// Address of the page after. Empty: none.
    pub(crate) next: String,
}

/// The form that holds the boxes of the rows; it leads to a page that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/list/parts.html", block = "bulk")]
pub(crate) struct Bulk {
    /// Hidden fields.
    pub(crate) hidden: Vec<(String, String)>,
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
        deletes: short_of(status.and_then(|status| status.deletes_at.as_ref())),
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

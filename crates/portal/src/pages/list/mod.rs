//! `/`: what the user sees -> rows, search, filters, sort, counts (IO for rights).
//!
//! | file | holds |
//! |---|---|
//! | `search.rs` | address of a list -> which workspaces it shows (pure) |
//! | `view.rs` | table, counts, filters; workspace -> row (pure) |

pub(super) mod search;
pub(super) mod view;

use std::collections::{BTreeMap, BTreeSet};

use axum::response::Response;
use futures::future::join_all;

use self::search::{STATES, Search, state_of};
use self::view::{Bulk, Column, Count, Counts, List, Pages, Row, Rows, Select, Sort, row};
use super::answers::{link, note};
use super::extract::Query;
use super::may::{May, UNKNOWN};
use super::summary;
use crate::app::Context;
use crate::views::{Action, Empty, Nav, Note, Tone, Way};
use crate::visible::{self, AccessLevel, Visible, VisibleWorkspace};

/// Rows of one page.
const PAGE: usize = 50;

/// Answers `GET /`.
pub(crate) async fn page(context: Context, Query(search): Query<Search>) -> Response {
    let visible = visible::all(&context.app.index, &context.rights, &context.user).await;
    let page = Page::find(&context, &search, &visible).await;
    let mut view = list(&context, &search, &visible, &page);
    let notes = &mut view.layout.notes;
    notes.extend(after_deletion(&context, &search.deleted).await);
    if search.done == "owner" {
        let given = "The workspace has its new owner. You do not see it any more.";
        notes.push(note(Tone::Good, given));
    }
    context.page(&view)
}

/// What became of a deletion, as far as the user can see it: anybody can make a link with a name.
async fn after_deletion(context: &Context, deleted: &str) -> Option<Note> {
    let (namespace, name) = deleted.split_once('/')?;
    let is_name = rules::names::is_dns_1123_subdomain;
    if !is_name(namespace) || !is_name(name) {
        return None;
    }
    match context.visible_workspace(namespace, name).await {
        Some(seen) if seen.workspace.metadata.deletion_timestamp.is_some() => Some(note(
            Tone::Good,
            format!("{name} in namespace {namespace} is being deleted."),
        )),
        Some(_) => None,
        None => Some(note(
            Tone::Good,
            format!("There is no {name} in namespace {namespace} any more."),
        )),
    }
}

/// One page of what a search finds.
pub(super) struct Page<'a> {
    shown: Vec<&'a VisibleWorkspace>,
    /// What the user may do in the namespaces of these.
    pub(super) rights: Rights,
    /// From 1.
    number: usize,
    pages: usize,
    /// How many are found.
    total: usize,
}

impl<'a> Page<'a> {
    pub(super) async fn find(context: &Context, search: &Search, visible: &'a Visible) -> Self {
        let is_found = search.filter();
        let mut found: Vec<&VisibleWorkspace> =
            visible.workspaces.iter().filter(|seen| is_found(seen)).collect();
        sort(&mut found, search.order());
        let pages = found.len().div_ceil(PAGE).max(1);
        let number = search.page.clamp(1, pages);
        let first = (number - 1) * PAGE;
        let shown: Vec<_> = found.iter().skip(first).take(PAGE).copied().collect();
        Self {
            rights: rights_of(context, &shown).await,
            shown,
            number,
            pages,
            total: found.len(),
        }
    }
}

/// The page.
pub(super) fn list(context: &Context, search: &Search, visible: &Visible, page: &Page<'_>) -> List {
    let live = Search {
        page: page.number,
        ..search.clone()
    }
    .live_address();
    let rows = rows(context, search, visible, page);
    List {
        layout: context.live_layout("Workspaces", Nav::Workspaces, live),
        search: search.q.clone(),
        filters: filters(search, &visible.workspaces),
        keep: keep(search),
        clear: if search.has_filter() {
            search.path()
        } else {
            String::new()
        },
        counts: counts(search, &visible.workspaces),
        bulk: rows.select.then(Bulk::default),
        rows,
    }
}

/// The table.
pub(super) fn rows(context: &Context, search: &Search, visible: &Visible, page: &Page<'_>) -> Rows {
    let mut rows = rows_of(context, &page.shown, &page.rights);
    let first = (page.number - 1) * PAGE;
    let at = |number: usize| {
        let search = Search {
            page: number,
            ..search.clone()
        };
        search.page_address()
    };
    let is_single = search.place.is_empty() && visible.workspaces.len() == 1 && rows.len() == 1;
    let select = make_selectable(&mut rows, is_single);
    Rows {
        caption: match &*search.place {
            "" => "Workspaces".to_owned(),
            place => format!("Workspaces in {place}"),
        },
        empty: rows
            .is_empty()
            .then(|| empty(context, search, &visible.workspaces)),
        // One row has no order.
        columns: if is_single {
            <[Column; 4]>::default()
        } else {
            columns(search)
        },
        single: is_single,
        select,
        pages: Pages {
            first: first + 1,
            last: first + rows.len(),
            total: page.total,
            previous: if page.number > 1 {
                at(page.number - 1)
            } else {
                String::new()
            },
            next: if page.number < page.pages {
                at(page.number + 1)
            } else {
                String::new()
            },
        },
        rows,
        waiting: match (visible.is_partial, page.rights.values().any(|may| may.is_unknown)) {
            (false, false) => "",
            (false, true) => UNKNOWN,
            (true, false) => "The API server did not say in time what else you may see. Load the page again.",
            (true, true) => {
                "The API server did not say in time what else you may see and do. Load the page again."
            }
        }
        .to_owned(),
    }
}

/// What the user may do, by namespace.
pub(super) type Rights = BTreeMap<String, May>;

/// What the user may do in the namespaces of these workspaces.
pub(super) async fn rights_of(context: &Context, shown: &[&VisibleWorkspace]) -> Rights {
    let namespaces: BTreeSet<_> = shown.iter().map(|seen| seen.namespace()).collect();
    let asked = namespaces
        .into_iter()
        .map(async |namespace| (namespace.to_owned(), May::ask(context, namespace).await));
    join_all(asked).await.into_iter().collect()
}

/// The rows with what the user may do.
fn rows_of(context: &Context, shown: &[&VisibleWorkspace], rights: &Rights) -> Vec<Row> {
    let may = |seen: &VisibleWorkspace| rights.get(seen.namespace()).copied().unwrap_or_default();
    shown.iter().map(|seen| row(context, seen, may(seen))).collect()
}

/// Whether there is a column of boxes: if one of the rows can be chosen.
fn make_selectable(rows: &mut [Row], is_single: bool) -> bool {
    let is_choosable = |row: &Row| row.select.as_ref().is_some_and(|value| !value.is_empty());
    let selectable = !is_single && rows.iter().any(is_choosable);
    if !selectable {
        for row in rows {
            row.select = None;
        }
    }
    selectable
}

fn sort(found: &mut [&VisibleWorkspace], by: &str) {
    let key = by.trim_start_matches('-');
    // The order reveals nothing that guests do not see.
    let known = |seen: &&VisibleWorkspace| (!seen.is_guest()).then(|| seen.workspace.clone());
    match key {
        "state" => found.sort_by_cached_key(|seen| summary::state(&seen.workspace).word),
        "image" => {
            found.sort_by_cached_key(|seen| known(seen).and_then(|workspace| workspace.spec.image.clone()));
        }
        "since" => found.sort_by_cached_key(|seen| {
            let started = known(seen).and_then(|workspace| workspace.status.clone()?.started_at);
            std::cmp::Reverse(started.map(|time| time.0))
        }),
        // As they come.
        "name" => {}
        // One's own first.
        _ => found.sort_by_key(|seen| seen.level != AccessLevel::Owner),
    }
    if by.starts_with('-') {
        found.reverse();
    }
}

fn columns(search: &Search) -> [Column; 4] {
    let column = |key: &str| {
        let descending = format!("-{key}");
        let (sort, next) = match search.order() {
            now if now == key => (Sort::Ascending, descending),
            now if now == descending => (Sort::Descending, key.to_owned()),
            _ => (Sort::None, key.to_owned()),
        };
        let next = Search {
            sort: next,
            page: 1,
            ..search.clone()
        };
        Column {
            to: next.page_address(),
            sort,
        }
    };
    ["name", "state", "image", "since"].map(column)
}

fn filters(search: &Search, all: &[VisibleWorkspace]) -> Vec<Select> {
    let namespaces: BTreeSet<_> = all.iter().map(VisibleWorkspace::namespace).collect();
    let templates: BTreeSet<_> = all
        .iter()
        .filter(|seen| !seen.is_guest())
        .filter_map(|seen| seen.workspace.spec.template_ref.as_deref())
        .collect();
    let named = |any: &str, names: BTreeSet<&str>| {
        let any = (String::new(), any.to_owned());
        std::iter::once(any)
            .chain(names.into_iter().map(|name| (name.to_owned(), name.to_owned())))
            .collect()
    };
    let owned = |(value, label): (&str, &str)| (value.to_owned(), label.to_owned());
    let select = |name: &str, label: &str, options: Vec<(String, String)>, value: &str| Select {
        name: name.to_owned(),
        label: label.to_owned(),
        options,
        value: value.to_owned(),
    };
    let mut filters = vec![select(
        "state",
        "State",
        STATES.map(owned).to_vec(),
        &search.state,
    )];
    if all.iter().any(|seen| seen.level != AccessLevel::Owner) {
        let of = [
            ("", "Everybody's"),
            ("mine", "Mine"),
            ("shared", "Shared with me"),
        ];
        filters.push(select("of", "Owner", of.map(owned).to_vec(), &search.of));
    }
    if namespaces.len() > 1 || !search.namespace.is_empty() {
        filters.push(select(
            "namespace",
            "Namespace",
            named("Any namespace", namespaces),
            &search.namespace,
        ));
    }
    if templates.len() > 1 || !search.template.is_empty() {
        filters.push(select(
            "template",
            "Template",
            named("Any template", templates),
            &search.template,
        ));
    }
    filters
}

/// What a search keeps: the order.
fn keep(search: &Search) -> Vec<(String, String)> {
    let sort = ("sort".to_owned(), search.sort.clone());
    if search.sort.is_empty() {
        Vec::new()
    } else {
        vec![sort]
    }
}

/// How many are in each state.
pub(super) fn counts(search: &Search, all: &[VisibleWorkspace]) -> Counts {
    let of = |state: &str| Search {
        state: state.to_owned(),
        page: 1,
        ..search.clone()
    };
    let in_any = of("");
    let is_found = in_any.filter();
    let mut by_state = BTreeMap::<_, usize>::new();
    for seen in all.iter().filter(|seen| is_found(seen)) {
        *by_state.entry(state_of(seen)).or_default() += 1;
    }
    let counts = STATES.iter().map(|&(value, label)| Count {
        label: if value.is_empty() { "All" } else { label }.to_owned(),
        count: if value.is_empty() {
            by_state.values().sum()
        } else {
            by_state.get(value).copied().unwrap_or_default()
        },
        to: of(value).page_address(),
        current: value == search.state,
    });
    Counts {
        counts: counts.collect(),
    }
}

fn empty(context: &Context, search: &Search, all: &[VisibleWorkspace]) -> Empty {
    if search.has_filter() && all.iter().any(|seen| search.covers(seen)) {
        return Empty {
            title: "No workspace matches".to_owned(),
            text: vec!["Search for less, or clear the filters.".to_owned()],
            actions: vec![link("Clear filters", &search.path())],
            ..Empty::default()
        };
    }
    if !search.place.is_empty() {
        return Empty {
            title: "This namespace has no workspaces".to_owned(),
            ..Empty::default()
        };
    }
    let new = Action {
        label: "New workspace".to_owned(),
        way: Way::Link {
            to: "/new".to_owned(),
        },
        primary: true,
        ..Action::default()
    };
    Empty {
        title: "You have no workspace yet".to_owned(),
        text: vec!["A workspace is a JupyterLab or an editor with its own disk.".to_owned()],
        copy: context.user.name.clone(),
        actions: vec![new],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_choice_of_a_column_turns_its_order() {
        let by = |sort: &str| {
            columns(&Search {
                sort: sort.to_owned(),
                ..Search::default()
            })
        };
        assert_eq!(by("")[0].to, "/?sort=name");
        assert_eq!(by("name")[0].to, "/?sort=-name");
        assert_eq!(by("name")[0].sort, Sort::Ascending);
        assert_eq!(by("-name")[0].sort, Sort::Descending);
        assert_eq!(by("-name")[1].sort, Sort::None);
    }
}

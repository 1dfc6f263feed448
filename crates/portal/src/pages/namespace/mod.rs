//! `/namespaces/<name>` -> its workspaces and quotas, for users who may list them (IO).
//!
//! `view.rs`: what the page shows.

mod view;

use axum::response::Response;

use self::view::{Actions, Namespace};
use super::extract::{Path, Query};
use super::form::quotas::quotas;
use super::form::view::Quotas;
use super::list::search::Search;
use super::list::{self, Page};
use super::may::May;
use crate::app::Context;
use crate::views::{Action, Way};
use crate::visible::{self, Visible};

/// Answers `GET /namespaces/<name>`.
pub(crate) async fn page(
    context: Context,
    Path(name): Path<String>,
    Query(search): Query<Search>,
) -> Response {
    match may_see(&context, &name).await {
        Some(true) => {}
        Some(false) => return context.not_found(),
        None => return context.no_answer(),
    }
    let search = search.within(&name);
    let visible = visible::all(&context.app.index, &context.rights, &context.user).await;
    let page = Page::find(&context, &search, &visible).await;
    let quotas = quotas(&context, &name).await;
    let may = May::ask(&context, &name).await;
    context.page(&view(&context, &search, &visible, &page, (may, quotas)))
}

/// Whether the user may see the page. `None`: the API server did not answer in time.
pub(super) async fn may_see(context: &Context, name: &str) -> Option<bool> {
    let Context { rights, user, .. } = context;
    rights.may(user, "list", "workspaces", name, "").await
}

/// The page.
pub(super) fn view(
    context: &Context,
    search: &Search,
    visible: &Visible,
    page: &Page<'_>,
    (may, quotas): (May, Option<Quotas>),
) -> Namespace {
    let list = list::list(context, search, visible, page);
    let mut layout = list.layout;
    layout.title = format!("Namespace {}", search.place);
    let mut bulk = list.bulk;
    if let Some(bulk) = &mut bulk {
        bulk.hidden = vec![("from".to_owned(), search.place.clone())];
    }
    Namespace {
        layout,
        counts: list.counts,
        rows: list.rows,
        bulk,
        actions: stop_all(context, search, visible, may),
        quotas,
    }
}

/// The stop of all that run in the namespace and that the user may stop, whichever rows are shown.
pub(super) fn stop_all(context: &Context, search: &Search, visible: &Visible, may: May) -> Actions {
    let running = visible
        .workspaces
        .iter()
        .filter(|seen| search.covers(seen) && may.stops(seen))
        .count();
    let stop = Action {
        label: format!("Stop all {running}…"),
        way: Way::Dialog {
            to: format!("/stop?namespace={0}&from={0}", search.place),
        },
        danger: true,
        ..Action::default()
    };
    let is_offered = running > 0 && context.read_only().is_none();
    Actions {
        actions: is_offered.then_some(stop).into_iter().collect(),
    }
}

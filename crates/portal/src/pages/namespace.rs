//! `/namespaces/<name>`: all workspaces of a namespace, for users who may list them (IO).

use api::workspace::DesiredStatus;
use axum::extract::Path;
use axum::response::Response;
use kube::ResourceExt as _;

use super::list::{make_selectable, rights_of, rows_of};
use super::summary;
use crate::app::Context;
use crate::views::{Action, Bulk, Count, Counts, Empty, Namespace, Nav, Pages, Rows, Way};
use crate::visible;

/// Most rows. The list has filters for the rest.
const MAX: usize = 200;

/// Answers `GET /namespaces/<name>`.
pub(crate) async fn page(context: Context, Path(name): Path<String>) -> Response {
    if !context.may("list", "workspaces", &name, "").await {
        return context.not_found();
    }
    let mut seen = visible::all(&context.app.index, &context.rights, &context.user)
        .await
        .workspaces;
    seen.retain(|seen| seen.workspace.namespace().as_deref() == Some(&*name));
    seen.sort_by_key(|seen| seen.workspace.name_any());
    let running = seen
        .iter()
        .filter(|seen| seen.workspace.spec.desired_status == DesiredStatus::Running)
        .count();
    let shown: Vec<_> = seen.iter().take(MAX).collect();
    let mut rows = rows_of(&context, &shown, &rights_of(&context, &shown).await);
    let may_stop = make_selectable(&context, &mut rows, false);
    let of_list = |state: &str| format!("/?namespace={name}&state={state}");
    let count = |label: &str, count: usize, state: &str| Count {
        label: label.to_owned(),
        count,
        to: of_list(state),
        current: false,
    };
    let troubled = seen
        .iter()
        .filter(|seen| summary::trouble(&seen.workspace).is_some())
        .count();
    let stop_all = Action {
        label: format!("Stop all {running}…"),
        way: Way::Dialog {
            to: format!("/stop?namespace={name}"),
        },
        danger: true,
        ..Action::default()
    };
    context.page(&Namespace {
        layout: context.layout(format!("Namespace {name}"), Nav::Workspaces),
        counts: Counts {
            counts: vec![
                count("All", seen.len(), ""),
                count("Running", running, "running"),
                count("Needs attention", troubled, "attention"),
            ],
        },
        empty: rows.is_empty().then(|| Empty {
            title: "This namespace has no workspaces".to_owned(),
            ..Empty::default()
        }),
        rows: Rows {
            caption: format!("Workspaces in {name}"),
            pages: Pages {
                first: 1,
                last: rows.len(),
                total: seen.len(),
                ..Pages::default()
            },
            rows,
            select: may_stop,
            ..Rows::default()
        },
        bulk: may_stop.then(|| Bulk {
            to: "/stop".to_owned(),
            label: "Stop chosen…".to_owned(),
            ..Bulk::default()
        }),
        actions: if running > 0 && may_stop {
            vec![stop_all]
        } else {
            Vec::new()
        },
        ..Namespace::default()
    })
}

//! `/stop`: many workspaces at once, one change each, as the user (IO).
//!
//! One request stops at most [`BATCH`] workspaces. The page after it has the rest behind a button, so a user can end it half way.

use std::collections::HashSet;

use axum::extract::RawQuery;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use kube::ResourceExt as _;

use super::actions::stop;
use super::answers::link;
use super::summary;
use crate::app::Context;
use crate::views::{
    Action, BulkProgress, BulkResult, BulkResults, Confirm, Consequence, Nav, State, Tone, Way,
};
use crate::visible::{self, AccessLevel, Seen};

/// Workspaces that one request stops.
const BATCH: usize = 50;
/// Concurrent changes.
const CONCURRENCY: usize = 10;
/// Most workspaces of one question.
const MAX: usize = 1_000;

/// What a form names: `workspace=<namespace>/<name>`, repeated, or `namespace=<name>` for all that run there. At most [`MAX`] of them.
fn named(query: &str) -> HashSet<(String, String)> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    pairs.into_iter().take(MAX).collect()
}

/// Those of the visible workspaces that the pairs name and that run, by name. Guests stop none here, and so learn nothing about its disk.
async fn chosen(context: &Context, pairs: &HashSet<(String, String)>) -> Vec<Seen> {
    let visible = visible::all(&context.app.index, &context.rights, &context.user).await;
    let is_named = |seen: &Seen| {
        let namespace = seen.workspace.namespace().unwrap_or_default();
        pairs.contains(&("workspace".to_owned(), key(seen)))
            || pairs.contains(&("namespace".to_owned(), namespace))
    };
    let is_guest = |seen: &Seen| matches!(seen.level, AccessLevel::Guest { .. });
    let runs = |seen: &Seen| seen.workspace.spec.desired_status == api::workspace::DesiredStatus::Running;
    let mut found: Vec<_> = visible
        .workspaces
        .into_iter()
        .filter(|seen| runs(seen) && !is_guest(seen) && is_named(seen))
        .collect();
    found.sort_by_key(key);
    found.truncate(MAX);
    found
}

fn key(seen: &Seen) -> String {
    format!(
        "{}/{}",
        seen.workspace.namespace().unwrap_or_default(),
        seen.workspace.name_any()
    )
}

/// Answers `GET /stop?workspace=…`: what would happen.
pub(crate) async fn ask(context: Context, RawQuery(query): RawQuery) -> Response {
    let chosen = chosen(&context, &named(query.as_deref().unwrap_or_default())).await;
    if chosen.is_empty() {
        return context.bad_request(
            "None of the chosen workspaces runs.",
            "Go back and choose workspaces that run.",
            "/",
        );
    }
    let names: Vec<_> = chosen.iter().map(key).collect();
    let one = if names.len() == 1 {
        "workspace"
    } else {
        "workspaces"
    };
    let command = context.read_only().map(|_| {
        let lines = chosen
            .iter()
            .map(|seen| summary::command(&seen.workspace, "stop"));
        lines.collect::<Vec<_>>().join("\n")
    });
    let loses = chosen.iter().filter(|seen| {
        let stop = rules::consequence::Consequence::of(rules::consequence::Action::Stop, &seen.workspace);
        stop.is_some_and(|stop| stop.loses_files)
    });
    let ephemeral = loses.count();
    let mut consequences = vec![Consequence {
        lost: true,
        what: "Kernels and terminals".to_owned(),
        fate: "end".to_owned(),
    }];
    if ephemeral > 0 {
        consequences.push(Consequence {
            lost: true,
            what: format!("Files of {ephemeral} without a disk"),
            fate: "are deleted".to_owned(),
        });
    }
    context.page(&Confirm {
        layout: context.layout(format!("Stop {} {one}?", names.len()), Nav::Workspaces),
        consequences,
        to: "/stop".to_owned(),
        hidden: names
            .iter()
            .map(|name| ("workspace".to_owned(), name.clone()))
            .collect(),
        names,
        button: "Stop them".to_owned(),
        danger: ephemeral > 0,
        cancel: "/".to_owned(),
        command: command.unwrap_or_default(),
        ..Confirm::default()
    })
}

/// Answers `POST /stop`.
pub(crate) async fn act(context: Context, body: String) -> Response {
    if let Some(why) = context.read_only() {
        return context.bad_request(&why, "Use the commands on the page before.", "/");
    }
    let pairs = named(&body);
    let chosen = chosen(&context, &pairs).await;
    let (batch, rest) = chosen.split_at(chosen.len().min(BATCH));
    let context_ = &context;
    let asked = stream::iter(batch.to_vec()).map(|seen| async move {
        let outcome = stop(context_, &seen).await;
        (seen, outcome)
    });
    let outcomes: Vec<_> = asked.buffered(CONCURRENCY).collect().await;
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    let mut results: Vec<_> = outcomes
        .iter()
        .map(|(seen, outcome)| BulkResult {
            name: key(seen),
            to: summary::path(&seen.workspace),
            state: match outcome {
                Ok(()) => State {
                    tone: Tone::Good,
                    word: "Stopping".to_owned(),
                },
                Err(_) => State {
                    tone: Tone::Bad,
                    word: "Not stopped".to_owned(),
                },
            },
            reason: outcome
                .as_ref()
                .err()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
        .collect();
    results.sort_by_key(|result| (result.reason.is_empty(), result.name.clone()));
    let next = (!rest.is_empty()).then(|| Action {
        label: format!("Stop the next {}", rest.len().min(BATCH)),
        way: Way::Post {
            to: "/stop".to_owned(),
            hidden: rest
                .iter()
                .map(|seen| ("workspace".to_owned(), key(seen)))
                .collect(),
        },
        primary: true,
        ..Action::default()
    });
    let done = batch.len();
    let sentence = match (failed, rest.len()) {
        (0, 0) => format!("All {done} are being stopped."),
        (failed, 0) => format!("{} are being stopped, {failed} are not.", done - failed),
        (failed, left) => format!(
            "{} are being stopped, {failed} are not, {left} are left.",
            done - failed
        ),
    };
    context.page(&BulkProgress {
        layout: context.layout("Stop workspaces", Nav::Workspaces),
        result: BulkResults {
            done,
            total: chosen.len(),
            sentence,
            results,
            end: next,
        },
        back: link("Back to the list", "/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_question_names_at_most_a_thousand_workspaces() {
        let pairs: Vec<_> = (0..2 * MAX)
            .map(|number| format!("workspace=team%2Fw{number}"))
            .collect();
        let found = named(&pairs.join("&"));
        assert_eq!(found.len(), MAX);
        assert!(found.contains(&("workspace".to_owned(), "team/w0".to_owned())));
    }
}

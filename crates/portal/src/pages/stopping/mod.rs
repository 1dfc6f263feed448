//! `/stop` -> a question, then one change as the user for each workspace (IO).
//!
//! One request stops at most [`BATCH`] workspaces. The page after it has the rest behind a button, so a user can end it half way.
//!
//! `view.rs`: what its pages show.

mod view;

use std::collections::{HashMap, HashSet};

use axum::extract::RawQuery;
use axum::response::Response;
use explain::consequence;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use kube::ResourceExt as _;
use rules::files::{Disks, Moment};

use self::view::{BulkProgress, BulkResult, BulkResults};
use super::actions::stop;
use super::answers::link;
use super::extract::{Fields, Pairs, pairs, quote, repetition, sent_twice};
use super::may::May;
use super::summary;
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Action, Confirm, Consequence, Layout, Nav, State, Tone, Way};
use crate::visible::{self, Visible, VisibleWorkspace};

/// Workspaces that one request stops.
const BATCH: usize = 50;
/// Concurrent changes.
const CONCURRENCY: usize = 10;
/// Most workspaces of one question.
const MAX: usize = 1_000;
/// The field that names a namespace: all that the user may stop there.
const WHOLE: &str = "namespace";
/// The field that names a workspace.
const ONE: &str = "workspace";
/// The field that names the namespace whose page the question came from.
const FROM: &str = "from";
/// The field of what has to be typed.
const TYPED: &str = "name";
/// What has to be typed if files are deleted: the workspaces have no name in common.
const DELETE_FILES: &str = "delete files";

/// What a form names: `workspace=<namespace>/<name>` in a question, with `/<uid>` in its answer, repeated, or `namespace=<name>` for all
/// that the user may stop there, in a question alone. At most [`MAX`] of them.
fn names_of(pairs: Pairs) -> HashSet<(String, String)> {
    let pairs = pairs
        .into_iter()
        .filter(|(name, _)| name != FROM && name != TYPED);
    pairs.take(MAX).collect()
}

/// The page that a question came from: that of the namespace `from`, or the list.
fn origin(pairs: &[(String, String)]) -> (Pairs, String) {
    let from = pairs.iter().find(|(name, _)| name == FROM);
    match from.filter(|(_, from)| rules::names::is_dns_1123_subdomain(from)) {
        Some(from) => (vec![from.clone()], format!("/namespaces/{}", from.1)),
        None => (Vec::new(), "/".to_owned()),
    }
}

/// What is wrong with the names. Those of workspaces and namespaces may be repeated.
fn problem(pairs: &[(String, String)], known: &[&str]) -> Option<String> {
    let names = || pairs.iter().map(|(name, _)| &**name);
    if let Some(unknown) = names().find(|name| *name != FROM && !known.contains(name)) {
        return Some(format!("This page has no field {}.", quote(unknown)));
    }
    repetition(names().filter(|name| [FROM, TYPED].contains(name))).map(|name| sent_twice("field", name))
}

/// How many of them lose files by a stop.
fn losers(chosen: &[VisibleWorkspace]) -> usize {
    let fates = chosen
        .iter()
        .map(|seen| Disks::from_workspace(&seen.workspace).fate(Moment::Stop));
    fates.filter(|fate| fate.loses_files).count()
}

/// Those of the visible workspaces that the pairs name and that run, by name. `named_by`: how a pair names one. Of a whole namespace, those
/// that the user may stop by their `rights` there. Guests stop none here, and so learn nothing about its disk.
fn choose(
    visible: Visible,
    pairs: &HashSet<(String, String)>,
    rights: &HashMap<String, May>,
    named_by: fn(&VisibleWorkspace) -> String,
) -> Vec<VisibleWorkspace> {
    let is_named = |seen: &VisibleWorkspace| {
        pairs.contains(&(ONE.to_owned(), named_by(seen)))
            || rights.get(seen.namespace()).is_some_and(|may| may.stops(seen))
    };
    let runs = |seen: &VisibleWorkspace| {
        seen.workspace.spec.desired_status == api::workspace::DesiredStatus::Running
    };
    let mut found: Vec<_> = visible
        .workspaces
        .into_iter()
        .filter(|seen| runs(seen) && !seen.is_guest() && is_named(seen))
        .collect();
    found.sort_by_key(key);
    found
}

fn key(seen: &VisibleWorkspace) -> String {
    format!("{}/{}", seen.namespace(), seen.workspace.name_any())
}

/// The key with the UID, so that no namesake of a workspace is stopped.
fn key_and_uid(seen: &VisibleWorkspace) -> String {
    let uid = seen.workspace.metadata.uid.as_deref().unwrap_or_default();
    format!("{}/{uid}", key(seen))
}

/// Why one of these cannot be changed here; `None` if all can.
fn read_only(context: &Context, chosen: &[VisibleWorkspace]) -> Option<String> {
    chosen
        .iter()
        .find_map(|seen| context.read_only_in(seen.namespace()))
}

/// The answer where nothing of what was chosen runs.
fn none(context: &Context, pairs: &HashSet<(String, String)>, back: &str) -> Response {
    let (why, now) = if pairs.iter().any(|(name, _)| name == WHOLE) {
        (
            "Nothing runs there that you may stop.",
            "Go back and see what runs.",
        )
    } else {
        (
            "None of the chosen workspaces runs.",
            "Go back and choose workspaces that run.",
        )
    };
    context.bad_request(why, now, back)
}

/// Answers `GET /stop?workspace=…`: what would happen.
pub(crate) async fn ask(context: Context, RawQuery(query): RawQuery) -> Response {
    let pairs = pairs(query.as_deref().unwrap_or_default());
    if let Some(why) = problem(&pairs, &[ONE, WHOLE]) {
        return context.wrong_form(&why);
    }
    let (from, back) = origin(&pairs);
    let pairs = names_of(pairs);
    let visible = visible::all(&context.app.index, &context.rights, &context.user).await;
    let mut rights = HashMap::new();
    for (_, namespace) in pairs.iter().filter(|(name, _)| name == WHOLE) {
        let may = May::ask(&context, namespace).await;
        rights.insert(namespace.clone(), may);
        if visible.is_partial || may.is_unknown {
            let why =
                format!("The API server did not say in time what you may stop in namespace {namespace}.");
            return context.failure_page("Nothing is stopped", &Failure::Unanswered(why), &back);
        }
    }
    let chosen = choose(visible, &pairs, &rights, key);
    if chosen.is_empty() {
        return none(&context, &pairs, &back);
    }
    context.page(&confirm(&context, chosen, (from, back), None))
}

/// The question. `typed`: a wrong answer.
fn confirm(
    context: &Context,
    mut chosen: Vec<VisibleWorkspace>,
    (mut hidden, back): (Pairs, String),
    typed: Option<&str>,
) -> Confirm {
    let all = chosen.len();
    chosen.truncate(MAX);
    let text = (all > MAX).then(|| {
        format!(
            "You may stop {all} workspaces that run. At most {MAX} can be stopped at once: repeat for the rest."
        )
    });
    let names: Vec<_> = chosen.iter().map(key).collect();
    let one = if names.len() == 1 {
        "workspace"
    } else {
        "workspaces"
    };
    let read_only = read_only(context, &chosen);
    let command = read_only.as_ref().map(|_| {
        let lines = chosen
            .iter()
            .map(|seen| summary::command(&seen.workspace, consequence::Action::Stop));
        lines.collect::<Vec<_>>().join("\n")
    });
    let losers = losers(&chosen);
    let mut consequences = vec![Consequence {
        lost: true,
        what: "Kernels and terminals".to_owned(),
        effect: "end".to_owned(),
    }];
    if losers > 0 {
        consequences.push(Consequence {
            lost: true,
            what: format!("Files of {losers} of them"),
            effect: "are deleted".to_owned(),
        });
    }
    hidden.extend(chosen.iter().map(|seen| (ONE.to_owned(), key_and_uid(seen))));
    let layout = context.layout(format!("Stop {} {one}?", names.len()), Nav::Workspaces);
    Confirm {
        layout: Layout {
            read_only: read_only.unwrap_or_default(),
            ..layout
        },
        consequences,
        to: "/stop".to_owned(),
        text: text.into_iter().collect(),
        hidden,
        names,
        typed: if losers > 0 { DELETE_FILES } else { "" }.to_owned(),
        error: typed
            .map(|typed| format!("{typed:?} was typed: type {DELETE_FILES:?}."))
            .unwrap_or_default(),
        button: "Stop them".to_owned(),
        danger: losers > 0,
        cancel: back,
        command: command.unwrap_or_default(),
    }
}

/// Answers `POST /stop`.
pub(crate) async fn act(context: Context, Fields(fields): Fields) -> Response {
    if let Some(why) = problem(&fields, &[ONE, TYPED]) {
        return context.wrong_form(&why);
    }
    let (mut hidden, back) = origin(&fields);
    let typed = fields.iter().find(|(name, _)| name == TYPED).cloned();
    let pairs = names_of(fields);
    let visible = visible::all(&context.app.index, &context.rights, &context.user).await;
    let mut chosen = choose(visible, &pairs, &HashMap::new(), key_and_uid);
    if chosen.is_empty() {
        return none(&context, &pairs, &back);
    }
    if let Some(why) = read_only(&context, &chosen) {
        return context.bad_request(&why, "Use the commands on the previous page.", &back);
    }
    let answer = typed.as_ref().map_or("", |(_, answer)| answer.as_str());
    if losers(&chosen) > 0 && answer != DELETE_FILES {
        let again = confirm(&context, chosen, (hidden, back), Some(answer));
        return context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    hidden.extend(typed);
    chosen.truncate(MAX);
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
    hidden.extend(rest.iter().map(|seen| (ONE.to_owned(), key_and_uid(seen))));
    let next = (!rest.is_empty()).then(|| Action {
        label: format!("Stop the next {}", rest.len().min(BATCH)),
        way: Way::Post {
            to: "/stop".to_owned(),
            hidden,
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
        back: link("Back to the list", &back),
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
        let found = names_of(super::pairs(&pairs.join("&")));
        assert_eq!(found.len(), MAX);
        assert!(found.contains(&("workspace".to_owned(), "team/w0".to_owned())));
    }
}

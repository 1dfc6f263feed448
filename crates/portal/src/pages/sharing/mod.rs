//! `/w/<namespace>/<name>/share` -> its shares, and a new one as the user (IO).
//!
//! | file | holds |
//! |---|---|
//! | `typed.rs` | what was typed into the form -> a share (pure) |
//! | `view.rs` | the pages and what can be chosen (pure) |

mod typed;
mod view;

use std::sync::Arc;

use api::{Workspace, WorkspaceShare};
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::shares::{self, Extent};
use serde::Deserialize;
use serde_json::json;

use self::typed::Typed;
pub(super) use self::typed::name_problem;
use self::view::{end_command, end_view, view};
use super::answers::{Done, note, see_other};
use super::extract::{Path, Query, TypedForm};
use super::may::{MayBeside, UNKNOWN};
use super::short_form::{FieldErrors, add_failure};
use super::summary::path;
use super::words::moment;
use crate::app::Context;
use crate::cluster::Failure;
use crate::index::Index;
use crate::views::{Confirm, Nav, Tone};
use crate::visible::VisibleWorkspace;

/// Title of the summary after a failed change.
const END_UNCHANGED: &str = "The end stays as it was";

/// Answers `GET /w/<namespace>/<name>/share`.
pub(crate) async fn page(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(Done { done }): Query<Done>,
) -> Response {
    let Some(seen) = context.readable_workspace(&namespace, &name).await else {
        return context.not_found();
    };
    let may = MayBeside::ask(&context, &seen).await;
    let mut view = view(&context, &seen.workspace, may, &Typed::default(), &[]);
    let text = match &*done {
        "share" if view.list.shares.is_empty() => None,
        "share" if view.link.is_empty() => Some("It is shared."),
        "share" => Some("It is shared. Send the link below."),
        "end" => Some("The share is ended."),
        "until" => Some("The end is changed."),
        _ => None,
    };
    let notes = &mut view.layout.notes;
    notes.extend(text.map(|text| note(Tone::Good, text)));
    notes.extend(may.is_unknown.then(|| note(Tone::Warn, UNKNOWN)));
    context.page(&view)
}

/// Answers `POST /w/<namespace>/<name>/share`.
pub(crate) async fn share(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    TypedForm(typed): TypedForm<Typed>,
) -> Response {
    let Some(seen) = context.readable_workspace(&namespace, &name).await else {
        return context.not_found();
    };
    let workspace = &*seen.workspace;
    let back = format!("{}/share", path(workspace));
    if let Some(answer) = context.read_only_answer(&back) {
        return answer;
    }
    // The user who sent the form sees it again: the API server decides.
    let may = MayBeside {
        share: true,
        ..MayBeside::ask(&context, &seen).await
    };
    let again = |wrong: &[(&str, String)]| {
        let view = view(&context, workspace, may, &typed, wrong);
        context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &view)
    };
    let not_shared = |failure: &Failure| {
        let mut typed = typed.clone();
        if failure.is_taken() {
            // Sent once more, the form makes a share of another name.
            typed.rendered.clear();
        }
        let mut view = view(&context, workspace, may, &typed, &typed.refusals(failure));
        if let Some(share) = &mut view.form {
            add_failure(share, "It is not shared", failure);
        }
        context.page_with(failure.status(), &view)
    };
    if Some(&*typed.uid) != workspace.metadata.uid.as_deref() {
        return not_shared(&Failure::conflict(
            "The workspace was deleted and another one of the same name was created since the page was loaded.",
        ));
    }
    let share = match typed.share(workspace, context.now) {
        Ok(share) => share,
        Err(wrong) => return again(&wrong),
    };
    if let Some(manager) = context.app.index.manager_of(workspace) {
        let extent = Extent {
            begin: Some(context.now),
            ..Extent::from_share(&share)
        };
        if let Err(inactive) = extent.within(&manager) {
            return again(&[("until", inactive.to_string())]);
        }
    }
    let made = context
        .as_user()
        .create::<WorkspaceShare>(Some(&namespace), &share, false)
        .await;
    let is_shared = |index: &Index| {
        let mut all = index.shares_of(workspace).into_iter();
        all.any(|known| {
            let is_over = shares::end(&known).is_some_and(|end| end <= context.now);
            known.metadata.name == share.metadata.name && !is_over
        })
    };
    if made.is_ok() || made.as_ref().is_err_and(Failure::is_taken) {
        context.until(is_shared).await;
    }
    let made = match made {
        // The same form was sent before.
        Err(failure) if failure.is_taken() && is_shared(&context.app.index) => Ok(()),
        made => made.map(drop),
    };
    context.log("share", &namespace, &name, &made);
    if let Err(failure) = made {
        return not_shared(&failure);
    }
    see_other(&format!("{back}?done=share"))
}

/// Namespace, workspace and share of an address.
type Address = (String, String, String);

/// The share and its workspace, if the user sees them.
async fn find(
    context: &Context,
    (namespace, name, share): &Address,
) -> Option<(Arc<Workspace>, Arc<WorkspaceShare>)> {
    let VisibleWorkspace { workspace, .. } = context.readable_workspace(namespace, name).await?;
    let mut all = context.app.index.shares_of(&workspace).into_iter();
    let share = all.find(|it| it.name_any() == *share)?;
    Some((workspace, share))
}

/// Answers `GET /w/<namespace>/<name>/share/<share>/end`.
pub(crate) async fn ask_end(context: Context, Path(address): Path<Address>) -> Response {
    let Some((workspace, share)) = find(&context, &address).await else {
        return context.not_found();
    };
    let names = share
        .spec
        .subjects
        .iter()
        .map(|subject| format!("{:?} {}", subject.kind, subject.name));
    let end = shares::end(&share).map(moment);
    context.page(&Confirm {
        layout: context.layout("End this share?", Nav::Workspaces),
        text: vec![match end {
            Some(end) => format!(
                "It would end at {}. Open pages of these users are closed within seconds.",
                end.text
            ),
            None => "Open pages of these users are closed within seconds.".to_owned(),
        }],
        names: names.collect(),
        to: format!("{}/share/{}/end", path(&workspace), share.name_any()),
        hidden: vec![("uid".to_owned(), share.metadata.uid.clone().unwrap_or_default())],
        button: "End the share".to_owned(),
        danger: true,
        cancel: format!("{}/share", path(&workspace)),
        command: context.command_instead(|| end_command(&share)),
        ..Confirm::default()
    })
}

/// The answer to the question.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ended {
    uid: String,
}

/// Answers `POST /w/<namespace>/<name>/share/<share>/end`.
pub(crate) async fn end(
    context: Context,
    Path(address): Path<Address>,
    TypedForm(Ended { uid }): TypedForm<Ended>,
) -> Response {
    if find(&context, &address).await.is_none() {
        return context.not_found();
    }
    let (namespace, name, share) = address;
    let back = format!("/w/{namespace}/{name}/share");
    if let Some(answer) = context.read_only_answer(&back) {
        return answer;
    }
    let ended = context
        .as_user()
        .delete::<WorkspaceShare>(&namespace, &share, &uid)
        .await;
    context.log("end share", &namespace, &share, &ended);
    match ended {
        Ok(()) => {
            let is_leaving = |share: &WorkspaceShare| share.metadata.deletion_timestamp.is_some();
            context
                .until(|index| index.share(Some(&uid)).is_none_or(|share| is_leaving(&share)))
                .await;
            see_other(&format!("{back}?done=end"))
        }
        Err(failure) => context.failure_page("The share goes on", &failure, &back),
    }
}

/// Answers `GET /w/<namespace>/<name>/share/<share>/until`.
pub(crate) async fn ask_until(context: Context, Path(address): Path<Address>) -> Response {
    match find(&context, &address).await {
        Some((workspace, share)) => {
            let view = end_view(&context, (&workspace, &share), &Typed::default(), &[]);
            context.page(&view)
        }
        None => context.not_found(),
    }
}

/// Answers `POST /w/<namespace>/<name>/share/<share>/until`.
pub(crate) async fn change_until(
    context: Context,
    Path(address): Path<Address>,
    TypedForm(typed): TypedForm<Typed>,
) -> Response {
    let Some((workspace, share)) = find(&context, &address).await else {
        return context.not_found();
    };
    let (namespace, _, name) = &address;
    let back = format!("{}/share", path(&workspace));
    if let Some(answer) = context.read_only_answer(&back) {
        return answer;
    }
    let again = |wrong: FieldErrors<'_>| {
        let view = end_view(&context, (&workspace, &share), &typed, wrong);
        context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &view)
    };
    let end = match typed.end(context.now) {
        Ok(end) => end,
        Err(wrong) => return again(&[wrong]),
    };
    if let Some(manager) = context.app.index.manager_of(&workspace) {
        let extent = Extent {
            end,
            ..Extent::from_share(&share)
        };
        if let Err(inactive) = extent.within(&manager) {
            return again(&[("until", inactive.to_string())]);
        }
    }
    let as_user = context.as_user();
    let patch = |stored: &WorkspaceShare| {
        let before = shares::end(stored).map(|end| end.to_string());
        if stored.metadata.uid.as_deref() != Some(&*typed.uid) || before.unwrap_or_default() != typed.before {
            return Err(Failure::conflict(
                "Another user changed this share since the page was loaded.",
            ));
        }
        Ok(Some(
            json!({"spec": {"expiresAt": end.map(|end| end.to_string())}}),
        ))
    };
    let changed = as_user.change(namespace, name, patch).await;
    context.log("change share", namespace, name, &changed);
    match changed {
        Ok(changed) => {
            let wanted = shares::end(&changed);
            let uid = changed.metadata.uid.as_deref();
            context
                .until(|index| index.share(uid).is_none_or(|share| shares::end(&share) == wanted))
                .await;
            see_other(&format!("{back}?done=until"))
        }
        Err(failure) => {
            let mut view = end_view(&context, (&workspace, &share), &typed, &typed.refusals(&failure));
            add_failure(&mut view.form, END_UNCHANGED, &failure);
            context.page_with(failure.status(), &view)
        }
    }
}

//! `/w/<namespace>/<name>/share` -> its shares, and a new one as the user (IO).
//!
//! | file | holds |
//! |---|---|
//! | `form.rs` | what can be chosen (pure) |
//! | `typed.rs` | what was typed into the form -> a share (pure) |
//! | `until.rs` | another end of a share |

mod form;
mod typed;
pub(crate) mod until;

use std::sync::Arc;

use api::{Workspace, WorkspaceManager, WorkspaceShare};
use axum::response::Response;
use http::StatusCode;
use jiff::Timestamp;
use kube::ResourceExt as _;
use rules::shares::{self, Extent};
use serde::Deserialize;

use self::form::{change_command, end_path, form};
use self::typed::Typed;
pub(super) use self::typed::name_problem;
use super::answers::{Done, note, see_other};
use super::extract::{Path, Query, TypedForm};
use super::may::{MayBeside, MayEnd, UNKNOWN};
use super::short_form::add_failure;
use super::summary::{above, path};
use super::words::{moment, short};
use crate::app::Context;
use crate::cluster::Failure;
use crate::index::Index;
use crate::views::{Action, Confirm, Nav, Note, Share, ShareList, Shares, State, Tone, Way};
use crate::visible::VisibleWorkspace;

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

fn view(
    context: &Context,
    workspace: &Workspace,
    may: MayBeside,
    typed: &Typed,
    wrong: &[(&str, String)],
) -> Shares {
    let manager = context.app.index.manager_of(workspace);
    let title = format!("Share {}", workspace.spec.display_name);
    let mut layout = context.layout(title, Nav::Workspaces);
    layout.above = above(workspace);
    let blocked = manager.as_deref().and_then(blocker);
    let url = workspace.status.as_ref().and_then(|status| status.url.clone());
    Shares {
        layout,
        list: list(context, workspace, may, manager.as_deref()),
        // What was typed stays also if nothing can be shared any more.
        form: (may.share && (blocked.is_none() || !wrong.is_empty()))
            .then(|| form(context, workspace, manager.as_deref(), typed, wrong)),
        note: blocked,
        link: url.unwrap_or_default(),
    }
}

/// Why nothing can be shared, in the words of the rule.
fn blocker(manager: &WorkspaceManager) -> Option<Note> {
    let empty = Extent {
        subjects: &[],
        begin: Some(Timestamp::UNIX_EPOCH),
        end: Some(Timestamp::UNIX_EPOCH),
    };
    let why = empty.within(manager).err()?;
    Some(note(Tone::Warn, why.to_string()))
}

fn list(
    context: &Context,
    workspace: &Workspace,
    may: MayBeside,
    manager: Option<&WorkspaceManager>,
) -> ShareList {
    let mut found = context.app.index.shares_of(workspace);
    found.sort_by_key(|share| (shares::end(share).is_none(), shares::end(share), share.name_any()));
    let mut all = Vec::new();
    for share in found {
        let live = shares::live(&share, Some(workspace), manager, context.now);
        let ask = format!("{}/share/{}/end", path(workspace), share.name_any());
        let end = context.way(Way::Dialog { to: ask }, end_command(&share));
        let to = end_path(workspace, &share);
        let another_end = context.way(Way::Link { to }, change_command(&share));
        let is_own = api::names::owner(&share.metadata) == Some(&*context.user.name);
        let may_end = match may.end {
            MayEnd::All => true,
            MayEnd::Own => is_own,
            MayEnd::None => false,
        };
        for subject in &share.spec.subjects {
            let action = |label: &str, way: &Way| Action {
                label: label.to_owned(),
                of: subject.name.clone(),
                way: way.clone(),
                ..Action::default()
            };
            let another_end = may.prolong.then(|| action("Change end…", &another_end));
            let end = may_end.then(|| Action {
                danger: true,
                ..action("End", &end)
            });
            all.push(Share {
                name: share.name_any(),
                kind: format!("{:?}", subject.kind),
                with: match &subject.namespace {
                    Some(namespace) => format!("{namespace}:{}", subject.name),
                    None => subject.name.clone(),
                },
                state: match &live {
                    Ok(()) => State {
                        tone: Tone::Good,
                        word: "Active".to_owned(),
                    },
                    Err(_) => State {
                        tone: Tone::Warn,
                        word: "Has no effect".to_owned(),
                    },
                },
                why: live.as_ref().err().map(ToString::to_string).unwrap_or_default(),
                until: shares::end(&share).map(short),
                reason: share.spec.reason.clone().unwrap_or_default(),
                actions: another_end.into_iter().chain(end).collect(),
            });
        }
    }
    ShareList { shares: all }
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

/// The command that does the same.
fn end_command(share: &WorkspaceShare) -> String {
    format!(
        "kubectl delete workspaceshare {} -n {}",
        share.name_any(),
        share.namespace().unwrap_or_default()
    )
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

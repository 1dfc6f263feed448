//! `/w/<namespace>/<name>/edit`, `…/yaml` -> a change that is made as the user (IO).
//!
//! It sends only what differs from the stored workspace. If that is a newer version than the user saw, a page first shows both.
//!
//! | file | holds |
//! |---|---|
//! | `editing.rs` | a workspace and what a user wrote about it -> patch, command, change |
//! | `view.rs` | form, text, or how the newer version differs |

mod editing;
mod view;

use api::Workspace;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::form::values;
use rules::manifest::{self, Document};
use serde::Deserialize;

use self::editing::{Editing, Sending, Then};
use self::view::layout;
use super::answers::{link, see_other};
use super::extract::{Fields, Pairs, Path, Query};
use super::form::checks;
use super::form::draft::{Draft, Format, Hidden, Sent};
use super::form::problems::Problems;
use super::form::unsaved::not_saved;
use super::form::view::Yaml;
use super::may::May;
use super::summary::path;
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Message, Nav, Tone};
use crate::visible::VisibleWorkspace;

/// Answers `GET /w/<namespace>/<name>/edit`.
pub(crate) async fn page(context: Context, Path((namespace, name)): Path<(String, String)>) -> Response {
    match changeable(&context, &namespace, &name).await {
        Ok(seen) => {
            let editing = Editing::new(&context, (*seen.workspace).clone(), None);
            let draft = Draft::new(editing.form.clone(), editing.stored.clone());
            editing
                .page(&context, StatusCode::OK, &draft, &Problems::default())
                .await
        }
        Err(answer) => answer,
    }
}

/// Part of the address of `…/yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct At {
    /// Path of the field that is to be changed.
    field: String,
}

impl At {
    /// A mark at the field. A path that neither form nor text has is not shown: another site may have made the address.
    fn mark(self, draft: &Draft) -> Problems {
        let is_of_path = |byte: u8| byte.is_ascii_alphanumeric() || b"._/[]-".contains(&byte);
        let has = |document: &Document| document.has(&self.field);
        let is_field = self.field.starts_with("spec.")
            && self.field.bytes().all(is_of_path)
            && (draft.form.field(&self.field).is_some() || draft.document.as_ref().is_some_and(has));
        let marks = is_field.then(|| (self.field, "Change this field.".to_owned()));
        Problems(marks.into_iter().collect())
    }
}

/// Answers `GET /w/<namespace>/<name>/yaml`. Who may not change the workspace sees the text alone.
pub(crate) async fn text(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Query(at): Query<At>,
) -> Response {
    let seen = match readable(&context, &namespace, &name).await {
        Ok(seen) => seen,
        Err(answer) => return answer,
    };
    let may = May::ask(&context, &namespace).await.with(&seen);
    let editing = Editing::new(&context, (*seen.workspace).clone(), None);
    let text = manifest::yaml(&editing.form, &editing.stored);
    if !may.change {
        return context.page(&Yaml {
            layout: layout(&context, &editing.stored),
            text,
            cancel: path(&editing.stored),
            ..Yaml::default()
        });
    }
    let draft = Draft {
        workspace: editing.stored.clone(),
        ..Draft::from_text(|_| editing.form.clone(), text, &[])
    };
    let mark = at.mark(&draft);
    editing.page(&context, StatusCode::OK, &draft, &mark).await
}

/// Answers `POST` of both.
pub(crate) async fn save(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Fields(fields): Fields,
) -> Response {
    let mut sending = match read(&context, (&namespace, &name), fields).await {
        Ok(sending) => sending,
        Err(answer) => return answer,
    };
    let nothing_wrong = Problems::default();
    if !sending.draft.is_readable() {
        let problems = sending.draft.problems.clone();
        return sending
            .page(&context, StatusCode::UNPROCESSABLE_ENTITY, &problems)
            .await;
    }
    if sending.next.is_some() || context.read_only().is_some() {
        sending.draft = sending.draft.show_as(sending.next);
        return sending.page(&context, StatusCode::OK, &nothing_wrong).await;
    }
    if sending.is_newer(&context) {
        return sending.newer_page(&context);
    }
    let written = sending.write(&context, false).await;
    if !matches!(written, Ok(None)) {
        context.log("edit", &namespace, &name, &written);
    }
    let failure = match written {
        Ok(changed) => {
            if let Some(changed) = changed {
                context.catch_up(&changed).await;
            }
            return see_other(&format!("{}?done=edit", path(&sending.editing.stored)));
        }
        Err(failure) => failure,
    };
    let mut problems = Problems::from_failure(&failure);
    if matches!(failure.code(), 404 | 409 | 422) {
        let before = sending.editing.stored.metadata.generation;
        // A patch of an older generation is refused as invalid. What is stored now shows whether that is the cause.
        sending = match read(&context, (&namespace, &name), sending.again).await {
            Ok(sending) => sending,
            Err(answer) => return answer,
        };
        if sending.is_newer(&context) {
            return sending.newer_page(&context);
        }
        if sending.editing.stored.metadata.generation != before {
            let why = "Nothing was saved: the workspace was started or stopped meanwhile. Save once more.";
            problems = Problems(vec![(String::new(), why.to_owned())]);
        }
    }
    sending.page(&context, failure.status(), &problems).await
}

/// Answers `POST /w/<namespace>/<name>/edit/check`: what the API server would say.
pub(crate) async fn check(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Fields(fields): Fields,
) -> Response {
    if let Some(answer) = checks::too_soon(&context) {
        return answer;
    }
    let sending = match read(&context, (&namespace, &name), fields).await {
        Ok(sending) => sending,
        Err(answer) => return answer,
    };
    Box::pin(checks::answer(
        (&context, &namespace),
        &sending.draft,
        Some(&values(&sending.draft.form, &sending.editing.stored)),
        sending.write(&context, true),
    ))
    .await
}

/// The workspace, if the user sees its values.
async fn readable(context: &Context, namespace: &str, name: &str) -> Result<VisibleWorkspace, Response> {
    let seen = context.readable_workspace(namespace, name).await;
    seen.ok_or_else(|| context.not_found())
}

/// The workspace, if the user may change it.
async fn changeable(context: &Context, namespace: &str, name: &str) -> Result<VisibleWorkspace, Response> {
    let seen = readable(context, namespace, name).await?;
    if May::ask(context, namespace).await.with(&seen).change {
        return Ok(seen);
    }
    let message = Message {
        layout: layout(context, &seen.workspace),
        tone: Tone::Warn,
        kind: "Not allowed".to_owned(),
        why: vec![
            "You may not change this workspace. Its owner and administrators of the namespace may."
                .to_owned(),
        ],
        now: vec!["Ask one of them, or ask for the verb `patch` on workspaces.".to_owned()],
        actions: vec![
            link("Back", &path(&seen.workspace)),
            link("Show it as YAML", &format!("{}/yaml", path(&seen.workspace))),
        ],
        ..Message::default()
    };
    Err(context.page_with(StatusCode::FORBIDDEN, &message))
}

/// The form or text that was sent, with the workspace as it is stored now. The API server decides whether the user may change it.
async fn read(
    context: &Context,
    (namespace, name): (&str, &str),
    fields: Pairs,
) -> Result<Sending, Response> {
    let again = fields.clone();
    let mut sent = Sent(fields);
    let wrong = |why: String| context.wrong_form(&why);
    let hidden = Hidden::take(&mut sent).map_err(wrong)?;
    let page = if hidden.written == Format::Yaml {
        "yaml"
    } else {
        "edit"
    };
    let at = format!("/w/{namespace}/{name}/{page}");
    let lost = |(status, why): Lost| not_saved(context, (status, *why), &at, &again);
    let uid = sent.take("uid").map_err(wrong)?;
    let seen = sent.take("seen").map_err(wrong)?;
    let then = match &*sent.take("do").map_err(wrong)? {
        "" | "save" => Then::Nothing,
        "start" => Then::Start,
        "restart" => Then::Restart,
        other => {
            return Err(wrong(format!(
                "There is no action {other:?}: it is save, start or restart."
            )));
        }
    };
    let readable = context.readable_workspace(namespace, name).await;
    let mut known = (*readable.ok_or_else(|| gone(context)).map_err(lost)?.workspace).clone();
    known.metadata.uid = Some(uid);
    let stored = read_stored(context, &known).await.map_err(lost)?;
    let editing = Editing::new(context, stored, Some(seen));
    let draft = editing.draft(context, &hidden, sent).map_err(wrong)?;
    Ok(Sending {
        editing,
        draft,
        next: hidden.next,
        then,
        at,
        again,
    })
}

/// The workspace as it is stored now, read as the user.
async fn read_stored(context: &Context, known: &Workspace) -> Result<Workspace, Lost> {
    let (namespace, name) = (known.namespace().unwrap_or_default(), known.name_any());
    let stored = if context.read_only().is_some() {
        context
            .app
            .index
            .workspace(&namespace, &name)
            .map(|known| (*known).clone())
            .ok_or_else(|| gone(context))?
    } else {
        let read = context.as_user().get::<Workspace>(Some(&namespace), &name).await;
        read.map_err(|failure| unread(context, &failure))?
    };
    if stored.metadata.uid == known.metadata.uid {
        Ok(stored)
    } else {
        Err(replaced(context))
    }
}

/// Why the workspace of an open form cannot be changed.
type Lost = (StatusCode, Box<Message>);

/// There is nothing of this name that the user may see.
fn gone(context: &Context) -> Lost {
    (StatusCode::NOT_FOUND, Box::new(context.absent()))
}

/// Its name belongs to another workspace, which the user sees.
fn replaced(context: &Context) -> Lost {
    let message = Message {
        layout: context.layout("This is another workspace of the same name now", Nav::None),
        tone: Tone::Warn,
        why: vec![
            "The workspace that you opened the form for was deleted. Another one was created with its name."
                .to_owned(),
        ],
        actions: vec![link("Your workspaces", "/")],
        ..Message::default()
    };
    (StatusCode::CONFLICT, Box::new(message))
}

/// The API server does not let the user read it, or does not answer.
fn unread(context: &Context, failure: &Failure) -> Lost {
    if failure.is_not_found() {
        return gone(context);
    }
    let message = Message {
        layout: context.layout("The workspace cannot be read", Nav::None),
        tone: Tone::Warn,
        why: vec!["The API server did not give it to you.".to_owned()],
        server: failure.to_string(),
        actions: vec![link("Your workspaces", "/")],
        ..Message::default()
    };
    (failure.status(), Box::new(message))
}

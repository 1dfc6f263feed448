//! `/w/<namespace>/<name>/edit`, `…/yaml` -> a change that is made as the user (IO).
//!
//! It sends only what the user changed. If another user changed the workspace meanwhile, a page first shows both changes.

use api::Workspace;
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use rules::manifest::{self, Document};
use serde::Deserialize;

use super::changes::Editable;
use super::checks;
use super::draft::{Draft, Hidden, View};
use super::editing::{Editing, Sending, Then, layout};
use super::lost::Lost;
use super::problems::Problems;
use super::room;
use super::sent::Sent;
use crate::app::Context;
use crate::pages::answers::{link, see_other};
use crate::pages::extract::{Fields, Pairs, Path, Query};
use crate::pages::may::May;
use crate::pages::summary::path;
use crate::views;
use crate::views::{Message, Tone};
use crate::visible::Seen;

/// How often a change is tried on a workspace whose status changes meanwhile.
const ATTEMPTS: usize = 5;

/// Answers `GET /w/<namespace>/<name>/edit`.
pub(crate) async fn page(context: Context, Path((namespace, name)): Path<(String, String)>) -> Response {
    match changeable(&context, &namespace, &name).await {
        Ok(seen) => {
            let editing = Editing::of(&context, (*seen.workspace).clone(), None).await;
            let draft = Draft::of(editing.form.clone(), editing.stored.clone());
            let yours = editing.stored.clone();
            editing
                .shown(&context, StatusCode::OK, &draft, &yours, &Problems::default())
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
    let may = May::of(&context, &namespace).await.with(&seen);
    let editing = Editing::of(&context, (*seen.workspace).clone(), None).await;
    let text = manifest::yaml(&editing.form, &editing.stored);
    if !may.change {
        return context.page(&views::Yaml {
            layout: layout(&context, &editing.stored),
            text,
            cancel: path(&editing.stored),
            ..views::Yaml::default()
        });
    }
    let draft = Draft::of_text(editing.form.clone(), text, &[]);
    let yours = editing.stored.clone();
    let mark = at.mark(&draft);
    editing
        .shown(&context, StatusCode::OK, &draft, &yours, &mark)
        .await
}

/// Answers `POST` of both.
pub(crate) async fn save(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    Fields(fields): Fields,
) -> Response {
    let mut sending = match sent(&context, (&namespace, &name), fields).await {
        Ok(sending) => sending,
        Err(answer) => return answer,
    };
    if !sending.stop.is_empty() {
        let form = format!("/w/{namespace}/{name}/edit");
        match room::stop(&context, &namespace, &sending.stop, (&form, &sending.again)).await {
            Ok(said) => sending.draft.said = Some(said),
            Err(question) => return question,
        }
    }
    let nothing_wrong = Problems::default();
    if !sending.draft.is_readable() {
        let problems = sending.draft.problems.clone();
        return sending
            .shown(&context, StatusCode::UNPROCESSABLE_ENTITY, &problems)
            .await;
    }
    match sending.next {
        Some(View::Yaml) => {
            let text = sending.draft.to_text();
            sending.draft = Draft::of_text(sending.editing.form.clone(), text, &[]);
            return sending.shown(&context, StatusCode::OK, &nothing_wrong).await;
        }
        Some(View::Form) => {
            sending.draft.written = View::Form;
            return sending.shown(&context, StatusCode::OK, &nothing_wrong).await;
        }
        None => {}
    }
    if context.read_only().is_some() {
        let problems = sending.judged(&context);
        return sending.shown(&context, StatusCode::OK, &problems).await;
    }
    for attempt in 1.. {
        if sending.is_conflict() {
            return sending.conflict(&context);
        }
        let broken = sending.judged(&context);
        if !broken.is_empty() {
            return sending
                .shown(&context, StatusCode::UNPROCESSABLE_ENTITY, &broken)
                .await;
        }
        let failure = match sending.write(&context, false).await {
            Ok(changed) => {
                if changed.is_some() {
                    context.log("edit", &namespace, &name, "done");
                }
                let version = changed.and_then(|changed| changed.metadata.resource_version);
                context
                    .app
                    .index
                    .caught_up(&namespace, &name, &version.unwrap_or_default())
                    .await;
                return see_other(&format!("{}?done=edit", path(&sending.editing.stored)));
            }
            Err(failure) => failure,
        };
        // A patch for another version is refused as invalid. The stored object shows whether that is the cause.
        if attempt < ATTEMPTS && matches!(failure.code(), 409 | 422) {
            match Lost::renewed(&mut sending, &context).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(lost) => {
                    context.log("edit", &namespace, &name, "failed");
                    return lost.answer(&context, (&namespace, &name), &sending.again).await;
                }
            }
        }
        context.log("edit", &namespace, &name, "failed");
        if failure.is_not_found() {
            let lost = Lost::Deleted.answer(&context, (&namespace, &name), &sending.again);
            return lost.await;
        }
        return sending
            .shown(&context, failure.status(), &Problems::of_failure(&failure))
            .await;
    }
    unreachable!("the last attempt returns")
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
    let sending = match sent(&context, (&namespace, &name), fields).await {
        Ok(sending) => sending,
        Err(answer) => return answer,
    };
    Box::pin(checks::answer(
        (&context, &namespace),
        &sending.draft,
        Some(&sending.editing.values_before()),
        || sending.judged(&context),
        sending.write(&context, true),
        sending.editing.quotas(&context, &sending.yours),
    ))
    .await
}

/// The workspace, if the user sees its values.
async fn readable(context: &Context, namespace: &str, name: &str) -> Result<Seen, Response> {
    let seen = context.readable(namespace, name).await;
    seen.ok_or_else(|| context.not_found())
}

/// The workspace, if the user may change it.
async fn changeable(context: &Context, namespace: &str, name: &str) -> Result<Seen, Response> {
    let seen = readable(context, namespace, name).await?;
    if May::of(context, namespace).await.with(&seen).change {
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
async fn sent(
    context: &Context,
    (namespace, name): (&str, &str),
    fields: Pairs,
) -> Result<Sending, Response> {
    let seen = context.readable(namespace, name).await;
    let mut sent = Sent(fields);
    let wrong = |why: String| context.wrong_form(&why);
    let again = sent.0.clone();
    let Some(seen) = seen else {
        let lost = Lost::of_unseen(context, namespace, name).await;
        return Err(lost.answer(context, (namespace, name), &again).await);
    };
    let hidden = Hidden::take(&mut sent).map_err(wrong)?;
    let uid = sent.take("uid").map_err(wrong)?;
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
    let before = sent.take("before").map_err(wrong)?;
    let shown = sent.take("seen").map_err(wrong)?;
    let of_page = |text: &str| {
        let parsed = Editable::parse(text).filter(|editable| editable.over(&seen.workspace).is_some());
        parsed.ok_or_else(|| "The values that the form was opened with cannot be read.".to_owned())
    };
    let before = of_page(&before).map_err(wrong)?;
    let shown = if shown.is_empty() {
        None
    } else {
        Some(of_page(&shown).map_err(wrong)?)
    };
    let stored = match stored(context, &seen, &uid).await {
        Ok(stored) => stored,
        Err(lost) => return Err(lost.answer(context, (namespace, name), &again).await),
    };
    let editing = Editing::of(context, stored, Some(before)).await;
    let (draft, yours) = editing.draft(&hidden, sent).map_err(wrong)?;
    Ok(Sending {
        editing,
        draft,
        yours,
        next: hidden.next,
        stop: hidden.stop,
        then,
        seen: shown,
        again,
    })
}

/// The workspace as it is stored now, read as the user.
async fn stored(context: &Context, seen: &Seen, uid: &str) -> Result<Workspace, Lost> {
    let workspace = &seen.workspace;
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let stored = if context.read_only().is_some() {
        (**workspace).clone()
    } else {
        let read = context.as_user().get::<Workspace>(Some(&namespace), &name).await;
        read.map_err(Lost::of_failure)?
    };
    if stored.metadata.uid.as_deref() == Some(uid) {
        Ok(stored)
    } else {
        Err(Lost::Replaced)
    }
}

//! `/w/<namespace>/<name>/share/<share>/until` -> another end, written as the user (IO).

use api::{Workspace, WorkspaceShare};
use axum::response::Response;
use http::StatusCode;
use rules::shares::{self, Extent};
use serde_json::json;

use super::form::end_form;
use super::typed::Typed;
use super::{Address, find};
use crate::app::Context;
use crate::cluster::Failure;
use crate::pages::answers::{note, see_other};
use crate::pages::extract::{Path, TypedForm};
use crate::pages::short_form::{FieldErrors, add_failure};
use crate::pages::summary::{above, path};
use crate::pages::words::moment;
use crate::views::{Edit, Nav, Tone};

/// Title of the summary after a failed change.
const UNCHANGED: &str = "The end stays as it was";

/// Answers `GET`.
pub(crate) async fn ask(context: Context, Path(address): Path<Address>) -> Response {
    match find(&context, &address).await {
        Some((workspace, share)) => {
            let view = view(&context, (&workspace, &share), &Typed::default(), &[]);
            context.page(&view)
        }
        None => context.not_found(),
    }
}

fn view(context: &Context, of: (&Workspace, &WorkspaceShare), typed: &Typed, wrong: FieldErrors<'_>) -> Edit {
    let (workspace, share) = of;
    let mut layout = context.layout("Change the end of a share", Nav::Workspaces);
    layout.above = above(workspace);
    layout.above.push((
        format!("Share {}", workspace.spec.display_name),
        format!("{}/share", path(workspace)),
    ));
    let subjects = share.spec.subjects.iter();
    let names: Vec<_> = subjects
        .map(|subject| format!("{:?} {}", subject.kind, subject.name))
        .collect();
    let end = shares::end(share).map_or_else(|| "never".to_owned(), |end| moment(end).text);
    layout.notes.push(note(
        Tone::Calm,
        format!("{}. It ends now: {end}.", names.join(", ")),
    ));
    let manager = context.app.index.manager_of(workspace);
    Edit {
        layout,
        form: end_form(context, of, manager.as_deref(), typed, wrong),
        ..Edit::default()
    }
}

/// Answers `POST`.
pub(crate) async fn change(
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
        let view = view(&context, (&workspace, &share), &typed, wrong);
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
            let mut view = view(&context, (&workspace, &share), &typed, &typed.refusals(&failure));
            add_failure(&mut view.form, UNCHANGED, &failure);
            context.page_with(failure.status(), &view)
        }
    }
}

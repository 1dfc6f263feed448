//! `/w/<namespace>/<name>/owner` -> another owner, written as the user (IO).

use api::Workspace;
use api::names::{CREATED_BY, owner};
use axum::response::Response;
use http::StatusCode;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::json;

use super::answers::{note, see_other};
use super::extract::{Path, TypedForm};
use super::form::view::{Edit, Form as FormView};
use super::sharing::name_problem;
use super::short_form::{FieldErrors, add_failure, buttons, name_field, section, summary};
use super::summary::{above, path};
use crate::app::Context;
use crate::cluster::Failure;
use crate::views::{Nav, Tone};

/// Title of the summary after a failed change.
const UNCHANGED: &str = "The owner stays as it was";

/// Answers `GET`.
pub(crate) async fn ask(context: Context, Path((namespace, name)): Path<(String, String)>) -> Response {
    match context.readable_workspace(&namespace, &name).await {
        Some(seen) => context.page(&view(&context, &seen.workspace, "", &[])),
        None => context.not_found(),
    }
}

/// The form with what was typed and what is wrong with it.
fn view(context: &Context, workspace: &Workspace, typed: &str, wrong: FieldErrors<'_>) -> Edit {
    let present = owner(&workspace.metadata).unwrap_or_default();
    let mut layout = context.layout(
        format!("Hand over {}", workspace.spec.display_name),
        Nav::Workspaces,
    );
    layout.above = above(workspace);
    let shares = match context.app.index.shares_of(workspace).len() {
        0 => String::new(),
        1 => " Its share ends.".to_owned(),
        several => format!(" Its {several} shares end."),
    };
    layout.notes.push(note(
        Tone::Warn,
        format!(
            "The owner is `{present}`. The new owner gets the workspace with all its files, and `{present}` loses the rights of an \
             owner.{shares} A running workspace goes on."
        ),
    ));
    let of = [("users", &*context.app.parts.prefixes.users)];
    let fields = vec![name_field("owner", "New owner", typed, &of, wrong)];
    let command = || {
        format!(
            "kubectl annotate --overwrite workspace {} -n {} {CREATED_BY}=NAME",
            workspace.name_any(),
            workspace.namespace().unwrap_or_default()
        )
    };
    Edit {
        layout,
        form: FormView {
            to: format!("{}/owner", path(workspace)),
            hidden: vec![
                ("uid".to_owned(), workspace.uid().unwrap_or_default()),
                ("before".to_owned(), present.to_owned()),
            ],
            summary: summary(&fields, wrong),
            sections: section(fields),
            buttons: buttons(context, "Hand over"),
            cancel: path(workspace),
            command: context.command_instead(command),
            ..FormView::default()
        },
        ..Edit::default()
    }
}

/// The form as it was sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnerForm {
    uid: String,
    before: String,
    owner: String,
}

/// Answers `POST`.
pub(crate) async fn change(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    TypedForm(sent): TypedForm<OwnerForm>,
) -> Response {
    let Some(seen) = context.readable_workspace(&namespace, &name).await else {
        return context.not_found();
    };
    let back = path(&seen.workspace);
    if let Some(answer) = context.read_only_answer(&back) {
        return answer;
    }
    let (uid, before, wanted) = (&*sent.uid, &*sent.before, &*sent.owner);
    let as_user = context.as_user();
    let workspace = &*seen.workspace;
    let wrong = if wanted == before {
        Some(format!(
            "{wanted:?} owns the workspace already: type another name."
        ))
    } else {
        name_problem(wanted)
    };
    if let Some(wrong) = wrong {
        let view = view(&context, workspace, wanted, &[("owner", wrong)]);
        return context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &view);
    }
    let patch = |stored: &Workspace| {
        if stored.metadata.uid.as_deref() != Some(uid)
            || owner(&stored.metadata).unwrap_or_default() != before
        {
            return Err(Failure::conflict(
                "The workspace got another owner or was recreated since this page was loaded.",
            ));
        }
        Ok(Some(json!({"metadata": {"annotations": {CREATED_BY: wanted}}})))
    };
    let changed = as_user.change(&namespace, &name, patch).await;
    context.log("hand over", &namespace, &name, &changed);
    match changed {
        Ok(changed) => {
            context.catch_up(&changed).await;
            match context.visible_workspace(&namespace, &name).await {
                Some(_) => see_other(&format!("{back}?done=owner")),
                None => see_other("/?done=owner"),
            }
        }
        Err(failure) => {
            let field = if failure.code() == 422 { "owner" } else { "" };
            let mut view = view(&context, workspace, wanted, &[(field, failure.to_string())]);
            add_failure(&mut view.form, UNCHANGED, &failure);
            context.page_with(failure.status(), &view)
        }
    }
}

//! Bounds of the manager and what was typed -> the forms of a share and of its end (pure).

use api::manager::Sharing;
use api::{Workspace, WorkspaceManager, WorkspaceShare};
use kube::ResourceExt as _;
use rules::shares;

use super::typed::{ENDS, Typed, rendered_at};
use crate::app::Context;
use crate::pages::short_form::{FieldErrors, buttons, field, name_field, section, summary};
use crate::pages::summary::path;
use crate::views::{Choice, Field, Form as FormView, Input};

/// The manager's bounds.
fn bounds(manager: Option<&WorkspaceManager>) -> Sharing {
    let authorization = manager.and_then(|manager| manager.spec.authorization.clone());
    authorization
        .and_then(|authorization| authorization.sharing)
        .unwrap_or_default()
}

fn choice(value: &str, label: &str) -> Choice {
    Choice {
        value: value.to_owned(),
        label: label.to_owned(),
    }
}

fn or(typed: &str, first: &str) -> String {
    if typed.is_empty() {
        first.to_owned()
    } else {
        typed.to_owned()
    }
}

/// With whom it may be shared.
fn kinds(sharing: &Sharing) -> Vec<Choice> {
    let mut kinds = vec![choice("User", "A user")];
    if sharing.allow_groups {
        kinds.push(choice("Group", "A group"));
    }
    kinds.push(choice("ServiceAccount", "A service account"));
    kinds
}

/// Until when. `age`: minutes since the share was made, which count against its longest time.
fn end_fields(sharing: &Sharing, age: i64, typed: &Typed, wrong: FieldErrors<'_>) -> [Field; 2] {
    let most = sharing.max_duration_minutes;
    let fits = |hours: i64| most.is_none_or(|most| age + hours * 60 <= most);
    let offered = ENDS.iter().filter(|(.., hours)| fits(*hours));
    let mut ends: Vec<_> = offered.map(|(value, label, _)| choice(value, label)).collect();
    ends.push(choice("date", "After the date below"));
    if most.is_none() {
        ends.push(choice("never", "Never: until the share is ended"));
    }
    let first = ends.first().map(|end| end.value.clone()).unwrap_or_default();
    let until = Input::Choice {
        value: or(&typed.until, &first),
        choices: ends,
    };
    [
        field("until", "Ends", until, wrong),
        Field {
            hint: "such as 2026-12-31, the whole day in UTC".to_owned(),
            ..field("date", "Date", Input::text(&typed.date), wrong)
        },
    ]
}

/// The form with what was typed and what is wrong with it.
pub(super) fn form(
    context: &Context,
    workspace: &Workspace,
    manager: Option<&WorkspaceManager>,
    typed: &Typed,
    wrong: FieldErrors<'_>,
) -> FormView {
    let sharing = bounds(manager);
    let with = Input::Choice {
        value: or(&typed.kind, "User"),
        choices: kinds(&sharing),
    };
    let prefixes = &context.app.parts.prefixes;
    let of = [("users", &*prefixes.users), ("groups", &*prefixes.groups)];
    let mut name = name_field("name", "Name", &typed.name, &of, wrong);
    name.help
        .push_str(" Of a service account: namespace and name, such as `ci:robot`.");
    let mut fields = vec![field("kind", "With", with, wrong), name];
    fields.extend(end_fields(&sharing, 0, typed, wrong));
    fields.push(field("reason", "Reason", Input::text(&typed.reason), wrong));
    let command = || {
        format!(
            "kubectl workspace share {} -n {} --user NAME --for 8h",
            workspace.name_any(),
            workspace.namespace().unwrap_or_default()
        )
    };
    let rendered = or(&typed.rendered, &rendered_at(context.now));
    FormView {
        to: format!("{}/share", path(workspace)),
        hidden: vec![
            ("uid".to_owned(), workspace.uid().unwrap_or_default()),
            ("rendered".to_owned(), rendered),
        ],
        summary: summary(&fields, wrong),
        sections: section(fields),
        buttons: buttons(context, "Share"),
        cancel: path(workspace),
        command: context.command_instead(command),
        ..FormView::default()
    }
}

/// The form of another end.
pub(super) fn end_form(
    context: &Context,
    (workspace, share): (&Workspace, &WorkspaceShare),
    manager: Option<&WorkspaceManager>,
    typed: &Typed,
    wrong: FieldErrors<'_>,
) -> FormView {
    let made = share.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let age = made.map_or(0, |made| context.now.duration_since(made).as_mins());
    let fields = end_fields(&bounds(manager), age.max(0), typed, wrong).to_vec();
    let before = shares::end(share).map(|end| end.to_string());
    FormView {
        to: end_path(workspace, share),
        hidden: vec![
            ("uid".to_owned(), share.metadata.uid.clone().unwrap_or_default()),
            ("before".to_owned(), before.unwrap_or_default()),
        ],
        summary: summary(&fields, wrong),
        sections: section(fields),
        buttons: buttons(context, "Save"),
        cancel: format!("{}/share", path(workspace)),
        command: context.command_instead(|| change_command(share)),
        ..FormView::default()
    }
}

/// The command that does the same.
pub(super) fn change_command(share: &WorkspaceShare) -> String {
    format!(
        "kubectl patch workspaceshare {} -n {} --type merge -p '{{\"spec\":{{\"expiresAt\":\"TIME\"}}}}'",
        share.name_any(),
        share.namespace().unwrap_or_default()
    )
}

/// Address of that form.
pub(super) fn end_path(workspace: &Workspace, share: &WorkspaceShare) -> String {
    format!("{}/share/{}/until", path(workspace), share.name_any())
}

//! A form above a quota -> the user's own running workspaces, and the stop of one (IO).

use api::Workspace;
use api::workspace::DesiredStatus;
use axum::response::Response;
use explain::consequence::{self, Consequence};
use kube::ResourceExt as _;

use crate::app::Context;
use crate::index::Index;
use crate::pages::answers::note;
use crate::pages::may::{May, own_running};
use crate::pages::{actions, summary};
use crate::views::{Action, Message, Nav, Note, Running, Tone, Way};
use crate::visible::AccessLevel;

/// The answer to the question before a stop that deletes files.
const SURE: &str = "delete-files";

/// The user's own running workspaces in the namespace. Their buttons send the form, so that what was typed stays.
/// `except`: the workspace that is being changed.
pub(super) async fn running(context: &Context, namespace: &str, except: Option<&str>) -> Vec<Running> {
    let may = May::to_stop(context, namespace).await;
    let own = own_running(context, may, namespace, except);
    own.iter().map(|workspace| row(workspace)).collect()
}

fn row(workspace: &Workspace) -> Running {
    let name = workspace.name_any();
    let stop = Consequence::from_action(consequence::Action::Stop, workspace);
    let loses_files = stop.as_ref().is_some_and(|stop| stop.loses_files);
    let uid = workspace.metadata.uid.as_deref().unwrap_or_default();
    Running {
        name: workspace.spec.display_name.clone(),
        to: summary::path(workspace),
        size: summary::size(workspace).join(", "),
        consequence: stop.map(|stop| stop.text).unwrap_or_default(),
        action: Action {
            label: label(loses_files).to_owned(),
            way: Way::Submit {
                name: "stop".to_owned(),
                value: format!("{name}/{uid}"),
            },
            of: name,
            danger: loses_files,
            ..Action::default()
        },
    }
}

fn label(loses_files: bool) -> &'static str {
    if loses_files {
        "Stop, and delete its files"
    } else {
        "Stop"
    }
}

/// Stops one of these, `<name>/<uid>`. The answer stands above the form. `form`: its address and all fields that were sent.
/// `Err`: the question before a stop that deletes files. Its answer is `<name>/<uid>/delete-files`.
pub(super) async fn stop(
    context: &Context,
    namespace: &str,
    which: &str,
    form: (&str, &[(String, String)]),
) -> Result<Note, Response> {
    let (name, uid) = which.split_once('/').unwrap_or((which, ""));
    let (uid, is_sure) = uid
        .split_once('/')
        .map_or((uid, false), |(uid, answer)| (uid, answer == SURE));
    if let Some(why) = context.read_only_in(namespace) {
        return Ok(note(Tone::Bad, why));
    }
    let seen = context.seen(namespace, name).await;
    let own = seen.filter(|seen| {
        seen.level == AccessLevel::Owner && seen.workspace.metadata.uid.as_deref() == Some(uid)
    });
    let Some(own) = own else {
        let text = "The workspace that you wanted to stop is gone, or it is not yours any more. Nothing was stopped, and what you typed is \
                    still here.";
        return Ok(note(Tone::Warn, text));
    };
    let consequence = Consequence::from_action(consequence::Action::Stop, &own.workspace);
    if let Some(lost) = consequence.filter(|stop| stop.loses_files && !is_sure) {
        return Err(question(context, &own.workspace, lost.text, form));
    }
    if let Err(failure) = actions::stop(context, &own).await {
        return Ok(note(Tone::Bad, format!("`{name}` was not stopped: {failure}")));
    }
    let has_stopped = |index: &Index| {
        let known = index.workspace(namespace, name);
        known.is_none_or(|known| known.spec.desired_status != DesiredStatus::Running)
    };
    context.until(has_stopped).await;
    Ok(note(
        Tone::Wait,
        format!(
            "`{name}` is being stopped. What it uses of the quota is free when its pod has ended. What you typed is still here."
        ),
    ))
}

/// The page before a stop that deletes files. Both of its answers keep what was typed.
fn question(
    context: &Context,
    workspace: &Workspace,
    consequence: String,
    (to, fields): (&str, &[(String, String)]),
) -> Response {
    let name = workspace.name_any();
    let uid = workspace.metadata.uid.as_deref().unwrap_or_default();
    let send = |label: &str, field: &str, value: String, danger: bool| {
        let mut hidden = fields.to_vec();
        hidden.retain(|(name, _)| name != "stop");
        hidden.push((field.to_owned(), value));
        Action {
            label: label.to_owned(),
            way: Way::Post {
                to: to.to_owned(),
                hidden,
            },
            danger,
            ..Action::default()
        }
    };
    context.page(&Message {
        layout: context.layout(format!("Stop {name}, and delete its files?"), Nav::Workspaces),
        tone: Tone::Bad,
        why: vec![consequence],
        now: vec![
            "Nothing was stopped yet. Both buttons lead back to the form with what you typed.".to_owned(),
        ],
        actions: vec![
            send(label(true), "stop", format!("{name}/{uid}/{SURE}"), true),
            send("Back to the form", "view", "form".to_owned(), false),
        ],
        ..Message::default()
    })
}

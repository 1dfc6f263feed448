//! Start, stop, restart, delete -> a question, then one change as the user (IO).

use api::Workspace;
use api::names::RESTARTED_AT;
use api::workspace::DesiredStatus;
use axum::response::Response;
use explain::consequence::{self, Consequence};
use http::StatusCode;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::see_other;
use super::extract::{Form, Path};
use super::may::May;
use super::summary::{command, path, pending};
use super::words::bytes;
use crate::app::Context;
use crate::cluster::Failure;
use crate::index::Index;
use crate::views::{Confirm, Consequence as Shown, Nav, Pending};
use crate::visible::{AccessLevel, Seen};

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Start,
    Stop,
    Restart,
    Delete,
}

impl Action {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Delete => "delete",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Restart => "Restart",
            Self::Delete => "Delete",
        }
    }

    /// Whether the user may do it.
    fn is_among(self, may: May) -> bool {
        match self {
            Self::Start | Self::Stop | Self::Restart => may.change,
            Self::Delete => may.delete,
        }
    }

    fn rule(self) -> consequence::Action {
        match self {
            Self::Start => consequence::Action::Start,
            Self::Stop => consequence::Action::Stop,
            Self::Restart => consequence::Action::Restart,
            Self::Delete => consequence::Action::Delete,
        }
    }
}

/// Answers `GET /w/<namespace>/<name>/<action>`: what would happen, and a button.
pub(crate) async fn ask(
    context: Context,
    Path((namespace, name, action)): Path<(String, String, String)>,
) -> Response {
    let Some(action) = Action::named(&action) else {
        return context.not_found();
    };
    match askable(&context, &namespace, &name, action).await {
        Some(seen) => context.page(&confirm(&context, &seen, action, None)),
        None => context.not_found(),
    }
}

/// The workspace, if the user sees it. For guests the action exists only if their roles allow it.
async fn askable(context: &Context, namespace: &str, name: &str, action: Action) -> Option<Seen> {
    let seen = context.seen(namespace, name).await?;
    let is_guest = matches!(seen.level, AccessLevel::Guest { .. });
    if is_guest && !action.is_among(May::of(context, namespace).await.with(&seen)) {
        return None;
    }
    Some(seen)
}

/// The question. `typed`: a wrong answer.
fn confirm(context: &Context, seen: &Seen, action: Action, typed: Option<&str>) -> Confirm {
    let workspace = &*seen.workspace;
    // What becomes of files says how the disk is, which guests do not see.
    let is_guest = matches!(seen.level, AccessLevel::Guest { .. });
    let consequence = Consequence::from_action(action.rule(), workspace).filter(|_| !is_guest);
    let loses_files = consequence.as_ref().is_some_and(|it| it.loses_files);
    let at = path(workspace);
    let must_type = action == Action::Delete && (loses_files || is_guest);
    let ask_owner =
        "Ask its owner first what would be lost: only the owner and users who may list workspaces see that.";
    let text = if is_guest {
        vec![ask_owner.to_owned()]
    } else {
        let applied = applied(workspace).filter(|_| action == Action::Restart);
        consequence.map(|it| it.text).into_iter().chain(applied).collect()
    };
    let read_only = context.read_only().is_some();
    Confirm {
        layout: context.layout(
            format!("{} {}?", action.label(), workspace.spec.display_name),
            Nav::Workspaces,
        ),
        text,
        consequences: if is_guest {
            Vec::new()
        } else {
            consequences(workspace, action)
        },
        to: format!("{at}/{}", action.verb()),
        hidden: vec![(
            "uid".to_owned(),
            workspace.metadata.uid.clone().unwrap_or_default(),
        )],
        typed: if must_type {
            workspace.name_any()
        } else {
            String::new()
        },
        error: typed
            .map(|typed| {
                format!(
                    "{typed:?} is not the name of the workspace: type {:?}.",
                    workspace.name_any()
                )
            })
            .unwrap_or_default(),
        button: format!("{} workspace", action.label()),
        danger: action == Action::Delete || loses_files,
        cancel: at,
        command: if read_only {
            command(workspace, action.verb())
        } else {
            String::new()
        },
        ..Confirm::default()
    }
}

/// The changes that a restart applies, as the workspace's page names them; `None` if none waits.
fn applied(workspace: &Workspace) -> Option<String> {
    let pending = Pending {
        fields: pending(workspace),
        ..Pending::default()
    };
    let fields: Vec<_> = pending.fields.iter().map(|field| format!("`{field}`")).collect();
    (!fields.is_empty()).then(|| format!("{}: {}.", pending.title(), fields.join(", ")))
}

/// What goes and what stays.
fn consequences(workspace: &Workspace, action: Action) -> Vec<Shown> {
    let runs = workspace.spec.desired_status == DesiredStatus::Running;
    let mut shown = Vec::new();
    if runs && action != Action::Start {
        shown.push(Shown {
            lost: true,
            what: "Kernels and terminals".to_owned(),
            effect: "end".to_owned(),
        });
    }
    if action != Action::Delete {
        return shown;
    }
    let status = workspace.status.as_ref();
    let storage = status
        .and_then(|status| status.resolved.as_ref())
        .and_then(|resolved| resolved.storage.as_ref());
    let loses_files =
        Consequence::from_action(consequence::Action::Delete, workspace).is_some_and(|it| it.loses_files);
    if let Some(storage) = storage.filter(|storage| !storage.ephemeral) {
        let claim = storage.claim_name.clone();
        let size = storage.size.as_ref().map(bytes);
        shown.push(Shown {
            lost: loses_files,
            what: format!(
                "Disk {}",
                claim.unwrap_or_else(|| rules::names::child(&workspace.name_any()))
            ),
            effect: match (size, loses_files) {
                (Some(size), true) => format!("{size}, deleted with all files"),
                (None, true) => "deleted with all files".to_owned(),
                (Some(size), false) => format!("{size}, kept"),
                (None, false) => "kept".to_owned(),
            },
        });
    }
    shown.push(Shown {
        lost: true,
        what: "Shares".to_owned(),
        effect: "end".to_owned(),
    });
    shown
}

/// The answer to the question.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Confirmed {
    uid: String,
    /// The name, where it has to be typed.
    name: String,
}

/// Answers `POST /w/<namespace>/<name>/<action>`.
pub(crate) async fn act(
    context: Context,
    Path((namespace, name, action)): Path<(String, String, String)>,
    Form(Confirmed { uid, name: typed }): Form<Confirmed>,
) -> Response {
    let Some(action) = Action::named(&action) else {
        return context.not_found();
    };
    let back = format!("/w/{namespace}/{name}");
    let Some(seen) = askable(&context, &namespace, &name, action).await else {
        return context.not_found();
    };
    if let Some(why) = context.read_only() {
        let now = format!("Use this command: {}", command(&seen.workspace, action.verb()));
        return context.bad_request(&why, &now, &back);
    }
    let question = confirm(&context, &seen, action, None);
    if !question.typed.is_empty() && typed != question.typed {
        let again = confirm(&context, &seen, action, Some(&typed));
        return context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    match change(&context, (&namespace, &name), &uid, action).await {
        Ok(Some(changed)) => {
            context.log(action.verb(), &namespace, &name, "done");
            let version = changed.metadata.resource_version.unwrap_or_default();
            context.app.index.caught_up(&namespace, &name, &version).await;
            see_other(&format!("{back}?done={}", action.verb()))
        }
        Ok(None) => {
            context.log(action.verb(), &namespace, &name, "done");
            let is_leaving = |index: &Index| {
                let known = index.workspace(&namespace, &name);
                known.is_none_or(|it| {
                    it.metadata.deletion_timestamp.is_some() || it.metadata.uid.as_deref() != Some(&uid)
                })
            };
            context.until(is_leaving).await;
            see_other(&format!("/?deleted={namespace}/{name}"))
        }
        Err(failure) => {
            context.log(action.verb(), &namespace, &name, "failed");
            context.failed(&format!("{} of {name} failed", action.label()), &failure, &back)
        }
    }
}

/// Stops one of many.
pub(super) async fn stop(context: &Context, seen: &Seen) -> Result<(), Failure> {
    let workspace = &seen.workspace;
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let uid = workspace.metadata.uid.clone().unwrap_or_default();
    let stopped = change(context, (&namespace, &name), &uid, Action::Stop).await;
    context.log(
        "stop",
        &namespace,
        &name,
        if stopped.is_ok() { "done" } else { "failed" },
    );
    stopped.map(drop)
}

/// The workspace after the change; `None` after a deletion.
async fn change(
    context: &Context,
    (namespace, name): (&str, &str),
    uid: &str,
    action: Action,
) -> Result<Option<Workspace>, Failure> {
    let as_user = context.as_user();
    if action == Action::Delete {
        // Like kubectl's, a deletion needs no right to read. Its precondition is the UID.
        let deleted = as_user.delete::<Workspace>(namespace, name, uid).await;
        return deleted.map(|()| None).map_err(|failure| {
            if failure.is_conflict() {
                another_one()
            } else {
                failure
            }
        });
    }
    let wanted = |current: &Workspace| {
        if current.metadata.uid.as_deref() != Some(uid) {
            return Err(another_one());
        }
        Ok(patch(current, action, context.now))
    };
    as_user.change(namespace, name, wanted).await.map(Some)
}

fn another_one() -> Failure {
    Failure::conflict(
        "The workspace was deleted and another one of the same name was created since this page was loaded.",
    )
}

/// The patch of the action; `None` if nothing is to be patched.
fn patch(current: &Workspace, action: Action, now: jiff::Timestamp) -> Option<Value> {
    let wanted = match action {
        Action::Start => DesiredStatus::Running,
        Action::Stop => DesiredStatus::Stopped,
        Action::Restart => {
            // With its fraction: a second restart in the same second writes something, so the API server judges it, too.
            let now = now.to_string();
            return Some(json!({
                "metadata": {"annotations": {RESTARTED_AT: now}},
                "spec": {"desiredStatus": DesiredStatus::Running},
            }));
        }
        Action::Delete => return None,
    };
    (current.spec.desired_status != wanted).then(|| json!({"spec": {"desiredStatus": wanted}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(desired: &str) -> Workspace {
        let object = json!({
            "metadata": {"name": "lab", "namespace": "team", "uid": "u", "resourceVersion": "7"},
            "spec": {"displayName": "lab", "desiredStatus": desired},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        assert_eq!(patch(&workspace("Running"), Action::Start, now), None);
        assert_eq!(patch(&workspace("Stopped"), Action::Stop, now), None);
    }
}

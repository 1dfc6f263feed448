//! Start, stop, restart, delete -> a question, then one change as the user (IO).

use api::Workspace;
use api::names::RESTARTED_AT;
use api::request;
use api::workspace::{DesiredStatus, Retain};
use axum::response::Response;
use explain::consequence::{Action, Consequence};
use http::StatusCode;
use kube::ResourceExt as _;
use rules::files::{Disk, Disks, FurtherDisk, Moment};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::see_other;
use super::extract::{Path, TypedForm};
use super::may::May;
use super::summary::{command, label, path, pending, words};
use super::words::bytes;
use super::workspace::view::Pending;
use crate::app::Context;
use crate::cluster::Failure;
use crate::index::{Index, resolved_values};
use crate::views::{Confirm, Consequence as Shown, Nav};
use crate::visible::VisibleWorkspace;

/// The action of this name in an address.
fn parse(name: &str) -> Option<Action> {
    let all = [
        Action::Start,
        Action::Recover,
        Action::Stop,
        Action::Restart,
        Action::Delete,
    ];
    all.into_iter().find(|action| words(*action).0 == name)
}

/// Answers `GET /w/<namespace>/<name>/<action>`: what would happen, and a button.
pub(crate) async fn ask(
    context: Context,
    Path((namespace, name, action)): Path<(String, String, String)>,
) -> Response {
    let Some(action) = parse(&action) else {
        return context.not_found();
    };
    match askable(&context, &namespace, &name, action).await {
        Some(seen) => context.page(&confirm(&context, &seen, action, None)),
        None => context.not_found(),
    }
}

/// The workspace, if the user sees it. For guests the action exists only if their roles allow it.
async fn askable(context: &Context, namespace: &str, name: &str, action: Action) -> Option<VisibleWorkspace> {
    let seen = context.visible_workspace(namespace, name).await?;
    if seen.is_guest() {
        let may = May::ask(context, namespace).await.with(&seen);
        let is_allowed = if action == Action::Delete {
            may.delete
        } else {
            may.change
        };
        return is_allowed.then_some(seen);
    }
    Some(seen)
}

/// The question. `typed`: a wrong answer.
fn confirm(context: &Context, seen: &VisibleWorkspace, action: Action, typed: Option<&str>) -> Confirm {
    let workspace = &*seen.workspace;
    // What becomes of files says how the disk is, which guests do not see.
    let is_guest = seen.is_guest();
    let (verb, label) = (words(action).0, label(workspace, action));
    let consequence = Consequence::from_action(action, workspace).filter(|_| !is_guest);
    let loses_files = consequence.as_ref().is_some_and(|it| it.loses_files);
    let at = path(workspace);
    let must_type = loses_files || (action == Action::Delete && is_guest);
    let ask_owner =
        "Ask its owner first what would be lost: only the owner and users who may list workspaces see that.";
    let text = if is_guest {
        vec![ask_owner.to_owned()]
    } else {
        let applied = pending_changes(workspace).filter(|_| action == Action::Restart);
        consequence.map(|it| it.text).into_iter().chain(applied).collect()
    };
    Confirm {
        layout: context.layout(
            match label.split_once(' ') {
                Some((verb, how)) => format!("{verb} {} {how}?", workspace.spec.display_name),
                None => format!("{label} {}?", workspace.spec.display_name),
            },
            Nav::Workspaces,
        ),
        text,
        consequences: if is_guest {
            Vec::new()
        } else {
            consequences(workspace, action)
        },
        to: format!("{at}/{verb}"),
        hidden: vec![("uid".to_owned(), workspace.uid().unwrap_or_default())],
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
        button: if label.contains(' ') {
            label.to_owned()
        } else {
            format!("{label} workspace")
        },
        danger: action == Action::Delete || loses_files,
        cancel: at,
        command: context.command_instead(|| command(workspace, action)),
        ..Confirm::default()
    }
}

/// The changes that a restart applies, as the workspace's page names them; `None` if none waits.
fn pending_changes(workspace: &Workspace) -> Option<String> {
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
    if runs && action.moment(workspace).is_some() {
        shown.push(Shown {
            lost: true,
            what: "Kernels and terminals".to_owned(),
            effect: "end".to_owned(),
        });
    }
    let moment = action.moment(workspace);
    let disks = Disks::from_workspace(workspace);
    shown.extend(moment.and_then(|moment| effect_on_files(workspace, &disks.home, moment)));
    if moment.is_some() {
        let terminating = disks.terminating.iter();
        shown.extend(terminating.map(|claim| effect_on_disk(claim, None, true)));
        let is_deleted = |disk: &FurtherDisk| action == Action::Delete && disk.retain == Retain::Delete;
        let further = disks.further.iter();
        shown.extend(further.map(|disk| effect_on_disk(&disk.claim, None, is_deleted(disk))));
    }
    if action == Action::Delete {
        shown.push(Shown {
            lost: true,
            what: "Shares".to_owned(),
            effect: "end".to_owned(),
        });
    }
    shown
}

/// The home or the files in it, and whether they go. `None`: there are none.
fn effect_on_files(workspace: &Workspace, disk: &Disk, moment: Moment<'_>) -> Option<Shown> {
    let lost = disk.fate(moment).loses_files;
    let own = || rules::names::child(&workspace.name_any());
    let claim = match disk {
        Disk::NeverMade | Disk::Lost => return None,
        Disk::None => {
            return Some(Shown {
                lost,
                what: "Files".to_owned(),
                effect: "are deleted".to_owned(),
            });
        }
        Disk::Named(claim) | Disk::Terminating(claim) => claim.clone(),
        Disk::Own | Disk::Retained | Disk::Replaced(_) => own(),
    };
    let storage = resolved_values(workspace).and_then(|resolved| resolved.storage.as_ref());
    let size = storage.and_then(|storage| storage.size.as_ref()).map(bytes);
    Some(effect_on_disk(&claim, size, lost))
}

fn effect_on_disk(claim: &str, size: Option<String>, lost: bool) -> Shown {
    let effect = if lost { "deleted with all files" } else { "kept" };
    Shown {
        lost,
        what: format!("Disk {claim}"),
        effect: size.map_or_else(|| effect.to_owned(), |size| format!("{size}, {effect}")),
    }
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
    TypedForm(Confirmed { uid, name: typed }): TypedForm<Confirmed>,
) -> Response {
    let Some(action) = parse(&action) else {
        return context.not_found();
    };
    let (verb, label) = words(action);
    let back = format!("/w/{namespace}/{name}");
    let Some(seen) = askable(&context, &namespace, &name, action).await else {
        return context.not_found();
    };
    if let Some(why) = context.read_only() {
        let now = format!("Use this command: {}", command(&seen.workspace, action));
        return context.bad_request(&why, &now, &back);
    }
    let question = confirm(&context, &seen, action, None);
    if !question.typed.is_empty() && typed != question.typed {
        let again = confirm(&context, &seen, action, Some(&typed));
        return context.page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let changed = change(&context, (&namespace, &name), &uid, action).await;
    context.log(verb, &namespace, &name, &changed);
    match changed {
        Ok(Some(changed)) => {
            context.catch_up(&changed).await;
            see_other(&format!("{back}?done={verb}"))
        }
        Ok(None) => {
            let is_leaving = |index: &Index| {
                let known = index.workspace(&namespace, &name);
                known.is_none_or(|it| {
                    it.metadata.deletion_timestamp.is_some() || it.metadata.uid.as_deref() != Some(&uid)
                })
            };
            context.until(is_leaving).await;
            see_other(&format!("/?deleted={namespace}/{name}"))
        }
        Err(failure) => context.failure_page(&format!("{label} of {name} failed"), &failure, &back),
    }
}

/// Stops one of many.
pub(super) async fn stop(context: &Context, seen: &VisibleWorkspace) -> Result<(), Failure> {
    let workspace = &seen.workspace;
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let uid = workspace.metadata.uid.clone().unwrap_or_default();
    let stopped = change(context, (&namespace, &name), &uid, Action::Stop).await;
    context.log("stop", &namespace, &name, &stopped);
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
                Failure::another_workspace()
            } else {
                failure
            }
        });
    }
    let wanted = |current: &Workspace| {
        if current.metadata.uid.as_deref() != Some(uid) {
            return Err(Failure::another_workspace());
        }
        Ok(patch(current, action, context.now))
    };
    as_user.change(namespace, name, wanted).await.map(Some)
}

/// The patch of the action; `None` if nothing is to be patched.
fn patch(current: &Workspace, action: Action, now: jiff::Timestamp) -> Option<Value> {
    let wanted = match action {
        Action::Start | Action::Recover => return request::start(current, action == Action::Recover, now),
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

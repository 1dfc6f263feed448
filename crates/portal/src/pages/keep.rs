//! Keep a workspace that is not used -> one change as the user (IO).

use api::Workspace;
use api::names::KEEP_UNTIL;
use api::workspace::DesiredStatus;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use rules::keep;
use serde::Deserialize;
use serde_json::json;

use super::answers::see_other;
use super::extract::{Path, TypedForm};
use super::summary::path;
use crate::app::Context;
use crate::cluster::Failure;
use crate::index::resolved_values;
use crate::views::{Action, Way};

/// For how long the button keeps a workspace, if its template allows that.
const USUAL: SignedDuration = SignedDuration::from_hours(8);

/// The button that keeps a running workspace, or no longer. `None`: no idle rule stops it, or its template lets nobody keep it.
pub(super) fn button(context: &Context, workspace: &Workspace) -> Option<Action> {
    let values = resolved_values(workspace)?;
    let is_running = workspace.spec.desired_status == DesiredStatus::Running
        && workspace.metadata.deletion_timestamp.is_none();
    values.idle_timeout_in_minutes.filter(|_| is_running)?;
    let minutes = if until(workspace, context.now).is_some() {
        0
    } else {
        let template = context.app.index.template_of(workspace);
        let longest = keep::longest(template.as_deref().map(|template| &template.spec));
        Some(USUAL.min(longest).as_mins()).filter(|minutes| *minutes > 0)?
    };
    let (label, argument) = match minutes {
        0 => ("Keep no longer".to_owned(), "--off".to_owned()),
        minutes if minutes % 60 == 0 => (
            format!("Keep for {} h", minutes / 60),
            format!("{}h", minutes / 60),
        ),
        minutes => (format!("Keep for {minutes} min"), format!("{minutes}m")),
    };
    let (namespace, name) = (workspace.namespace().unwrap_or_default(), workspace.name_any());
    let way = match context.read_only_in(&namespace) {
        Some(_) => Way::Command {
            command: format!("kubectl workspace keep {name} {argument} -n {namespace}"),
        },
        None => Way::Post {
            to: format!("{}/keep", path(workspace)),
            hidden: vec![
                ("uid".to_owned(), workspace.uid().unwrap_or_default()),
                ("minutes".to_owned(), minutes.to_string()),
            ],
        },
    };
    Some(Action {
        label,
        of: name,
        way,
        ..Action::default()
    })
}

/// Until when it is kept.
fn until(workspace: &Workspace, now: Timestamp) -> Option<Timestamp> {
    keep::kept_until(workspace.status.as_ref()?.kept.as_ref(), now)
}

/// The button that was pressed.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pressed {
    uid: String,
    /// 0: no longer.
    minutes: u32,
}

/// Answers `POST /w/<namespace>/<name>/keep`.
pub(crate) async fn act(
    context: Context,
    Path((namespace, name)): Path<(String, String)>,
    TypedForm(Pressed { uid, minutes }): TypedForm<Pressed>,
) -> Response {
    let Some(seen) = context.readable_workspace(&namespace, &name).await else {
        return context.not_found();
    };
    let back = path(&seen.workspace);
    if let Some(answer) = context.read_only_answer(&back) {
        return answer;
    }
    let patch = |stored: &Workspace| {
        if stored.uid().as_deref() != Some(&*uid) {
            return Err(Failure::another_workspace());
        }
        let until = end(context.now, minutes);
        let until = until.map(|until| until.to_string());
        Ok(Some(json!({"metadata": {"annotations": {KEEP_UNTIL: until}}})))
    };
    let changed = context.as_user().change(&namespace, &name, patch).await;
    context.log("keep", &namespace, &name, &changed);
    match changed {
        Ok(changed) => {
            context.catch_up(&changed).await;
            see_other(&back)
        }
        Err(failure) => context.failure_page(&format!("{name} is not kept"), &failure, &back),
    }
}

/// The end of the time, to the second.
fn end(now: Timestamp, minutes: u32) -> Option<Timestamp> {
    let span = SignedDuration::from_mins(minutes.into());
    let end = now.checked_add(span).ok().filter(|_| minutes > 0)?;
    Timestamp::from_second(end.as_second()).ok()
}
